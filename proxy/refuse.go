package proxy

import (
	"net/http"
	"strconv"

	"github.com/cachenode/cachenode/accesslog"
	"github.com/cachenode/cachenode/http1"
)

// Refuse implements http1.Handler: what the server cannot take for a request
// gets one of our pages and a line in the log like any other.
func (p *Proxy) Refuse(c *http1.Conn, f *http1.Fault) {
	r := refusalOfFault(f)
	e := &accesslog.Entry{
		Client: c.Client().Addr(), Method: string(f.Method), URL: withoutUserinfo(string(f.Target)), Proto: "HTTP/1." + strconv.Itoa(f.Minor),
		RequestID: p.stats.requests.Add(1), Result: accesslog.Result{None: true},
		Status: f.Status, ContentType: "text/html; charset=utf-8", ProxyError: r.kind,
	}
	if e.URL == "" {
		e.URL = "error:" + f.Kind
	}
	page := p.page.render(r, e.URL)
	head := p.refusedHead(c.Buffer(), r, len(page))
	if e.Method == http.MethodHead {
		page = nil
	}
	if err := c.Send(head, page); err != nil {
		e.Result.Aborted = true
		e.Result.TimedOut = isTimeout(err)
	}
	e.BytesIn, e.BytesOut = c.Received(), c.Sent()
	e.Time = p.d.Clock()
	e.Duration = max(0, e.Time.Sub(f.Began))
	e.TTFB = e.Duration
	p.d.Record(e)
}

// refusalOfFault words a fault as the refusals of the long way are.
func refusalOfFault(f *http1.Fault) *refusal {
	page, kind := errInvalidReq, "http_request_error"
	switch {
	case f.Status == http.StatusServiceUnavailable:
		page, kind = errCannotForward, "connection_limit_reached"
	case f.Status == http.StatusRequestHeaderFieldsTooLarge:
		page = errTooBig
	case f.Status == http.StatusNotImplemented, f.Status == http.StatusHTTPVersionNotSupported:
		page = errUnsupReq
	case f.Kind == "target", f.Kind == "target-too-long":
		page = errInvalidURL
	}
	return refuse(f.Status, page, f.Reason).as(kind)
}

// refusedHead appends the head of a refusal, its fields in the order in which
// the server writes them.
func (p *Proxy) refusedHead(b []byte, r *refusal, length int) []byte {
	field := func(name, value string) {
		b = append(append(append(append(b, name...), ": "...), value...), "\r\n"...)
	}
	b = append(b, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(r.status), 10)
	b = append(append(append(b, ' '), http.StatusText(r.status)...), "\r\n"...)
	field("Cache-Control", "no-store")
	field("Connection", "close")
	field("Content-Language", "en")
	field("Content-Length", strconv.Itoa(length))
	field("Content-Type", "text/html; charset=utf-8")
	field("Date", p.d.Clock().UTC().Format(http.TimeFormat))
	field("Proxy-Status", p.d.Node+"; error="+r.kind)
	if r.status == http.StatusServiceUnavailable {
		field("Retry-After", "5")
	}
	field("Via", p.via[1])
	if p.o.Headers.SquidCompat {
		field("X-Squid-Error", r.page+" 0")
	}
	return append(b, "\r\n"...)
}
