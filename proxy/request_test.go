package proxy

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/cachenode/cachenode/cache"
)

// targets are seeds of the fuzz tests.
var targets = []string{
	"http://example.com/", "http://EXAMPLE.com:80/a%2fb?x=%zz", "https://[2001:db8::1]:8443//x/../y", "http://h", "http://h?q", "http://h/?",
	"http://u:p@h/", "http://u:p@h", "//u:p@h/x", "u:p@h:443", "http:u@h", "http://h:/", "http://h:0/", "http://h:00080/", "http://h:+80/",
	"http://h\\@evil/", "http://h/#f", "http://h/a b", "http://h/a|b", "http://[::1%25lo]/", "http://[::ffff:127.0.0.1]/", "http://0x7f.1/",
	"ftp://h/", "*", "/x@y", "http:///x", "http://.h/", "http://a..b/", "http://%41/", "http://h/redirect?u=http://a:b@c/", "http://h//@x",
	"http://ä/", "HTTP://h/", "http://h@", "http://@h/", "http://h:65536/", "x://", "http://h?@/", "http://h?x://y/z",
}

// serverRequest is the request that net/http's server makes of a target, nil
// when it refuses it.
func serverRequest(target string) *http.Request {
	u, err := url.ParseRequestURI(target)
	if err != nil || strings.ContainsAny(target, " \r\n") {
		return nil
	}
	return &http.Request{Method: "GET", URL: u, RequestURI: target, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Host: u.Host}
}

func checkerFor(r *http.Request) *exchange {
	p := &Proxy{o: DefaultOptions()}
	return &exchange{p: p, r: r, w: httptest.NewRecorder()}
}

// What the checks let through is one host and port, however it is read again,
// and keeps the client's bytes.
func FuzzCheckAbsolute(f *testing.F) {
	for _, s := range targets {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		r := serverRequest(raw)
		if r == nil {
			return
		}
		x := checkerFor(r)
		to, bad := x.check()
		if bad != nil {
			return
		}
		if to.host == "" || to.port == 0 || to.host != strings.ToLower(to.host) || strings.ContainsAny(to.host, "/\\@?#% []") {
			t.Fatalf("%q goes to %+v", raw, to)
		}
		if x.url.User != nil || strings.Contains(x.url.Host, "@") {
			t.Fatalf("%q keeps its userinfo", raw)
		}
		host, port, ok := splitHostPort(x.url.Host)
		if !ok {
			host, port, ok = splitHostPort(strings.TrimSuffix(x.url.Host, ":") + map[string]string{"http": ":80", "https": ":443"}[to.scheme])
		}
		if !ok || host != to.host || port != to.port {
			t.Fatalf("%q is allowed for %+v and sent to %q", raw, to, x.url.Host)
		}
		_, rest, _ := strings.Cut(raw, "://")
		if i := strings.IndexAny(rest, "/?"); i >= 0 && rest[i] == '/' {
			sent := x.url.Opaque
			if x.url.ForceQuery || x.url.RawQuery != "" {
				sent += "?" + x.url.RawQuery
			}
			if sent != rest[i:] {
				t.Fatalf("%q is sent as %q", raw, sent)
			}
		}
		again, err := url.Parse(cache.Key(x.url))
		if err == nil && !strings.EqualFold(again.Hostname(), to.host) && to.host != strings.Trim(again.Hostname(), "[]") && !strings.Contains(to.host, ":") {
			t.Fatalf("%q has the key %q", raw, again)
		}
	})
}

func FuzzSplitHostPort(f *testing.F) {
	for _, s := range []string{"h:80", "[::1]:443", "h:", ":80", "h:0", "[::1%lo]:80", "a:b:80", "[::ffff:1.2.3.4]:1", "h.:80", "[v1.x]:80"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		host, port, ok := splitHostPort(s)
		if ok && (host == "" || port == 0 || strings.ContainsAny(host, "@/\\[]%") || host != strings.ToLower(host)) {
			t.Fatalf("%q: %q %d", s, host, port)
		}
	})
}

// A password in a target never gets into a log.
func FuzzWithoutUserinfo(f *testing.F) {
	for _, s := range append(targets, "//@://", "//u:secret@h/://x", "a@b://c@d", "x@//u@h") {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		out := withoutUserinfo(raw)
		if len(out) > len(raw) {
			t.Fatalf("%q became %q", raw, out)
		}
		u, err := url.Parse(out)
		if err == nil && u.User != nil {
			t.Fatalf("%q became %q", raw, out)
		}
		if v, err := url.Parse(raw); err == nil && v.User != nil {
			if secret, _ := v.User.Password(); len(secret) > 3 && strings.Contains(out, ":"+secret+"@") && !strings.Contains(v.Path+v.RawQuery+v.Fragment, secret) {
				t.Fatalf("%q became %q", raw, out)
			}
		}
	})
}

// The target reaches the origin byte for byte also behind two slashes, where it
// used to be encoded anew.
func TestR0015_TwoSlashes(t *testing.T) {
	r := newRig(t)
	for _, target := range []string{"//x|y", `//"z"?q`, "///"} {
		r.raw("GET %s%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", r.origin.URL, target)
		r.mu.Lock()
		seen := false
		for _, reqs := range r.seen {
			for _, q := range reqs {
				seen = seen || q.RequestURI == target
			}
		}
		r.mu.Unlock()
		if !seen {
			t.Errorf("%s did not arrive", target)
		}
	}
}

// OPTIONS is under access control unless it asks for this proxy itself.
func TestR0016_OptionsIsChecked(t *testing.T) {
	r := newRig(t)
	host := r.origin.Listener.Addr().String()
	for _, c := range []struct{ request, status string }{
		{"OPTIONS http://" + host + "/a HTTP/1.1\r\nMax-Forwards: 0", "200"},
		{"OPTIONS http://169.254.169.254/ HTTP/1.1\r\nMax-Forwards: 0", "403"},
		{"OPTIONS ftp://" + host + "/ HTTP/1.1\r\nMax-Forwards: 0", "400"},
		{"OPTIONS http://" + host + " HTTP/1.1\r\nMax-Forwards: 3", "200 OK\r\nCache-Status: n1; fwd=method"}, // the origin's own "*"
	} {
		if got := r.raw("%s\r\nHost: x\r\nConnection: close\r\n\r\n", c.request); !strings.HasPrefix(got, "HTTP/1.1 "+c.status) {
			t.Errorf("%s: %q", c.request, clip(got, 300))
		}
	}
	if n := r.asked("/a"); n != 0 {
		t.Errorf("asked %d times", n)
	}
}
