package proxy

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/cachenode/cachenode/accesslog"
	"github.com/cachenode/cachenode/peer/sibling"
)

// managerPath is where squid's tools look for its manager pages.
const managerPath = "/squid-internal-mgr/"

// local answers what is meant for this node itself: the manager pages, the
// digest for siblings, and OPTIONS * (RFC 9110 §9.3.7).
func (x *exchange) local() bool {
	switch {
	case x.r.Method == http.MethodConnect:
		return false
	case strings.HasPrefix(x.r.URL.Path, managerPath) && x.r.URL.Host == "" && x.p.d.Manager != nil:
		x.manager()
		return true
	case x.r.URL.Path == sibling.DigestPath && x.r.URL.Host == "" && x.p.d.Digest != nil:
		x.hand(x.p.d.Digest)
		return true
	case x.r.Method == http.MethodOptions && x.r.RequestURI == "*":
		x.options()
		return true
	}
	return false
}

func (x *exchange) manager() {
	if !x.log.Client.IsLoopback() {
		x.fail(refuse(http.StatusForbidden, errDenied, "The manager pages are for clients on this machine.").denied("manager"))
		return
	}
	x.hand(x.p.d.Manager)
}

// hand lets h answer.
func (x *exchange) hand(h http.Handler) {
	x.log.Result.Tag = accesslog.TagMiss
	x.headSent = true
	w := &statusRecorder{ResponseWriter: x.w, status: http.StatusOK}
	h.ServeHTTP(w, x.r)
	x.log.Status = w.status
	x.log.ContentType = x.w.Header().Get("Content-Type")
}

// lastHop counts Max-Forwards down and reports whether the request may go no
// further (RFC 9110 §7.6.2).
func (x *exchange) lastHop() bool {
	left, err := strconv.ParseUint(x.r.Header.Get("Max-Forwards"), 10, 31)
	if err != nil {
		return false
	}
	if left > 0 {
		x.r.Header["Max-Forwards"] = []string{strconv.FormatUint(left-1, 10)}
	}
	return left == 0
}

// options answers OPTIONS for this node.
func (x *exchange) options() {
	h := x.w.Header()
	h["Allow"] = []string{allowedMethods}
	setLength(h, 0)
	x.log.Result.Tag = accesslog.TagMiss
	x.writeHead(http.StatusOK)
}

type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (w *statusRecorder) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (w *statusRecorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
