package proxy

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"github.com/cachenode/cachenode/accesslog"
	"github.com/cachenode/cachenode/cache"
	"github.com/cachenode/cachenode/http1"
	"github.com/cachenode/cachenode/proxy/upstream"
)

// exchange is one request on its way through the proxy. It lives on the
// request's goroutine and is not shared.
type exchange struct {
	p     *Proxy
	rules *rules
	w     http.ResponseWriter
	rc    http.ResponseController
	r     *http.Request
	url   *url.URL // the target, absolute; nil for CONNECT; of this exchange only, as is req
	req   *cache.Request

	target  url.URL       // what url points to
	request cache.Request // what req points to
	seen    sighting      // of the store, for req

	ctx      context.Context // ends when the client leaves
	upload   *clientBody     // on its way to the origin, nil: none
	conn     *http1.Conn     // nil: another server's
	start    time.Time
	headSent bool
	served   bool // nothing went wrong on the way
	tunneled bool // the byte counts in entry are complete
	log      accesslog.Entry
	status   cache.Status
	member   [1]string // room for a Cache-Status that is ours alone
	active   activeEntry
}

func (p *Proxy) begin(w http.ResponseWriter, r *http.Request) *exchange {
	x := &exchange{
		p: p, rules: p.live.Load(), w: w, rc: *http.NewResponseController(w), r: r,
		ctx: r.Context(), start: p.d.Clock(),
	}
	if own, ok := w.(interface{ Conn() *http1.Conn }); ok {
		x.conn = own.Conn()
	}
	x.status.Node = p.d.Node
	client, _ := netip.ParseAddrPort(r.RemoteAddr) // zero when it is none
	x.log = accesslog.Entry{
		Client: client.Addr().Unmap(), Method: r.Method, URL: withoutUserinfo(r.RequestURI), Proto: r.Proto,
		Referer: r.Referer(), UserAgent: r.UserAgent(),
		RequestID: p.stats.requests.Add(1),
	}
	x.active = activeEntry{id: x.log.RequestID, client: client, method: r.Method, url: x.log.URL, started: x.start}
	p.active.add(&x.active)
	return x
}

// end logs the request, also when its handler panics to abort the connection.
func (x *exchange) end() {
	x.finish()
	defer x.p.active.remove(&x.active)
	e := &x.log
	e.Time = x.p.d.Clock()
	e.Duration = max(0, e.Time.Sub(x.start))
	if x.conn != nil && !x.tunneled {
		e.BytesOut, e.BytesIn = x.conn.Sent(), x.conn.Received()
	}
	if x.headSent && e.CacheStatus == "" {
		e.CacheStatus = x.status.String()
	}
	if x.active.claim() {
		x.p.d.Record(e)
	}
}

// finish has the rest of a response written, so that all of it is counted. A
// response that something went wrong with is never made whole.
func (x *exchange) finish() {
	own, ok := x.w.(interface{ Finish() error })
	if ok && x.headSent && x.served && !x.tunneled && !x.log.Result.Aborted && own.Finish() != nil {
		x.log.Result.Aborted = true
	}
}

// push sends what there is: the origin is taking its time, as an event stream does.
func (x *exchange) push() {
	if x.headSent {
		_ = x.rc.Flush() // a client that is gone fails the next write too
	}
}

// writeHead sends the status and what stands in the header map.
func (x *exchange) writeHead(status int) {
	h := x.w.Header()
	if _, ok := h["Content-Type"]; !ok {
		h["Content-Type"] = nil // or net/http sniffs one
	}
	if x.upload != nil && !x.upload.whole() {
		// Else net/http reads the rest away under the upload, and takes what it
		// cannot for the next request.
		h["Connection"] = []string{"close"}
	}
	x.p.addVia(h, 1)
	if x.p.o.Headers.CacheStatusKey && x.req != nil {
		x.status.Key = x.req.Key
	}
	x.log.CacheStatus = x.cacheStatus(h)
	if x.p.o.Headers.SquidCompat {
		x.squidFields(h)
	}
	x.headSent = true
	x.log.Status = status
	x.log.ContentType = h.Get("Content-Type")
	x.log.TTFB = max(0, x.p.d.Clock().Sub(x.start))
	x.w.WriteHeader(status)
}

// cacheStatus adds our member to Cache-Status and returns it.
func (x *exchange) cacheStatus(h http.Header) string {
	var room [128]byte
	member := string(x.status.Append(room[:0]))
	if len(h["Cache-Status"]) == 0 {
		x.member[0] = member
		h["Cache-Status"] = x.member[:]
	} else {
		cache.AppendMember(h, x.status)
	}
	return member
}

func (x *exchange) squidFields(h http.Header) {
	what := "MISS"
	if x.status.Hit {
		what = "HIT"
	}
	h["X-Cache"] = append(slices.Clip(h["X-Cache"]), what+" from "+x.p.d.Node)
	if addr, ok := x.r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		_, port, _ := net.SplitHostPort(addr.String())
		h["X-Cache-Lookup"] = append(slices.Clip(h["X-Cache-Lookup"]), what+" from "+x.p.d.Node+":"+port)
	}
}

// interim passes an informational response on (RFC 9110 §15.2); HTTP/1.0
// clients know none.
func (x *exchange) interim(code int, h http.Header) {
	if !x.r.ProtoAtLeast(1, 1) || x.headSent {
		return
	}
	out := x.w.Header()
	clear(out)
	maps.Copy(out, stripHop(h))
	x.w.WriteHeader(code)
	clear(out)
}

// from notes where the response was fetched.
func (x *exchange) from(route upstream.Route) {
	x.log.Hier, x.log.Peer = route.Hier, route.Peer
}

// abort cuts the connection, so that nobody takes what was sent for a whole
// response. It does not return.
func (x *exchange) abort() {
	x.log.Result.Aborted = true
	if x.headSent && x.conn != nil && !x.r.ProtoAtLeast(1, 1) {
		x.conn.Reset() // a close is how bodies end in HTTP/1.0
	}
	panic(http.ErrAbortHandler)
}

// clientGone notes that the client left before the answer did.
func (x *exchange) clientGone() {
	x.log.Result.Aborted = true
	if !x.headSent {
		x.abort()
	}
}

// isTimeout reports an expired deadline.
func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &t) && t.Timeout()
}
