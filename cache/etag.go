package cache

import "strings"

// entityTag is a validator of RFC 9110 §8.8.3. The zero value is none.
type entityTag struct {
	opaque string // without the quotes; a malformed tag is kept as it is
	weak   bool
	valid  bool // "…" or W/"…"
}

func parseEntityTag(s string) entityTag {
	tag, rest, ok := nextEntityTag(s)
	if !ok || trimOWS(rest) != "" {
		return entityTag{opaque: trimOWS(s), weak: true}
	}
	return tag
}

// nextEntityTag reads the first tag of a list. Malformed ones reach to the next
// comma; origins that send such tags get them compared byte by byte.
func nextEntityTag(s string) (tag entityTag, rest string, ok bool) {
	s = strings.TrimLeft(s, " \t,")
	if s == "" {
		return entityTag{}, "", false
	}
	body, weak := strings.CutPrefix(s, "W/")
	if strings.HasPrefix(body, `"`) {
		// No escapes here: a backslash is an ordinary byte of a tag.
		if end := strings.IndexByte(body[1:], '"'); end >= 0 {
			after := strings.TrimLeft(body[end+2:], " \t")
			if after == "" || after[0] == ',' {
				return entityTag{opaque: body[1 : end+1], weak: weak, valid: true}, after, true
			}
		}
	}
	item, rest, _ := strings.Cut(s, ",")
	return entityTag{opaque: trimOWS(item), weak: true}, rest, true
}

func (t entityTag) none() bool { return t == entityTag{} || t == entityTag{weak: true} }

// matchWeakly is the weak comparison (RFC 9110 §8.8.3.2).
func (t entityTag) matchWeakly(u entityTag) bool {
	return !t.none() && !u.none() && t.opaque == u.opaque
}

// matchStrongly is the strong comparison; malformed tags are never strong.
func (t entityTag) matchStrongly(u entityTag) bool {
	return t.strong() && u.strong() && t.opaque == u.opaque
}

func (t entityTag) strong() bool { return t.valid && !t.weak }

// anyMatchesWeakly reports whether a list of tags has one that t matches, or is
// the "*" that any current representation matches.
func (t entityTag) anyMatchesWeakly(lines []string) bool {
	for _, line := range lines {
		if trimOWS(line) == "*" {
			return true
		}
		for tag, rest, ok := nextEntityTag(line); ok; tag, rest, ok = nextEntityTag(rest) {
			if t.matchWeakly(tag) {
				return true
			}
		}
	}
	return false
}
