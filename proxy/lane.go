package proxy

import (
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/cachenode/cachenode/accesslog"
	"github.com/cachenode/cachenode/acl"
	"github.com/cachenode/cachenode/cache"
	"github.com/cachenode/cachenode/http1"
	"github.com/cachenode/cachenode/internal/prefetch"
)

// lane is what one request needs on the short lane: a fresh stored response
// answers it without an http.Request. Nothing in it outlives the request, and
// its strings are views of the connection's buffer.
//
// The lane knows no rules of its own. It evaluates the same functions as the
// long way, over as much of the request as those may read, and whatever is
// unusual it leaves to the long way, before it has done anything that shows.
type lane struct {
	p     *Proxy
	conn  *http1.Conn
	wire  *http1.Request
	rules *rules
	start time.Time

	method string
	url    string
	to     target

	req    cache.Request
	fields fieldViews
	metas  []*cache.Meta
	client netip.Addr
	status cache.Status
	log    accesslog.Entry
	active activeEntry
	member []byte // our member of Cache-Status
}

var lanes = sync.Pool{New: func() any { return new(lane) }}

// view is b as a string, for as long as b is not written to.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// Short implements http1.Handler: it answers what a stored response answers as
// it is, and returns false for all else.
func (p *Proxy) Short(c *http1.Conn, r *http1.Request) bool {
	rules := p.live.Load()
	if !p.short || !rules.short {
		return false
	}
	l := lanes.Get().(*lane)
	l.p, l.conn, l.wire, l.rules = p, c, r, rules
	done := l.serve()
	l.reset()
	lanes.Put(l)
	return done
}

// reset lets go of everything that is not the lane's own.
func (l *lane) reset() {
	l.fields.reset()
	clear(l.metas)
	fields, metas, member := l.fields, l.metas[:0], l.member[:0]
	*l = lane{}
	l.fields, l.metas, l.member = fields, metas, member
}

// asked is when the request on c was whole. A reading of the clock costs as much
// as a look-up, and the connection has one.
func (p *Proxy) asked(c *http1.Conn) time.Time {
	if p.wall {
		return c.Asked()
	}
	return p.d.Clock()
}

// since is the time since the clock said t, not negative.
func (p *Proxy) since(t time.Time) time.Duration {
	if p.wall {
		return max(0, time.Since(t)) // reads half of the clock
	}
	return max(0, p.d.Clock().Sub(t))
}

// serve is the life of a request on the short lane.
func (l *lane) serve() bool {
	if !l.check() {
		return false
	}
	l.start = l.p.asked(l.conn)
	if !l.permit() {
		return false
	}
	obj := l.lookup()
	if obj == nil {
		return false
	}
	done := l.hit(obj)
	obj.Release()
	return done
}

// check is exchange.check and what decides the way there, for requests about
// which they could say nothing.
func (l *lane) check() bool {
	r := l.wire
	switch {
	case string(r.Method) == http.MethodGet:
		l.method = http.MethodGet
	case string(r.Method) == http.MethodHead:
		l.method = http.MethodHead
	default:
		return false
	}
	if r.Length != 0 || len(r.Fields) > l.p.o.Client.MaxFields || len(r.Target) > int(l.p.o.Client.MaxURI) {
		return false
	}
	var ok bool
	l.url = view(r.Target)
	if l.to, ok = plainTarget(l.url); !ok {
		return false
	}
	return l.fields.read(r.Fields, l.p.d.Node)
}

// permit is exchange.permit without authentication; a refusal is the long way's.
func (l *lane) permit() bool {
	l.client = l.wire.Client.Addr().Unmap()
	known, _ := l.conn.Kept.(*permit)
	if known != nil && known.covers(l) {
		return true
	}
	v := l.rules.access.Check(&acl.Query{
		Client: l.client, Method: l.method,
		Scheme: l.to.scheme, Host: l.to.host, Port: l.to.port, URL: l.url, Time: l.start,
	})
	if v.Allow && l.rules.steady {
		if known == nil {
			known = new(permit)
			l.conn.Kept = known
		}
		known.take(l)
	}
	return v.Allow
}

// permit is what was allowed on a connection last. Its client stays the same.
type permit struct {
	rules          *rules
	method, scheme string
	host           []byte
	port           uint16
}

func (p *permit) covers(l *lane) bool {
	return p.rules == l.rules && p.port == l.to.port && p.method == l.method && p.scheme == l.to.scheme && string(p.host) == l.to.host
}

func (p *permit) take(l *lane) {
	*p = permit{l.rules, l.method, l.to.scheme, append(p.host[:0], l.to.host...), l.to.port}
}

// lookup is exchange.answer up to the stored response that the request selects,
// pinned; nil: there is none here.
func (l *lane) lookup() cache.Object {
	l.req.Reset(l.method, l.url, l.fields.header)
	if ok, _, _ := l.rules.policy.Lookup(&l.req); !ok {
		return nil
	}
	found := l.p.peek(l.url)
	if len(found) == 0 {
		return nil
	}
	known := true
	for _, o := range found {
		m := o.Meta()
		prefetchHeads(m)
		l.metas = append(l.metas, m)
		known = known && l.fields.selecting(m.Vary, l.wire.Fields, l.p.o.Headers.ForwardedFor)
	}
	l.req.Header = l.fields.header
	pick := -1
	if known {
		pick, _ = cache.Select(&l.req, l.metas)
	}
	var obj cache.Object
	for i, o := range found {
		if i == pick {
			obj = o
		} else {
			o.Release()
		}
	}
	return obj
}

// hit is exchange.hit for answers of one piece.
func (l *lane) hit(obj cache.Object) bool {
	m := obj.Meta()
	prefetchText(m)
	d := l.rules.policy.Reuse(&l.req, m, l.start)
	if d.Verdict != cache.Hit || m.Spans != nil || m.Total != m.Length || !entire(m.Status) {
		return false
	}
	a := cache.Evaluate(&l.req, m)
	if len(a.Missing) > 0 || len(a.Spans) > 1 {
		return false
	}
	if obj.Verify() != nil {
		l.p.damaged.note(m.Key)
		return false
	}
	prefetch.Bytes(obj.Bytes(), firstBytes)
	l.status = cache.Status{Node: l.p.d.Node, Hit: true, HasTTL: true, TTL: d.TTL, Detail: hitDetail(d, obj.Tier())}
	if l.p.o.Headers.CacheStatusKey {
		l.status.Key = m.Key
	}
	h := l.p.headFor(m, a)
	l.begin(h, m, a, obj)
	l.answer(h, obj, d.Age)
	l.end()
	return true
}

// firstBytes is how much of a body is asked for early; the memory goes on by
// itself.
const firstBytes = 512

// entire reports a stored status whose response has a body, and all of it.
func entire(status int) bool {
	switch status {
	case http.StatusNoContent, http.StatusResetContent, http.StatusPartialContent, http.StatusNotModified:
		return false
	}
	return status >= 200
}

// begin is Proxy.begin: from here on the request is the lane's, and logged by it.
func (l *lane) begin(h *readyHead, m *cache.Meta, a cache.Answer, obj cache.Object) {
	r := l.wire
	l.member = l.status.Append(l.member[:0])
	l.log = accesslog.Entry{
		Client: l.client, Method: l.method, URL: l.url, Proto: protos[r.Minor&1],
		Referer: l.fields.referer, UserAgent: l.fields.userAgent, RequestID: l.p.stats.requests.Add(1),
		Status: h.status, ContentType: h.contentType, CacheStatus: view(l.member),
	}
	l.log.Result.Tag = hitTag(l.fields.get("If-None-Match") != "", m, a, obj.Tier())
	l.active = activeEntry{id: l.log.RequestID, client: r.Client, method: l.method, url: l.url, started: l.start}
	l.p.active.add(&l.active)
}

var protos = [2]string{"HTTP/1.0", "HTTP/1.1"}

// end is exchange.end.
func (l *lane) end() {
	e := &l.log
	e.Duration = l.p.since(l.start)
	e.Time = l.start.Add(e.Duration)
	if e.TTFB == 0 {
		e.TTFB = e.Duration
	}
	e.BytesIn, e.BytesOut = l.conn.Received(), l.conn.Sent()
	if l.active.claim() {
		l.p.d.Record(e)
	}
	l.p.active.remove(&l.active)
}

// answer sends the head and what of the body goes with it.
func (l *lane) answer(h *readyHead, obj cache.Object, age time.Duration) {
	span := h.body
	if l.method == http.MethodHead {
		span.Len = 0
	}
	head := h.append(l.conn.Buffer(), age, l.member, l.conn.Persist(l.wire))
	if span.Len > longBody {
		l.log.TTFB = max(1, l.p.since(l.start))
	}
	if err := l.send(head, obj, span); err != nil {
		l.log.Result.Aborted, l.log.Result.TimedOut = true, isTimeout(err)
		if l.wire.Minor == 0 {
			l.conn.Reset() // a close is how bodies end in HTTP/1.0
		}
	}
}

// longBody is the length above which the last byte may go much later than the
// first.
const longBody = 64 << 10

// send sends head and a part of the body: from its file where all of it is known
// to be sound, else in checked blocks.
func (l *lane) send(head []byte, obj cache.Object, span cache.Span) error {
	if span.Len == 0 {
		return l.conn.Send(head, nil)
	}
	if b := obj.Bytes(); b != nil {
		return l.conn.Send(head, b[span.Off:span.End()])
	}
	if in, ok := obj.(cache.InFile); ok {
		if f, off := in.File(); f != nil {
			return l.conn.SendFrom(head, f, off+span.Off, span.Len)
		}
	}
	return l.conn.SendFrom(head, obj, span.Off, span.Len)
}

// damaged are the keys of which the short lane has just found an object to be
// damaged, and which the long way would otherwise not find at all.
type damaged struct {
	n    atomic.Int64
	keys sync.Map // string → nothing
}

func (d *damaged) note(key string) {
	if _, there := d.keys.LoadOrStore(key, nil); !there {
		d.n.Add(1)
	}
}

// take reports whether key was noted, once.
func (d *damaged) take(key string) bool {
	if d.n.Load() == 0 {
		return false
	}
	_, there := d.keys.LoadAndDelete(key)
	if there {
		d.n.Add(-1)
	}
	return there
}
