package proxy

import (
	"maps"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cachenode/cachenode/cache"
	"github.com/cachenode/cachenode/http1"
)

// readyHead is the head of an answer from a stored response, but for what
// differs from one answer to the next.
type readyHead struct {
	status      int
	contentType string
	body        cache.Span // what follows, of the stored body
	length      int64      // what Content-Length says; negative: there is none
	parts       [3]string  // what goes before, between and behind Age and our member of Cache-Status
}

// readyHeads are what is kept beside the metadata of a stored response.
type readyHeads struct {
	by                *Proxy
	whole, unmodified atomic.Pointer[readyHead]
}

// headFor returns the head of an answer of one piece.
func (p *Proxy) headFor(m *cache.Meta, a cache.Answer) *readyHead {
	heads, ok := m.Attached().(*readyHeads)
	if !ok || heads.by != p {
		heads = &readyHeads{by: p}
		m.Attach(heads)
	}
	var kept *atomic.Pointer[readyHead]
	switch a.Status {
	case http.StatusNotModified:
		kept = &heads.unmodified
	case m.Status:
		kept = &heads.whole
	default:
		return p.newHead(m, a)
	}
	if h := kept.Load(); h != nil {
		return h
	}
	h := p.newHead(m, a)
	kept.Store(h)
	return h
}

// newHead makes the head that exchange.stored sends.
func (p *Proxy) newHead(m *cache.Meta, a cache.Answer) *readyHead {
	h := maps.Clone(m.Header)
	r := &readyHead{status: a.Status, body: answerFields(h, m, a), length: -1, contentType: h.Get("Content-Type")}
	if h["Content-Length"] != nil {
		r.length = r.body.Len
	}
	p.addVia(h, 1)
	const age, cacheStatus = "Age", "Cache-Status"
	nearer := h[cacheStatus] // the members of the caches nearer to the origin
	delete(h, age)
	delete(h, cacheStatus)
	b := http1.AppendStatus(nil, a.Status)
	b = http1.AppendFields(b, h, "", age)
	r.parts[0] = string(b)
	b = http1.AppendFields(b[:0], h, age, cacheStatus)
	b = append(b, cacheStatus+": "...)
	for _, line := range nearer {
		if line = strings.Trim(line, " \t"); line != "" {
			b = append(b, line+", "...)
		}
	}
	r.parts[1] = string(b)
	r.parts[2] = string(http1.AppendFields(b[:0], h, cacheStatus, ""))
	return r
}

// append appends the whole head. member is ours of Cache-Status.
func (r *readyHead) append(b []byte, age time.Duration, member []byte, persist bool) []byte {
	b = append(b, r.parts[0]...)
	b = append(b, "Age: "...)
	b = appendAge(b, age)
	b = append(b, "\r\n"...)
	b = append(b, r.parts[1]...)
	b = append(b, member...)
	b = append(b, "\r\n"...)
	b = append(b, r.parts[2]...)
	return http1.AppendFraming(b, r.length, persist)
}
