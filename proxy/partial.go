package proxy

import (
	"errors"
	"net/http"
	"time"

	"github.com/cachenode/cachenode/cache"
)

// merge is what a stored partial response adds to fetched bytes to make the
// combined one, in order (RFC 9111 §3.4): runs of the stored body.
type merge struct {
	before, after []cache.Span // offsets in the stored body
}

// reasonAside says that much more of the representation is stored.
const reasonAside cache.Reason = "small-part"

// errOtherRepresentation says that the origin's bytes do not belong to the
// stored ones.
var errOtherRepresentation = errors.New("the stored part is of another representation")

// What is joined is written anew. More than this is copied only for an answer of
// some length: so many bytes for each of its own.
const (
	copyFreely  = 4 << 20
	copyPerByte = 16
)

// worthJoining reports whether a part is to be joined with what it lacks for
// this answer. Else a client that reads a large representation in small ranges
// would have all of it copied for each of them.
func worthJoining(m *cache.Meta, a cache.Answer) bool {
	sent := m.Total
	if len(a.Spans) > 0 {
		sent = 0
		for _, s := range a.Spans {
			sent += s.Len
		}
	}
	return m.Length <= copyFreely || m.Length/copyPerByte <= sent
}

// complete fetches the bytes that obj lacks for this answer, and answers from
// the combined response. obj goes with the fetch.
func (x *exchange) complete(obj cache.Object, a cache.Answer) {
	if x.req.OnlyIfCached() {
		obj.Release()
		x.notCached()
		return
	}
	x.forward(cache.FwdPartial, "")
	f := x.fill(nil)
	first, last := a.Missing[0], a.Missing[len(a.Missing)-1]
	want := cache.Span{Off: first.Off, Len: last.End() - first.Off}
	joining := worthJoining(obj.Meta(), a)
	if !joining || !cache.Completable(obj.Meta()) { // what has no strong validator belongs to nothing
		obj.Release()
		f.aside = !joining
		x.fetch(f)
		return
	}
	cache.SetRange(f.header, obj.Meta(), want)
	f.base, f.missing, f.alone = obj, want, true
	x.fetch(f)
}

// combine joins the answer to a completing request with the stored part. A
// whole new response replaces the part; anything else makes the fetch fail with
// errOtherRepresentation.
func (fl *flight) combine(h http.Header, sent, received time.Time) merge {
	f := &fl.fill
	if fl.status == http.StatusOK {
		fl.admit(h, sent, received)
		return merge{}
	}
	base := f.base.Meta()
	span, _, ok := cache.ParseContentRange(h.Get("Content-Range"))
	if ok && span == f.missing && fl.length == span.Len && fl.status == http.StatusPartialContent && f.base.Verify() == nil {
		if m, ok := cache.Combine(base, h, f.missing, sent, received); ok {
			fl.meta, fl.length = m, m.Length
			_, fl.why = f.rules.policy.Admit(f.req, http.StatusOK, m.Header, sent, received)
			return around(base.Spans, f.missing)
		}
	}
	fl.err = errOtherRepresentation
	return merge{}
}

// around cuts what spans hold outside of got, as runs of the body that keeps
// them one after the other.
func around(spans []cache.Span, got cache.Span) (m merge) {
	var at int64 // where the span begins in the body
	for _, s := range spans {
		if head := min(s.End(), got.Off) - s.Off; head > 0 {
			m.before = append(m.before, cache.Span{Off: at, Len: head})
		}
		if tail := s.End() - max(s.Off, got.End()); tail > 0 {
			m.after = append(m.after, cache.Span{Off: at + s.Len - tail, Len: tail})
		}
		at += s.Len
	}
	return m
}

// copyStored moves runs of the stored part into the combined body.
func (fl *flight) copyStored(runs []cache.Span) error {
	if len(runs) == 0 {
		return nil
	}
	buf := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buf)
	for _, run := range runs {
		for off := run.Off; off < run.End(); {
			n, err := fl.fill.base.ReadAt((*buf)[:min(int64(len(*buf)), run.End()-off)], off)
			if n == 0 && err != nil {
				return err
			}
			if fl.body.write(&fl.ctx, (*buf)[:n], false) != nil {
				return errAbandoned
			}
			off += int64(n)
		}
	}
	return nil
}

// bodyRun says where the bytes of a span of the representation stand in the
// body that m describes; false when they are not all there in one run.
func bodyRun(m *cache.Meta, want cache.Span) (int64, bool) {
	if m.Spans == nil {
		return want.Off, true
	}
	var at int64
	for _, s := range m.Spans {
		if want.Off >= s.Off && want.End() <= s.End() {
			return at + want.Off - s.Off, true
		}
		at += s.Len
	}
	return 0, false
}
