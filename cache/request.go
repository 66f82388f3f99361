package cache

import (
	"net/http"
	"strings"
)

// Request is what the policy needs of a request; its directives are read once.
type Request struct {
	Method string
	Key    string
	Header http.Header // with canonical names

	cc       requestDirectives
	steering []string // names of fields that select whatever Vary says
}

// NewRequest reads the header once. header is not changed, and must not be
// changed while the Request is in use.
func NewRequest(method, key string, header http.Header) *Request {
	r := new(Request)
	r.Reset(method, key, header)
	return r
}

// Reset makes r the request that NewRequest would return, for callers that
// reuse one Request to save the allocation.
func (r *Request) Reset(method, key string, header http.Header) {
	*r = Request{Method: method, Key: key, Header: header}
	for name, lines := range header {
		if steers(name, lines) {
			r.steering = append(r.steering, lowerASCII(name))
		}
	}
	if lines, ok := header["Cache-Control"]; ok {
		r.cc = parseRequestDirectives(lines)
		return
	}
	// RFC 9111 §5.4: only where there is no Cache-Control.
	for e := range elements(header["Pragma"]) {
		if strings.EqualFold(e, "no-cache") {
			r.cc.noCache = true
		}
	}
}

// OnlyIfCached reports the request directive (RFC 9111 §5.2.1.7).
func (r *Request) OnlyIfCached() bool { return r.cc.onlyIfCached }

// NoStore reports the request directive (RFC 9111 §5.2.1.5): neither the request
// nor its response may be kept.
func (r *Request) NoStore() bool { return r.cc.noStore }

// WantsFresh reports directives by which the client wants an answer of the
// origin and not of some cache (RFC 9111 §5.2.1.1, §5.2.1.4).
func (r *Request) WantsFresh() bool {
	return r.cc.noCache || r.cc.maxAge.set && r.cc.maxAge.d == 0
}

// Lookup reports whether the store may be asked for this request at all, and
// if not, why it goes forward (method, or bypass).
func (p *Policy) Lookup(r *Request) (ok bool, fwd Fwd, why Reason) {
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return false, FwdMethod, ReasonMethod
	case r.hasContent():
		// The content may change the answer at origins that read it, and the
		// key does not know it.
		return false, FwdBypass, ReasonRequestBody
	case r.Header["If-Match"] != nil || r.Header["If-Unmodified-Since"] != nil:
		// RFC 9111 §4.3.2: not applicable to a cache.
		return false, FwdBypass, ReasonPrecondition
	}
	return true, "", ""
}

func (r *Request) hasContent() bool {
	if r.Header["Transfer-Encoding"] != nil {
		return true
	}
	length := r.Header["Content-Length"]
	return length != nil && (len(length) != 1 || length[0] != "0")
}
