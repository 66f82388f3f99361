package cache

import (
	"net/http"
	"slices"
	"strconv"
	"time"
)

// takePart makes m the partial response that the 206 with header h is; false
// when its Content-Range is missing or invalid, or contradicts its length. A 206
// that holds all of a representation becomes a 200.
func (m *Meta) takePart(h http.Header) bool {
	lines := h["Content-Range"]
	if len(lines) != 1 {
		return false // multipart/byteranges has none
	}
	span, total, ok := ParseContentRange(lines[0])
	if !ok || m.Length >= 0 && m.Length != span.Len {
		return false
	}
	m.setSpans([]Span{span}, total)
	return true
}

// setSpans makes m hold these bytes of total, and its Header owe nothing to the
// message that brought them.
func (m *Meta) setSpans(spans []Span, total int64) {
	m.Status, m.Spans, m.Total, m.Length = http.StatusPartialContent, spans, total, 0
	for _, s := range spans {
		m.Length += s.Len
	}
	if m.Length == total {
		m.Status, m.Spans = http.StatusOK, nil
	}
	delete(m.Header, "Content-Range")
	delete(m.Header, "Content-Length")
}

// Complete is m as it may be committed once its message has ended as its framing
// says, after n body bytes; false when n contradicts what m says it holds.
func Complete(m *Meta, n int64) (*Meta, bool) {
	if m.Length == n {
		return m, true
	}
	if m.Spans != nil || m.Length >= 0 {
		return nil, false
	}
	whole := m.clone()
	whole.Length, whole.Total = n, n
	return whole, true
}

// Completable reports whether a partial response may be joined with other parts
// at all: it has a strong validator (RFC 9111 §3.4). When it has not, what it
// lacks cannot be fetched alone, and the answer is a miss.
func Completable(m *Meta) bool {
	c := m.read()
	return c.etag.strong() || c.etag.none() && c.lastModifiedIsStrong()
}

// SetRange makes h, the header of an outgoing request, ask for the bytes want of
// the representation that m is a part of, or for all of it should it have
// changed (RFC 9110 §13.1.5). It replaces the client's conditions and range.
// False: m is not Completable, h is without conditions and range.
func SetRange(h http.Header, m *Meta, want Span) bool {
	dropConditions(h)
	delete(h, "Range")
	delete(h, "If-Range")
	if !Completable(m) {
		return false
	}
	spec := "bytes=" + strconv.FormatInt(want.Off, 10) + "-"
	if want.End() < m.Total {
		spec += strconv.FormatInt(want.End()-1, 10)
	}
	h["Range"] = []string{spec}
	validator := m.Header["Etag"]
	if m.read().etag.none() {
		validator = m.Header["Last-Modified"]
	}
	h["If-Range"] = []string{firstLine(validator)}
	return true
}

// Combine joins the header of a 206 that fills gaps with the partial response
// m (RFC 9111 §3.4). It returns the Meta of the combined response (Spans nil
// and Status 200 when it is whole now); false when they are not parts of one
// representation (strong validators differ, or the total).
func Combine(m *Meta, h http.Header, got Span, requested, received time.Time) (*Meta, bool) {
	span, total, ok := ParseContentRange(firstLine(h["Content-Range"]))
	if !ok || m.Spans == nil || total != m.Total || got.Len <= 0 || got.Off < span.Off || got.End() > span.End() {
		return nil, false
	}
	if update := readFacts(h, requested, received); !m.read().samePart(update) || !m.selectedBy(h["Vary"]) {
		return nil, false
	}
	joined := m.updated(h, requested, received)
	joined.setSpans(joinSpans(append(slices.Clone(m.Spans), got)), total)
	return joined, true
}

// SameRepresentation reports that a and b hold bytes of one representation, by
// their strong validators and its length.
func SameRepresentation(a, b *Meta) bool {
	return a.Total == b.Total && a.read().samePart(b.read().facts)
}

// samePart reports that two parts share a strong validator.
func (f *facts) samePart(other facts) bool {
	if !f.etag.none() || !other.etag.none() {
		return f.etag.matchStrongly(other.etag)
	}
	return f.lastModifiedIsStrong() && other.lastModifiedIsStrong() && f.lastModified.Equal(other.lastModified)
}

// fillIn completes the answer of a partial response: all of a representation is
// a 200, and the bytes it lacks are missing.
func (m *Meta) fillIn(a *Answer) {
	switch a.Status {
	case http.StatusPartialContent:
		if a.Spans == nil { // the stored status, no range was asked for
			a.Status = http.StatusOK
			a.Missing = gaps(m.Spans, Span{Len: m.Total})
			return
		}
		for _, s := range a.Spans {
			a.Missing = append(a.Missing, gaps(m.Spans, s)...)
		}
	}
}

func gaps(have []Span, want Span) []Span {
	var missing []Span
	for _, p := range Plan(have, want) {
		if !p.FromStore {
			missing = append(missing, p.Span)
		}
	}
	return missing
}

// Piece is a run of bytes of a representation and where it comes from.
type Piece struct {
	Span      Span
	FromStore bool
	BodyOff   int64 // where it starts in the stored body, if FromStore
}

// Plan cuts the bytes want into the pieces that a stored body with the spans
// have can give and those it lacks, in ascending order without gaps.
func Plan(have []Span, want Span) []Piece {
	var pieces []Piece
	at, body := want.Off, int64(0)
	for _, s := range have {
		from, to := max(s.Off, at), min(s.End(), want.End())
		if from < to {
			if at < from {
				pieces = append(pieces, Piece{Span: Span{at, from - at}})
			}
			pieces = append(pieces, Piece{Span: Span{from, to - from}, FromStore: true, BodyOff: body + from - s.Off})
			at = to
		}
		body += s.Len
	}
	if at < want.End() {
		pieces = append(pieces, Piece{Span: Span{at, want.End() - at}})
	}
	return pieces
}
