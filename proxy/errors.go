package proxy

import (
	"bytes"
	"context"
	"errors"
	"html/template"
	"net/http"
	"strconv"
	"syscall"

	"github.com/cachenode/cachenode/accesslog"
	"github.com/cachenode/cachenode/acl"
	"github.com/cachenode/cachenode/proxy/upstream"
)

// Names of squid's error pages that this package answers with itself; package
// upstream names those for origins.
const (
	errDenied        = "ERR_ACCESS_DENIED"
	errCacheDenied   = "ERR_CACHE_ACCESS_DENIED"
	errInvalidURL    = "ERR_INVALID_URL"
	errInvalidReq    = "ERR_INVALID_REQ"
	errInvalidResp   = "ERR_INVALID_RESP"
	errUnsupReq      = "ERR_UNSUP_REQ"
	errTooBig        = "ERR_TOO_BIG"
	errCannotForward = "ERR_CANNOT_FORWARD"
	errOnlyIfCached  = "ERR_ONLY_IF_CACHED_MISS"
	errShuttingDown  = "ERR_SHUTTING_DOWN"
)

const allowedMethods = "GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS, CONNECT"

// refusal is a request that the proxy answers itself with an error page.
type refusal struct {
	status int
	page   string // squid's name of the page
	kind   string // error type of Proxy-Status (RFC 9209 §2.3)
	why    string // for people: never an error text of the runtime
	reason string // label of the denied counter, empty if this is no denial
	keep   bool   // the connection may go on
	err    error
}

func refuse(status int, page, why string) *refusal {
	return &refusal{status: status, page: page, kind: "http_request_error", why: why}
}

func (r *refusal) as(kind string) *refusal {
	r.kind = kind
	return r
}

func (r *refusal) denied(reason string) *refusal {
	r.kind, r.reason, r.keep = "http_request_denied", reason, true
	return r
}

// refusalOf words an error of the way to the origin.
func refusalOf(err error) *refusal {
	e := upstream.Classify(err)
	why, ok := pageTexts[e.Page]
	if !ok {
		why = "The request could not be answered."
	}
	r := &refusal{status: e.Status, page: e.Page, kind: e.Type, why: why, keep: true, err: e.Err}
	var denied *acl.Denied
	switch {
	case errors.Is(err, context.Canceled): // ours: a client that is gone is told nothing
		r.status, r.page, r.kind, r.why = http.StatusServiceUnavailable, errShuttingDown, "proxy_internal_error", pageTexts[errShuttingDown]
	case errors.As(err, &denied) && denied.Reason == acl.DeniedLoop:
		return refuse(http.StatusBadGateway, errCannotForward, "The destination is this proxy itself.").as("proxy_loop_detected")
	case e.Type == "destination_ip_prohibited":
		r.reason = "destination"
	}
	return r
}

// pageTexts say what happened to whoever sees the page.
var pageTexts = map[string]string{
	errDenied:                 "The destination is not allowed by this proxy.",
	"ERR_CONNECT_FAIL":        "The origin server could not be connected to.",
	"ERR_DNS_FAIL":            "The name of the origin server could not be resolved.",
	"ERR_READ_TIMEOUT":        "The origin server did not answer in time.",
	"ERR_READ_ERROR":          "The connection to the origin server broke before it answered.",
	"ERR_ZERO_SIZE_OBJECT":    "The origin server closed the connection without an answer.",
	errTooBig:                 "The answer of the origin server exceeds a limit of this proxy.",
	"ERR_INVALID_RESP":        "The origin server sent something that is not a valid HTTP response.",
	"ERR_SECURE_CONNECT_FAIL": "A secure connection to the origin server could not be made.",
	errCannotForward:          "The request could not be forwarded.",
	errShuttingDown:           "This proxy is shutting down.",
}

// pages render error pages.
type pages struct {
	node string
	t    *template.Template
}

func newPages(node string) *pages {
	return &pages{node, template.Must(template.New("error").Parse(errorPage))}
}

// render makes the page of a refusal of a request for url.
func (p *pages) render(f *refusal, url string) []byte {
	var b bytes.Buffer
	err := p.t.Execute(&b, struct {
		Status                     int
		Text, Page, URL, Why, Node string
	}{f.status, http.StatusText(f.status), f.page, clip(url, 2048), f.why, p.node})
	if err != nil {
		panic(err) // the template is ours
	}
	return b.Bytes()
}

const errorPage = `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{{.Status}} {{.Text}}</title>
<style>body{font:1rem/1.5 system-ui,sans-serif;max-width:42rem;margin:3rem auto;padding:0 1rem}code{background:#eee;padding:.1em .3em;overflow-wrap:anywhere}small{color:#666}</style>
</head><body id="{{.Page}}"><h1>{{.Status}} {{.Text}}</h1>
<p>While asking for <code>{{.URL}}</code>:</p><p>{{.Why}}</p>
<hr><small>{{.Page}} &middot; {{.Node}} (cachenode)</small></body></html>
`

// fail answers with the page of a refusal, or cuts the connection when the
// response has begun.
func (x *exchange) fail(f *refusal) {
	if x.headSent {
		x.abort()
	}
	if x.ctx.Err() != nil && f.err != nil {
		x.clientGone()
	}
	page := x.p.page.render(f, x.log.URL)
	h := x.w.Header()
	h["Content-Type"] = []string{"text/html; charset=utf-8"}
	h["Content-Language"] = []string{"en"}
	h["Cache-Control"] = []string{"no-store"}
	h["Content-Length"] = []string{strconv.Itoa(len(page))}
	h["Proxy-Status"] = []string{x.p.d.Node + "; error=" + f.kind}
	if x.p.o.Headers.SquidCompat {
		h["X-Squid-Error"] = []string{f.page + " " + strconv.Itoa(errno(f.err))}
	}
	if !f.keep || x.r.Method == http.MethodConnect && f.status != http.StatusProxyAuthRequired {
		// Behind a CONNECT the first bytes of its tunnel may be on their way,
		// which must not be read as a request.
		h["Connection"] = []string{"close"}
	}
	x.note(f)
	x.writeHead(f.status)
	if x.r.Method != http.MethodHead {
		if _, err := x.w.Write(page); err != nil {
			x.log.Result.Aborted = true
		}
	}
}

// note puts a refusal into the log entry and the counters.
func (x *exchange) note(f *refusal) {
	x.log.ProxyError = f.kind
	x.status.Hit = false
	switch {
	case f.reason != "":
		x.log.Result = accesslog.Result{Tag: accesslog.TagDenied}
		x.log.Denied = f.reason
	case f.status < 500 && x.log.Result.Tag == accesslog.TagNone:
		x.log.Result = accesslog.Result{None: true}
	case x.log.Result.Tag == accesslog.TagNone:
		x.log.Result.Tag = accesslog.TagMiss
	}
	if f.err != nil && isTimeout(f.err) {
		x.log.Result.TimedOut = true
	}
}

func errno(err error) int {
	n, _ := errors.AsType[syscall.Errno](err)
	return int(n)
}
