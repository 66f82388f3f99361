package proxy

import (
	"maps"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cachenode/cachenode/cache"
	"github.com/cachenode/cachenode/http1"
	"github.com/cachenode/cachenode/internal/prefetch"
)

// readyHead is the head of an answer from a stored response, but for what
// differs from one answer to the next. Its strings are parts of one, since to
// reach another costs more than to copy it.
type readyHead struct {
	status      int
	body        cache.Span // what follows, of the stored body
	contentType string
	parts       [3]string // what goes before, between and behind Age and our member of Cache-Status
}

// readyHeads are what is kept beside the metadata of a stored response.
type readyHeads struct {
	by         *Proxy
	whole      readyHead
	unmodified atomic.Pointer[readyHead]
}

// headFor returns the head of an answer of one piece.
func (p *Proxy) headFor(m *cache.Meta, a cache.Answer) *readyHead {
	heads, ok := m.Attached().(*readyHeads)
	if !ok || heads.by != p {
		heads = &readyHeads{by: p}
		heads.whole.init(p, m, cache.Answer{Status: m.Status})
		m.Attach(heads)
	}
	switch a.Status {
	case m.Status:
		return &heads.whole
	case http.StatusNotModified:
		if h := heads.unmodified.Load(); h != nil {
			return h
		}
	}
	h := new(readyHead)
	h.init(p, m, a)
	if a.Status == http.StatusNotModified {
		heads.unmodified.Store(h)
	}
	return h
}

// init makes the head that exchange.stored sends.
func (r *readyHead) init(p *Proxy, m *cache.Meta, a cache.Answer) {
	h := maps.Clone(m.Header)
	r.status, r.body = a.Status, answerFields(h, m, a)
	p.addVia(h, 1)
	const age, cacheStatus = "Age", "Cache-Status"
	nearer := h[cacheStatus] // the members of the caches nearer to the origin
	delete(h, age)
	delete(h, cacheStatus)
	var ends [3]int
	b := http1.AppendStatus(nil, a.Status)
	b = http1.AppendFields(b, h, "", age)
	b = append(b, age+": "...)
	ends[0] = len(b)
	b = append(b, "\r\n"...)
	b = http1.AppendFields(b, h, age, cacheStatus)
	b = append(b, cacheStatus+": "...)
	for _, line := range nearer {
		if line = strings.Trim(line, " \t"); line != "" {
			b = append(b, line+", "...)
		}
	}
	ends[1] = len(b)
	b = append(b, "\r\n"...)
	b = http1.AppendFields(b, h, cacheStatus, "")
	if h["Content-Length"] != nil {
		b = http1.AppendLength(b, r.body.Len)
	}
	ends[2] = len(b)
	text := string(append(b, h.Get("Content-Type")...))
	r.parts = [3]string{text[:ends[0]], text[ends[0]:ends[1]], text[ends[1]:ends[2]]}
	r.contentType = text[ends[2]:]
}

// append appends the whole head. member is ours of Cache-Status.
func (r *readyHead) append(b []byte, age time.Duration, member []byte, persist bool) []byte {
	b = append(b, r.parts[0]...)
	b = appendAge(b, age)
	b = append(b, r.parts[1]...)
	b = append(b, member...)
	b = append(b, r.parts[2]...)
	return http1.AppendEnd(b, persist)
}

// prefetchHeads asks the memory for what an answer from m needs, and prefetchText
// for what that refers to.
func prefetchHeads(m *cache.Meta) {
	m.Prefetch()
	if heads, ok := m.Attached().(*readyHeads); ok {
		prefetch.Of(heads)
	}
}

func prefetchText(m *cache.Meta) {
	if heads, ok := m.Attached().(*readyHeads); ok {
		h := &heads.whole
		prefetch.String(h.parts[0])
		prefetch.String(h.parts[1])
		prefetch.String(h.parts[2])
	}
}
