package cache

import (
	"net/http"
	"strings"
	"time"
)

// facts is what the header of a response says about caching, read once.
type facts struct {
	cc           responseDirectives
	date         time.Time // Date, or when the response was received
	lastModified time.Time // zero: none that can be read
	etag         entityTag
	hasExpires   bool
	expires      time.Time     // zero when hasExpires: invalid, which means the past
	initialAge   time.Duration // corrected_initial_age (RFC 9111 §4.2.3), to maxDelta
}

func readFacts(h http.Header, requested, received time.Time) facts {
	f := facts{
		cc:   parseResponseDirectives(h["Cache-Control"]),
		date: received,
	}
	// Of two validators, neither can be relied on.
	if lines := h["Etag"]; len(lines) == 1 {
		f.etag = parseEntityTag(lines[0])
	}
	if lines := h["Last-Modified"]; len(lines) == 1 {
		if t, ok := parseDate(lines[0], received); ok {
			f.lastModified = t
		}
	}
	if t, ok := parseDate(firstLine(h["Date"]), received); ok {
		f.date = t
	}
	f.expires, f.hasExpires = readExpires(h["Expires"], received)
	f.initialAge = initialAge(readAge(h["Age"]), f.date, requested, received)
	return f
}

// firstLine is the value of a field that has one line, "" for none.
func firstLine(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return lines[0]
}

// readExpires returns the zero time for a date in the past that nobody can
// read: an invalid value, 0 above all, and several that differ (RFC 9111 §4.2.1, §5.3).
func readExpires(lines []string, received time.Time) (time.Time, bool) {
	if len(lines) == 0 {
		return time.Time{}, false
	}
	for _, line := range lines[1:] {
		if line != lines[0] {
			return time.Time{}, true
		}
	}
	t, ok := parseDate(lines[0], received)
	if !ok {
		t = time.Time{}
	}
	return t, true
}

// readAge is the first value of Age, 0 when that is invalid (RFC 9111 §5.1).
func readAge(lines []string) time.Duration {
	v, _, _ := strings.Cut(firstLine(lines), ",")
	n, ok := digits(trimOWS(v), int64(maxDelta/time.Second))
	if !ok {
		return 0
	}
	return time.Duration(n) * time.Second
}

// initialAge is corrected_initial_age of RFC 9111 §4.2.3. A clock that stepped
// back during the exchange makes no part of it negative.
func initialAge(age time.Duration, date, requested, received time.Time) time.Duration {
	apparent := max(0, received.Sub(date))
	delay := max(0, received.Sub(requested))
	return max(min(apparent, maxDelta), min(age+min(delay, maxDelta), maxDelta))
}

// parsed is what a Meta keeps of its fields once they have been read, and what
// one policy concludes from them. It is immutable.
type parsed struct {
	facts
	policy *Policy // whose conclusions follow; nil: nobody's yet
	rule   *rule
	life   lifetime
}

// read returns the facts of m, parsing them at most a few times.
func (m *Meta) read() *parsed {
	if c := m.parsed.Load(); c != nil {
		return c
	}
	c := &parsed{facts: readFacts(m.Header, m.Requested, m.Received)}
	m.parsed.CompareAndSwap(nil, c) // lost: somebody knows as much or more
	return c
}

// read returns the facts of m with p's conclusions.
func (p *Policy) read(m *Meta) *parsed {
	c := m.read()
	if c.policy == p {
		return c
	}
	own := &parsed{facts: c.facts, policy: p, rule: p.rule(m.Key)}
	own.life = p.lifetime(m.Key, m.Status, own)
	m.parsed.Store(own)
	return own
}
