package upstream

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// target is where a request goes.
type target struct {
	host string // no port, no brackets
	addr string // host:port
	tls  bool
}

func targetOf(req *http.Request) (target, error) {
	if req.URL == nil {
		return target{}, requestError{errors.New("no URL")}
	}
	t := target{host: strings.ToLower(req.URL.Hostname())}
	port := req.URL.Port()
	switch strings.ToLower(req.URL.Scheme) {
	case "http":
		if port == "" {
			port = "80"
		}
	case "https":
		t.tls = true
		if port == "" {
			port = "443"
		}
	default:
		return target{}, requestError{fmt.Errorf("scheme %q", req.URL.Scheme)}
	}
	if t.host == "" {
		return target{}, requestError{errors.New("URL without a host")}
	}
	if t.addr = req.URL.Host; t.addr != t.host+":"+port { // which costs nothing where it is so
		t.addr = net.JoinHostPort(t.host, port)
	}
	return t, nil
}

// ours are the fields that this package writes itself or never forwards.
var ours = map[string]bool{
	"Host": true, "Content-Length": true, "Transfer-Encoding": true, "Trailer": true,
	"Connection": true, "Proxy-Connection": true, "Keep-Alive": true,
	"Proxy-Authorization": true,
}

// appendHead serialises the head of req behind b. via is the parent that gets
// the request in absolute form, nil for an origin.
func appendHead(b []byte, req *http.Request, t target, via *parent) ([]byte, error) {
	method, host := req.Method, req.Host
	if method == "" {
		method = http.MethodGet
	}
	if host == "" {
		host = req.URL.Host
	}
	if !validToken(method) {
		return nil, requestError{fmt.Errorf("method %q", method)}
	}
	if !validTarget(host) {
		return nil, requestError{fmt.Errorf("host %q", host)}
	}
	uri := requestTarget(req, t, via != nil)
	if !validTarget(uri) {
		return nil, requestError{fmt.Errorf("target %q", uri)}
	}
	b = append(b, method...)
	b = append(b, ' ')
	b = append(b, uri...)
	b = append(b, " HTTP/1.1\r\n"...)
	b = appendField(b, "Host", host)
	b, err := appendFields(b, req.Header)
	if err != nil {
		return nil, err
	}
	if via != nil && via.auth != "" {
		b = appendField(b, "Proxy-Authorization", via.auth)
	}
	b = appendConnection(b, req)
	b, err = appendBodyFields(b, req)
	return append(b, '\r', '\n'), err
}

// requestTarget returns the request target in origin form, or in absolute form
// for a parent, with the client's own bytes where URL.Opaque holds them.
func requestTarget(req *http.Request, t target, absolute bool) string {
	u := req.URL
	var path string
	switch {
	case strings.HasPrefix(u.Opaque, "/"):
		path = u.Opaque
		if u.ForceQuery || u.RawQuery != "" {
			path += "?" + u.RawQuery
		}
	case req.Method == http.MethodOptions && u.Path == "" && u.RawQuery == "" && !u.ForceQuery, u.Opaque == "*", u.Path == "*":
		path = "*" // RFC 9112 §3.2.4
	default:
		path = u.EscapedPath()
		if !strings.HasPrefix(path, "/") {
			path = "/" + path
		}
		if u.ForceQuery || u.RawQuery != "" {
			path += "?" + u.RawQuery
		}
	}
	if !absolute {
		return path
	}
	if path == "*" {
		path = ""
	}
	scheme := "http://"
	if t.tls {
		scheme = "https://"
	}
	return scheme + u.Host + path
}

// appendFields writes the caller's fields, sorted, so that equal requests look
// equal to an origin. Names with no values are ways to say "none".
func appendFields(b []byte, h http.Header) ([]byte, error) {
	var array [32]string
	names := array[:0]
	for name := range h {
		if !ours[name] && name != "Upgrade" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if !validToken(name) {
			return nil, requestError{fmt.Errorf("field name %q", name)}
		}
		for _, v := range h[name] {
			if !validValue(v) {
				return nil, requestError{fmt.Errorf("invalid byte in field %s", name)}
			}
			b = appendField(b, name, v)
		}
	}
	return b, nil
}

func appendField(b []byte, name, value string) []byte {
	b = append(b, name...)
	b = append(b, ':', ' ')
	b = append(b, value...)
	return append(b, '\r', '\n')
}

// appendConnection names what concerns this connection only (RFC 9110 §7.6.1).
func appendConnection(b []byte, req *http.Request) []byte {
	var opts []string
	if up := req.Header["Upgrade"]; len(up) > 0 {
		b = appendField(b, "Upgrade", strings.Join(up, ", "))
		opts = append(opts, "Upgrade")
	}
	if len(req.Header["Te"]) > 0 {
		opts = append(opts, "TE")
	}
	if req.Close {
		opts = append(opts, "close")
	}
	if len(opts) == 0 {
		return b
	}
	return appendField(b, "Connection", strings.Join(opts, ", "))
}

// appendBodyFields announces the body and its trailers.
func appendBodyFields(b []byte, req *http.Request) ([]byte, error) {
	switch {
	case !hasBody(req):
		if m := req.Method; m == http.MethodPost || m == http.MethodPut || m == http.MethodPatch {
			b = appendField(b, "Content-Length", "0") // RFC 9110 §8.6
		}
		return b, nil
	case req.ContentLength > 0:
		return appendField(b, "Content-Length", strconv.FormatInt(req.ContentLength, 10)), nil
	}
	b = appendField(b, "Transfer-Encoding", "chunked")
	names := make([]string, 0, len(req.Trailer))
	for name := range req.Trailer {
		if !validToken(name) {
			return nil, requestError{fmt.Errorf("trailer name %q", name)}
		}
		names = append(names, name)
	}
	if len(names) > 0 {
		slices.Sort(names)
		b = appendField(b, "Trailer", strings.Join(names, ", "))
	}
	return b, nil
}

func hasBody(req *http.Request) bool { return req.Body != nil && req.Body != http.NoBody }

// validTarget reports whether s may stand in a request line or as a Host:
// nothing that ends either of them.
func validTarget(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f {
			return false
		}
	}
	return s != ""
}

// oddBody reports a body where the method gives it no meaning (RFC 9110 §9.3.1).
// An origin that does not read it takes it for the next request.
func oddBody(req *http.Request) bool {
	switch req.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodDelete, http.MethodOptions:
		return hasBody(req)
	}
	return false
}

// idempotent methods may be sent again (RFC 9110 §9.2.2).
func idempotent(method string) bool {
	switch method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodDelete, http.MethodTrace:
		return true
	}
	return false
}
