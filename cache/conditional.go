package cache

import (
	"net/http"
	"time"
)

// Answer is how a reusable stored response answers a request.
type Answer struct {
	// Status is 200 (or the stored status), 206, 304 or 416.
	Status int
	// Spans are the ranges to send, in the request's order, for 206; several
	// mean multipart/byteranges.
	Spans []Span
	// Missing are the byte runs a partial response lacks to give this answer;
	// not empty: it must be completed from the origin first (RFC 9111 §3.4).
	Missing []Span
	Reason  Reason
}

// Evaluate answers r from m: If-None-Match, If-Modified-Since, If-Range and
// Range with the precedence of RFC 9110 §13.2.2 and §14; ranges that are too
// many, overlap or are out of order get the whole 200. If-Match and
// If-Unmodified-Since are the origin's (RFC 9111 §4.3.2): Lookup has sent such
// requests there.
//
// While m.Total is not known (-1), there are no ranges.
func Evaluate(r *Request, m *Meta) Answer {
	if m.Status/100 == 2 {
		if why := r.notModified(m); why != "" {
			return Answer{Status: http.StatusNotModified, Reason: why}
		}
	}
	a := Answer{Status: m.Status, Reason: ReasonWhole}
	if lines := r.Header["Range"]; lines != nil && m.ranged(r) {
		a = r.rangeAnswer(m, lines)
	}
	if m.Spans != nil {
		m.fillIn(&a)
	}
	if r.Method == http.MethodHead {
		a.Missing = nil // it needs no bytes
	}
	return a
}

// notModified is the reason for a 304, "" for none (RFC 9110 §13.1.2, §13.1.3,
// RFC 9111 §4.3.2).
func (r *Request) notModified(m *Meta) Reason {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return ""
	}
	if lines := r.Header["If-None-Match"]; lines != nil {
		if m.read().etag.anyMatchesWeakly(lines) {
			return ReasonETagMatch
		}
		return "" // If-Modified-Since is ignored
	}
	lines := r.Header["If-Modified-Since"]
	if len(lines) != 1 {
		return ""
	}
	c := m.read()
	since, ok := parseDate(lines[0], m.Received)
	if !ok {
		return ""
	}
	modified := c.lastModified
	if modified.IsZero() {
		modified = c.date.Truncate(time.Second)
	}
	if modified.After(since) {
		return ""
	}
	return ReasonNotModified
}

// ranged reports whether Range means anything: to a GET, of a representation
// whose length is known.
func (m *Meta) ranged(r *Request) bool {
	return r.Method == http.MethodGet && m.Total >= 0 && (m.Status == http.StatusOK || m.Spans != nil)
}

func (r *Request) rangeAnswer(m *Meta, lines []string) Answer {
	whole := Answer{Status: m.Status, Reason: ReasonRangeIgnored}
	if len(lines) != 1 {
		return whole
	}
	if !r.ifRange(m) {
		whole.Reason = ReasonIfRangeMismatch
		return whole
	}
	spans, result := parseRange(lines[0], m.Total)
	switch result {
	case rangeSatisfiable:
		return Answer{Status: http.StatusPartialContent, Spans: spans, Reason: ReasonRange}
	case rangeUnsatisfiable:
		return Answer{Status: http.StatusRequestedRangeNotSatisfiable, Reason: ReasonUnsatisfiable}
	}
	return whole
}

// ifRange reports that If-Range, if there is one, names this representation
// (RFC 9110 §13.1.5): by strong comparison, a date by being the very same.
func (r *Request) ifRange(m *Meta) bool {
	lines := r.Header["If-Range"]
	if lines == nil {
		return true
	}
	if len(lines) != 1 {
		return false
	}
	c := m.read()
	if date, ok := parseDate(lines[0], m.Received); ok {
		return c.lastModifiedIsStrong() && date.Equal(c.lastModified)
	}
	return c.etag.matchStrongly(parseEntityTag(lines[0]))
}

// lastModifiedIsStrong reports a Last-Modified so much before Date that no second
// change can hide behind it (RFC 9110 §8.8.2.2); a minute leaves room for clocks
// that differ.
func (f *facts) lastModifiedIsStrong() bool {
	return !f.lastModified.IsZero() && f.date.Sub(f.lastModified) >= time.Minute
}
