package proxy

import (
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/cachenode/cachenode/acl"
)

// target is where a request wants to go.
type target struct {
	scheme string // empty for CONNECT
	host   string // lower case, no brackets
	port   uint16
}

// check reads the target of the request and refuses what no proxy may forward
// (RFC 9110 §7, RFC 9112 §3). It looks at the request only.
func (x *exchange) check() (target, *refusal) {
	r := x.r
	if len(r.RequestURI) > int(x.p.o.Client.MaxURI) {
		return target{}, refuse(http.StatusRequestURITooLong, errInvalidURL, "the request target is too long")
	}
	if countFields(r.Header) > x.p.o.Client.MaxFields {
		return target{}, refuse(http.StatusRequestHeaderFieldsTooLarge, errTooBig, "the request has too many header fields")
	}
	if r.Method == http.MethodTrace {
		x.w.Header()["Allow"] = []string{allowedMethods}
		return target{}, refuse(http.StatusMethodNotAllowed, errUnsupReq, "TRACE is not forwarded")
	}
	for name := range connectionOptions(r.Header) {
		if endToEnd[name] {
			return target{}, refuse(http.StatusBadRequest, errInvalidReq, "Connection names the end-to-end field "+name)
		}
	}
	if x.p.looped(r.Header) {
		return target{}, refuse(http.StatusBadGateway, errCannotForward, "the request has come through this node before").as("proxy_loop_detected")
	}
	if r.Method == http.MethodConnect {
		return x.checkConnect()
	}
	return x.checkAbsolute()
}

func (x *exchange) checkConnect() (target, *refusal) {
	bad := func(why string) (target, *refusal) {
		return target{}, refuse(http.StatusBadRequest, errInvalidURL, why)
	}
	if _, ok := x.r.Header["Content-Length"]; ok || x.r.ContentLength > 0 || len(x.r.TransferEncoding) > 0 {
		return target{}, refuse(http.StatusBadRequest, errInvalidReq, "CONNECT takes no body")
	}
	host, port, ok := splitHostPort(x.r.RequestURI)
	if !ok {
		return bad("CONNECT wants host:port")
	}
	x.r.Host = x.r.RequestURI
	return target{"", host, port}, nil
}

func (x *exchange) checkAbsolute() (target, *refusal) {
	bad := func(why string) (target, *refusal) {
		return target{}, refuse(http.StatusBadRequest, errInvalidURL, why)
	}
	raw, u := x.r.RequestURI, x.r.URL
	if i := strings.IndexFunc(raw, func(c rune) bool { return c <= ' ' || c == 0x7f || c == '\\' || c == '#' }); i >= 0 {
		return bad("the request target has a character that no URL may have")
	}
	if u.Scheme == "" {
		return bad("the request target must be an absolute URL: this is a proxy")
	}
	scheme := strings.ToLower(u.Scheme)
	if scheme != "http" && scheme != "https" {
		return target{}, refuse(http.StatusBadRequest, errUnsupReq, "the scheme "+strconv.Quote(clip(scheme, 32))+" is not supported")
	}
	if u.User != nil {
		return bad("the request target must not carry a user name or password")
	}
	if u.Opaque != "" || u.Host == "" {
		return bad("the request target has no host")
	}
	authority := u.Host
	if u.Port() == "" {
		authority = strings.TrimSuffix(authority, ":") + ":" + map[string]string{"http": "80", "https": "443"}[scheme]
	}
	host, port, ok := splitHostPort(authority)
	if !ok {
		return bad("the host or port of the request target is invalid")
	}
	x.url = &x.target
	x.target = url.URL{Scheme: scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery, ForceQuery: u.ForceQuery}
	if path := rawPath(raw); strings.HasPrefix(path, "/") {
		x.url.Opaque = path // byte for byte as the client wrote it
	}
	return target{scheme, host, port}, nil
}

// rawPath cuts the path out of an absolute URL as it was written.
func rawPath(raw string) string {
	_, rest, _ := strings.Cut(raw, "://")
	end := strings.IndexByte(rest, '?')
	if end < 0 {
		end = len(rest)
	}
	if i := strings.IndexByte(rest[:end], '/'); i >= 0 {
		return rest[i:end]
	}
	return ""
}

// splitHostPort is strict: a host of allowed characters or an IP literal, and
// a port from 1 to 65535.
func splitHostPort(s string) (host string, port uint16, ok bool) {
	i := strings.LastIndexByte(s, ':')
	if i <= 0 || len(s)-i-1 > 5 {
		return "", 0, false
	}
	for _, c := range []byte(s[i+1:]) {
		if c < '0' || c > '9' {
			return "", 0, false
		}
	}
	n, err := strconv.ParseUint(s[i+1:], 10, 16)
	if err != nil || n == 0 {
		return "", 0, false
	}
	host = s[:i]
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		a, err := netip.ParseAddr(host[1 : len(host)-1])
		return a.String(), uint16(n), err == nil && a.Is6() && a.Zone() == ""
	}
	host = strings.ToLower(host)
	return host, uint16(n), validHost(host)
}

// validHost accepts what DNS and local naming use (letters, digits, hyphen,
// underscore, dots) and percent-encoded or UTF-8 names never.
func validHost(s string) bool {
	if s == "" || len(s) > 255 {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return !strings.HasPrefix(s, ".") && !strings.Contains(s, "..")
}

// permit asks the access rules; a refusal is already worded for the client.
func (x *exchange) permit(t target) *refusal {
	q := acl.Query{
		Client: x.log.Client, Method: x.r.Method, Scheme: t.scheme, Host: t.host, Port: t.port,
		URL: x.log.URL, Time: x.start,
	}
	q.Sibling = x.fromSibling()
	if x.rules.access.Realm() != "" && !q.Sibling {
		user, ok, retry := x.rules.access.Authenticate(x.log.Client, x.r.Header.Get("Proxy-Authorization"), x.start)
		if retry > 0 {
			x.w.Header()["Retry-After"] = []string{strconv.Itoa(int(retry.Seconds()) + 1)}
			return refuse(http.StatusTooManyRequests, errCacheDenied, "too many wrong passwords from this address").denied("auth")
		}
		if ok {
			q.User, x.log.User = user, user
		}
	}
	if x.p.d.Lookup != nil && x.rules.access.WantsAddrs() {
		q.Addrs, _ = x.p.d.Lookup(x.r.Context(), t.host) // an unknown name matches no network
	}
	v := x.rules.access.Check(&q)
	switch {
	case v.NeedAuth:
		x.w.Header()["Proxy-Authenticate"] = []string{`Basic realm="` + x.rules.access.Realm() + `", charset="UTF-8"`}
		return refuse(http.StatusProxyAuthRequired, errCacheDenied, "this proxy wants a user name and a password").denied("auth")
	case !v.Allow:
		f := refuse(http.StatusForbidden, errDenied, "access control refuses this request: "+v.Rule).denied(v.Reason)
		if _, literal, _ := acl.HostLiteral(t.host); literal && v.Reason == "destination" {
			f.kind = "destination_ip_prohibited"
		}
		return f
	}
	return nil
}

func countFields(h http.Header) int {
	n := 0
	for _, v := range h {
		n += len(v)
	}
	return n
}

// withoutUserinfo cuts a user name and password out of a target, whatever else
// is wrong with it.
func withoutUserinfo(raw string) string {
	if !strings.Contains(raw, "@") {
		return raw
	}
	start := authorityStart(raw)
	switch {
	case start == 0 && strings.HasPrefix(raw, "/"):
		return raw // a path
	case start == 0:
		return raw[strings.LastIndexByte(raw, '@')+1:]
	}
	rest := raw[start:]
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	return raw[:start] + rest[strings.LastIndexByte(rest[:end], '@')+1:]
}

// authorityStart is where the authority of a URL or of a network-path reference
// begins, 0 when raw is neither (RFC 3986 §4.2).
func authorityStart(raw string) int {
	if strings.HasPrefix(raw, "//") {
		return 2
	}
	scheme, _, ok := strings.Cut(raw, "://")
	if !ok || strings.ContainsFunc(scheme, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("+-.", c)
	}) {
		return 0
	}
	return len(scheme) + len("://")
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}
