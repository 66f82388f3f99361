package bench

import (
	"bytes"
	"strings"
)

// claim is what an answer says about its own way.
type claim struct {
	class     Class
	node      []byte // the cache nearest to us, "" when it does not say; of the head's buffer
	collapsed bool   // onto the fetch of another request
	fetched   bool   // the origin was asked for this answer, and only for it
	loose     bool   // in a form that knows hit and miss only
	partial   bool   // only a part was fetched, so the answer may carry an older one's fields
}

// readClaim tells how an answer was made from Cache-Status (RFC 9211), or where
// that is missing from X-Cache-Status (nginx) or X-Cache (squid and others).
func readClaim(h *head) claim {
	switch {
	case len(h.cacheStatus) > 0:
		return readCacheStatus(h.moreStatus, h.cacheStatus)
	case len(h.xCacheKind) > 0:
		c := readKind(h.xCacheKind)
		c.loose = true
		return c
	case len(h.xCache) > 0:
		c := readXCache(h.xCache)
		c.loose = true
		return c
	}
	return claim{class: Direct}
}

// readCacheStatus reads the member of the nearest cache, which is the last, and
// looks for a hit in those before it.
func readCacheStatus(earlier, line []byte) claim {
	before, last := cutLast(line)
	var m member
	m.parse(last)
	c := claim{node: m.name, collapsed: m.collapsed}
	switch {
	case m.hit && contains(m.detail, "revalidated"):
		c.class, c.fetched = Revalidated, true
	case m.hit && contains(m.detail, "disk"):
		c.class = DiskHit
	case m.hit:
		c.class = Hit
	case m.fwd == nil: // says nothing
		c.class = Direct
	case m.notModified:
		c.class, c.fetched = Revalidated, !m.collapsed
	case anyHit(before) || anyHit(earlier):
		c.class = SiblingHit
	default:
		c.class, c.fetched, c.partial = Miss, !m.collapsed, string(m.fwd) == "partial"
	}
	return c
}

func anyHit(members []byte) bool {
	for len(members) > 0 {
		before, last := cutLast(members)
		var m member
		if m.parse(last); m.hit {
			return true
		}
		members = before
	}
	return false
}

// cutLast cuts a list of RFC 9651 before its last member. Commas in strings do
// not count.
func cutLast(list []byte) (before, last []byte) {
	at, quoted := -1, false
	for i := 0; i < len(list); i++ {
		switch list[i] {
		case '\\':
			if quoted {
				i++
			}
		case '"':
			quoted = !quoted
		case ',':
			if !quoted {
				at = i
			}
		}
	}
	if at < 0 {
		return nil, trim(list)
	}
	return list[:at], trim(list[at+1:])
}

// member is one of Cache-Status.
type member struct {
	name, fwd, detail           []byte
	hit, collapsed, notModified bool
}

func (m *member) parse(b []byte) {
	first := true
	for len(b) > 0 {
		var item []byte
		item, b = cutItem(b)
		if first {
			m.name, first = bytes.Trim(item, `"`), false
			continue
		}
		name, value, _ := bytes.Cut(item, []byte("="))
		switch string(name) {
		case "hit":
			m.hit = string(value) != "?0"
		case "fwd":
			m.fwd = value
		case "fwd-status":
			m.notModified = string(value) == "304"
		case "collapsed":
			m.collapsed = string(value) != "?0"
		case "detail":
			m.detail = bytes.Trim(value, `"`)
		}
	}
}

// cutItem cuts at the first semicolon outside strings.
func cutItem(b []byte) (item, rest []byte) {
	quoted := false
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '\\':
			if quoted {
				i++
			}
		case '"':
			quoted = !quoted
		case ';':
			if !quoted {
				return trim(b[:i]), trim(b[i+1:])
			}
		}
	}
	return trim(b), nil
}

func contains(b []byte, word string) bool { return len(b) > 0 && bytes.Contains(b, []byte(word)) }

// readKind reads the word of nginx's $upstream_cache_status.
func readKind(v []byte) claim {
	switch strings.ToUpper(string(v)) {
	case "HIT", "STALE", "UPDATING":
		return claim{class: Hit}
	case "REVALIDATED":
		return claim{class: Revalidated, fetched: true}
	case "MISS", "EXPIRED", "BYPASS":
		return claim{class: Miss, fetched: true}
	}
	return claim{class: Direct}
}

// readXCache reads "HIT from NODE", "hit" and the like; of several caches, the
// last is the nearest. Those that write it do not tell whether they asked the
// origin first, so no fetch is claimed.
func readXCache(v []byte) claim {
	before, last := cutLast(v)
	word, from, _ := bytes.Cut(last, []byte(" "))
	c := claim{class: Miss, fetched: true}
	if rest, ok := bytes.CutPrefix(from, []byte("from ")); ok {
		c.node = trim(rest)
	}
	switch w := bytes.ToLower(word); {
	case bytes.HasPrefix(w, []byte("hit")) || bytes.HasPrefix(w, []byte("tcp_")) && bytes.Contains(w, []byte("hit")):
		c.class, c.fetched = Hit, false
	case contains(bytes.ToLower(before), "hit"):
		c.class, c.fetched = SiblingHit, false
	}
	return c
}
