package proxy

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cachenode/cachenode/cache"
)

// readyHead is the head of an answer from a stored response, but for the fields
// that differ from one answer to the next.
type readyHead struct {
	status      int
	contentType string
	body        cache.Span // what follows, of the stored body
	parts       [4]string  // what goes before, between and behind Age, Cache-Status and Connection
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
	r := &readyHead{status: a.Status, body: answerFields(h, m, a), contentType: h.Get("Content-Type")}
	p.addVia(h, 1)
	r.write(h)
	return r
}

// write fills parts with the fields of h in the order of their names.
func (r *readyHead) write(h http.Header) {
	const age, cacheStatus, connection = "Age", "Cache-Status", "Connection"
	members := h[cacheStatus]
	h[age], h[cacheStatus], h[connection] = nil, nil, nil
	var b strings.Builder
	b.WriteString("HTTP/1.1 " + strconv.Itoa(r.status) + " " + http.StatusText(r.status) + "\r\n")
	part := 0
	cut := func() {
		r.parts[part] = b.String()
		b.Reset()
		part++
	}
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, v := range h[name] {
			b.WriteString(name + ": " + v + "\r\n")
		}
		switch name {
		case age, connection:
			cut()
		case cacheStatus:
			b.WriteString(cacheStatus + ": ")
			for _, line := range members { // of the caches nearer to the origin
				if line = strings.Trim(line, " \t"); line != "" {
					b.WriteString(line + ", ")
				}
			}
			cut()
		}
	}
	cut()
}

// append appends the whole head. member is ours of Cache-Status.
func (r *readyHead) append(b []byte, minor int, age time.Duration, member []byte, persist bool) []byte {
	b = append(b, r.parts[0]...)
	b = append(b, "Age: "...)
	b = appendAge(b, age)
	b = append(b, "\r\n"...)
	b = append(b, r.parts[1]...)
	b = append(b, member...)
	b = append(b, "\r\n"...)
	b = append(b, r.parts[2]...)
	switch {
	case !persist:
		b = append(b, "Connection: close\r\n"...)
	case minor == 0:
		b = append(b, "Connection: keep-alive\r\n"...)
	}
	b = append(b, r.parts[3]...)
	return append(b, "\r\n"...)
}
