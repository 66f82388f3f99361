package cache

import (
	"net/http"
	"slices"
	"strings"
)

// Select picks the stored response whose selecting fields match (RFC 9111
// §4.1), of several the newest that has any; -1 with FwdURIMiss or FwdVary when
// none does.
func Select(r *Request, stored []*Meta) (i int, fwd Fwd) {
	best := newest(stored, func(m *Meta) bool { return r.matches(m.Vary, m.Vary) })
	switch {
	case best >= 0:
		return best, ""
	case len(stored) == 0:
		return -1, FwdURIMiss
	}
	if best = newest(stored, func(m *Meta) bool { return speaks(r, m) }); best >= 0 {
		return best, ""
	}
	return -1, FwdVary
}

// newest is the index of the latest Date, then receipt, among those that match
// and vary, else among the others that match; -1 for none.
func newest(stored []*Meta, match func(*Meta) bool) int {
	best := -1
	for i, m := range stored {
		if match(m) && (best < 0 || m.preferred(stored[best])) {
			best = i
		}
	}
	return best
}

// preferred puts what does not vary behind all that does: many an origin leaves
// Vary out of its default response, which would answer everybody then (RFC 9111
// §4.1).
func (m *Meta) preferred(other *Meta) bool {
	if varies := len(m.Vary) > 0; varies != (len(other.Vary) > 0) {
		return varies
	}
	return m.newer(other)
}

func (m *Meta) newer(other *Meta) bool {
	if c := m.read().date.Compare(other.read().date); c != 0 {
		return c > 0
	}
	return m.Received.After(other.Received)
}

// matches reports that the fields of vary, a part of all that a response was
// selected by, are the request's, and that the request has no other that steers.
func (r *Request) matches(vary, all []Selector) bool {
	for i := range vary {
		if !vary[i].matches(r.Header) {
			return false
		}
	}
	for _, name := range r.steering {
		if !slices.ContainsFunc(all, func(s Selector) bool { return s.Name == name }) {
			return false
		}
	}
	return true
}

// steers reports a field by which many origins take a request for one of another
// target or method than its first line says, and do not tell in Vary. Selecting by
// it, whether or not they heed it, keeps the answer from everybody else.
func steers(name string, lines []string) bool {
	switch name {
	case "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Proto", "X-Forwarded-Scheme",
		"X-Forwarded-Server", "X-Host", "X-Original-Host", "X-Original-Url", "X-Rewrite-Url",
		"X-Http-Method", "X-Http-Method-Override", "X-Method-Override":
		return true
	case "Forwarded": // which has an address for each client besides
		return slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(lowerASCII(line), "host=") })
	}
	return false
}

func (s *Selector) matches(h http.Header) bool {
	lines, present := h[http.CanonicalHeaderKey(s.Name)]
	if present != s.Present {
		return false
	}
	// Normal values stay as they are when normalised, so equal bytes suffice.
	return !present || len(lines) == 1 && lines[0] == s.Value || normalise(s.Name, lines) == s.Value
}

// selectors reads Vary and the selecting fields of the request; false when
// nothing may be selected by it: it has "*", or something that is no name.
func (r *Request) selectors(vary []string) ([]Selector, bool) {
	var list []Selector
	add := func(name string) {
		lines, present := r.Header[http.CanonicalHeaderKey(name)]
		list = append(list, Selector{Name: name, Value: normalise(name, lines), Present: present})
	}
	for name := range elements(vary) {
		if name == "*" || !isToken(name) {
			return nil, false
		}
		add(lowerASCII(name))
	}
	for _, name := range r.steering {
		add(name)
	}
	slices.SortFunc(list, func(a, b Selector) int { return strings.Compare(a.Name, b.Name) })
	return slices.CompactFunc(list, func(a, b Selector) bool { return a.Name == b.Name }), true
}

// normalise brings a selecting field into a form that is the same for values
// that mean the same (RFC 9111 §4.1): lines joined, white space around commas
// gone; for the Accept fields whose members have no order, also sorted, in lower
// case, with the shortest qvalue. Normal values stay as they are.
func normalise(name string, lines []string) string {
	switch name {
	case "accept-encoding", "accept-language", "accept-charset":
		if list, ok := preferences(lines); ok {
			return strings.Join(list, ",")
		}
	}
	var b strings.Builder
	for i, line := range lines {
		if i > 0 {
			b.WriteByte(',')
		}
		appendTrimmed(&b, line)
	}
	return b.String()
}

// appendTrimmed copies a line without white space around its commas. Empty
// members stay: in a field nobody knows they may mean something.
func appendTrimmed(b *strings.Builder, line string) {
	quotes := true
	for {
		n := 0
		n, quotes = elementEnd(line, quotes)
		b.WriteString(trimOWS(line[:n]))
		if n == len(line) {
			return
		}
		b.WriteByte(',')
		line = line[n+1:]
	}
}

// preferences reads members of the form token[;q=value], sorted. False: there
// is something else, and it is not known what order and case mean.
func preferences(lines []string) ([]string, bool) {
	var list []string
	for e := range elements(lines) {
		token, q, ok := preference(e)
		if !ok {
			return nil, false
		}
		if q != "1" {
			token += ";q=" + q
		}
		list = append(list, token)
	}
	slices.Sort(list)
	return list, true
}

// preference reads token[;q=value] (RFC 9110 §12.4.2) into lower case and the
// shortest qvalue.
func preference(member string) (token, q string, ok bool) {
	token, weight, has := strings.Cut(member, ";")
	token = trimOWS(token)
	if !isToken(token) {
		return "", "", false
	}
	token = lowerASCII(token)
	if !has {
		return token, "1", true
	}
	name, q, _ := strings.Cut(trimOWS(weight), "=")
	if !strings.EqualFold(name, "q") {
		return "", "", false
	}
	whole, fraction, _ := strings.Cut(q, ".")
	fraction = strings.TrimRight(fraction, "0")
	_, digital := digits("0"+fraction, 1000)
	switch {
	case !digital || len(q) > len("0.123"):
		return "", "", false
	case whole == "0" && fraction != "":
		return token, "0." + fraction, true
	case (whole == "0" || whole == "1") && fraction == "":
		return token, whole, true
	}
	return "", "", false
}

// speaks reports that m, which varies by language, is in the one language that
// the request likes best of all, and that the request it was stored for liked
// best too: the origin has it, and can offer nothing better.
func speaks(r *Request, m *Meta) bool {
	i := slices.IndexFunc(m.Vary, func(s Selector) bool { return s.Name == "accept-language" })
	content := m.Header["Content-Language"]
	if i < 0 || len(content) != 1 || !isToken(content[0]) || content[0] == "*" {
		return false
	}
	rest := slices.Delete(slices.Clone(m.Vary), i, i+1)
	language := lowerASCII(content[0])
	wanted := favourites(r.Header["Accept-Language"])
	return len(wanted) == 1 && wanted[0] == language &&
		slices.Contains(favourites([]string{m.Vary[i].Value}), language) && r.matches(rest, m.Vary)
}

// favourites lists the members with the highest qvalue of all, none when that is
// 0 or the field cannot be read.
func favourites(lines []string) []string {
	var list []string
	best := "0"
	for e := range elements(lines) {
		token, q, ok := preference(e)
		if !ok {
			return nil
		}
		if q > best { // the shortest forms compare as their values do
			best, list = q, nil
		}
		if q == best && q != "0" {
			list = append(list, token)
		}
	}
	return list
}
