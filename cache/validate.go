package cache

import (
	"net/http"
	"slices"
	"time"
)

// SetValidators makes h, the header of an outgoing request, conditional on m:
// If-None-Match from its ETag and If-Modified-Since from its Last-Modified
// (RFC 9111 §4.3.1), after removing the client's own conditions. False: m has
// no validator, h is unchanged but for that removal.
//
// Range and If-Range stay, as a pair: a client that gets a 206 of a changed
// representation in spite of its If-Range would join two different ones.
func SetValidators(h http.Header, m *Meta) bool {
	dropConditions(h)
	c := m.read()
	if !c.validatable(m.Status) {
		return false
	}
	if !c.etag.none() {
		h["If-None-Match"] = []string{firstLine(m.Header["Etag"])}
	}
	if !c.lastModified.IsZero() {
		h["If-Modified-Since"] = []string{firstLine(m.Header["Last-Modified"])}
	}
	return true
}

func dropConditions(h http.Header) {
	for _, name := range []string{"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"} {
		delete(h, name)
	}
}

// validatable reports a validator that a 304 can confirm. Origins evaluate
// conditions only where they would answer 2xx (RFC 9110 §13.2.1), so that a 304
// says nothing about a stored error or redirect.
func (f *facts) validatable(status int) bool {
	return status/100 == 2 && (!f.etag.none() || !f.lastModified.IsZero())
}

// Freshen applies a 304 to m (RFC 9111 §4.3.4, §3.2) and returns the new Meta;
// false when the 304's validators say that it is about another response, or its
// Vary that m was selected by too few fields.
//
// A Set-Cookie of the 304 is meant for the client whose request was forwarded.
// It becomes part of the stored response only where that states its freshness;
// it is for the caller to pass it on to that client, see CopyOwn.
func Freshen(m *Meta, h http.Header, requested, received time.Time) (*Meta, bool) {
	c := m.read()
	update := readFacts(h, requested, received)
	if !c.identifies(update) || !m.selectedBy(h["Vary"]) {
		return nil, false
	}
	return m.updated(h, requested, received), true
}

// CopyOwn adds to h, the fields of an answer from m, those that the 304 which
// made m has for nobody but the client whose request it answers: cookies, and
// what private="…" and no-cache="…" list (RFC 9111 §5.2.2.4, §5.2.2.7).
func CopyOwn(h http.Header, m *Meta, of304 http.Header) {
	for _, name := range append(slices.Clip(m.read().cc.withheld), "Set-Cookie") {
		if lines := of304[name]; lines != nil {
			h[name] = lines
		}
	}
}

// identifies reports whether a 304 with these validators is about the response
// that f describes. One without any is: the request named one response only.
func (f *facts) identifies(update facts) bool {
	switch {
	case update.etag.strong() && !f.etag.none():
		return f.etag.matchStrongly(update.etag)
	case !update.etag.none() && !f.etag.none():
		return f.etag.matchWeakly(update.etag)
	case update.lastModified.IsZero() || f.lastModified.IsZero():
		return update.etag.none()
	}
	return f.lastModified.Equal(update.lastModified)
}

// FreshenHead applies the answer to a HEAD, a 200, to the GET response m
// (RFC 9111 §4.3.5): the updated Meta, or nil when the stored response must be
// invalidated, since a validator or the length differs.
func FreshenHead(m *Meta, h http.Header, requested, received time.Time) *Meta {
	c := m.read()
	update := readFacts(h, requested, received)
	length := contentLength(http.StatusOK, h)
	switch {
	case m.Status != http.StatusOK && m.Spans == nil,
		!update.etag.none() && !c.etag.matchWeakly(update.etag),
		!update.lastModified.IsZero() && !c.lastModified.Equal(update.lastModified),
		length >= 0 && m.Total >= 0 && length != m.Total,
		!m.selectedBy(h["Vary"]):
		return nil
	}
	return m.updated(h, requested, received)
}

// selectedBy reports that a Vary names no field that m was not selected by.
func (m *Meta) selectedBy(vary []string) bool {
	for name := range elements(vary) {
		name = lowerASCII(name)
		if !slices.ContainsFunc(m.Vary, func(s Selector) bool { return s.Name == name }) {
			return false
		}
	}
	return true
}

// updated is m with the fields of a newer answer.
func (m *Meta) updated(h http.Header, requested, received time.Time) *Meta {
	u := m.clone()
	u.Requested, u.Received, u.Steady = requested, received, time.Time{}
	u.Header = updatedHeader(m.Header, h, received)
	return u
}

// clone copies the public fields; Header, Vary and Spans stay shared.
func (m *Meta) clone() *Meta {
	return &Meta{
		Key: m.Key, Vary: m.Vary, Status: m.Status, Header: m.Header,
		Requested: m.Requested, Received: m.Received, Steady: m.Steady,
		Length: m.Length, Total: m.Total, Spans: m.Spans,
	}
}

// updatedHeader is RFC 9111 §3.2: each field of update replaces the stored one,
// but for those that describe the stored bytes.
func updatedHeader(stored, update http.Header, received time.Time) http.Header {
	lines := update["Cache-Control"]
	if lines == nil { // what was said before goes on
		lines = stored["Cache-Control"]
	}
	cc := parseResponseDirectives(lines)
	fields := storedHeader(update, cc.withheld, received)
	h := make(http.Header, len(stored)+len(fields))
	for name, lines := range stored {
		// Age belongs to the message it came with.
		if name != "Age" && !slices.Contains(cc.withheld, name) {
			h[name] = lines
		}
	}
	for name, lines := range fields {
		if !describesBody(name) && name != "Set-Cookie" && name != "Vary" {
			h[name] = lines
		}
	}
	if cookies := fields["Set-Cookie"]; cookies != nil && statesFreshness(h) {
		h["Set-Cookie"] = cookies
	}
	return h
}

// describesBody lists the fields that an update leaves alone: the body stays, so
// they must go on describing it.
func describesBody(name string) bool {
	switch name {
	case "Content-Encoding", "Content-Length", "Content-Range":
		return true
	}
	return false
}

func statesFreshness(h http.Header) bool {
	cc := parseResponseDirectives(h["Cache-Control"])
	return cc.maxAge.set || cc.sMaxAge.set || h["Expires"] != nil
}
