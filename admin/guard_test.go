package admin

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/cachenode/cachenode/internal/metrics"
)

func TestForeignHostsAreRefused(t *testing.T) {
	r := run(t, func(o *Options, _ *Deps) { o.Names = []string{"Cache.Example", "10.9.9.9"} })
	for host, want := range map[string]int{
		"localhost:3180":       200,
		"LOCALHOST":            200,
		"localhost.:1":         200,
		"127.0.0.1":            200,
		"127.8.8.8:3180":       200,
		"[::1]:3180":           200,
		"[::ffff:127.0.0.1]:1": 200,
		"n1":                   200,
		"cache.example:3180":   200,
		"10.9.9.9:80":          200,
		r.Addr().String():      200,
		"evil.example":         403,
		"127.0.0.1.evil.com":   403,
		"localhost.evil.com":   403,
		"10.0.0.1:3180":        403,
		"cache.example.evil":   403,
		"0x7f000001":           403,
	} {
		for _, path := range []string{"/metrics", "/livez", "/", "/squid-internal-mgr/info"} {
			if a := r.get(t, path, "Host: "+host); a.status != want {
				t.Errorf("Host %s, %s: %d, want %d", host, path, a.status, want)
			}
		}
		if a := r.get(t, "/api/v1/status", "Host: "+host, withToken); a.status != want {
			t.Errorf("Host %s with token: %d, want %d", host, a.status, want)
		}
	}
	r.get(t, "/metrics", "Host: evil.example").want(t, 403, `host "evil.example"`, "admin.names")
}

func TestOtherSitesAreRefused(t *testing.T) {
	r := run(t, nil)
	own := "http://" + r.Addr().String()
	tests := []struct {
		field string
		want  int
	}{
		{"Sec-Fetch-Site: none", 200},
		{"Sec-Fetch-Site: same-origin", 200},
		{"Origin: " + own, 200},
		{"Sec-Fetch-Site: cross-site", 403},
		{"Sec-Fetch-Site: same-site", 403},
		{"Origin: http://evil.example", 403},
		{"Origin: http://127.0.0.1:1", 403},
		{"Origin: null", 403},
		{"Origin: ://", 403},
	}
	for _, tt := range tests {
		for _, path := range []string{"/metrics", "/readyz", "/api/v1/status", "/squid-internal-mgr/info", "/debug/pprof/cmdline"} {
			if a := r.get(t, path, tt.field, withToken); a.status != tt.want {
				t.Errorf("%s, %s: %d, want %d", tt.field, path, a.status, tt.want)
			}
		}
	}
	a := r.do(t, "POST", "/api/v1/purge", `{"all":true}`, withToken, "Origin: http://evil.example")
	a.want(t, 403, `"error": "the request comes from a page of another site"`, `"hint": "`)
	if len(r.node.purged) != 0 {
		t.Error("purged for another site")
	}
}

func TestTheTokenIsNeeded(t *testing.T) {
	r := run(t, nil)
	calls := []struct{ method, path string }{
		{"GET", "/api/v1/status"}, {"GET", "/api/v1/config"}, {"GET", "/api/v1/requests"}, {"GET", "/api/v1/connections"},
		{"POST", "/api/v1/purge"}, {"POST", "/api/v1/reload"},
		{"GET", "/debug/pprof/"}, {"GET", "/debug/pprof/heap"}, {"GET", "/debug/pprof/cmdline"}, {"GET", "/debug/pprof/profile?seconds=1"},
	}
	for _, c := range calls {
		for _, field := range []string{"X-None: 1", "Authorization: Bearer", "Authorization: Bearer wrong", "Authorization: Basic " + testToken, "Authorization: " + testToken, "Cookie: token=" + testToken} {
			a := r.do(t, c.method, c.path, `{"all":true}`, field)
			a.want(t, 403, "admin.token", "admin.sock")
		}
		r.do(t, c.method, c.path+"?token="+testToken, `{"all":true}`).want(t, 403)
	}
	if len(r.node.purged) != 0 {
		t.Error("purged without a token")
	}
}

func TestANodeWithoutTokenRefusesAll(t *testing.T) {
	r := run(t, func(_ *Options, d *Deps) { d.Token = "" })
	r.get(t, "/api/v1/status").want(t, 403)
	r.get(t, "/api/v1/status", "Authorization: Bearer ").want(t, 403)
}

// TestWhoMaySeeWhatFromElsewhere asks with a remote address that is not this
// machine's.
func TestWhoMaySeeWhatFromElsewhere(t *testing.T) {
	for _, open := range []bool{false, true} {
		r := run(t, func(o *Options, _ *Deps) { o.OpenMetrics = open })
		numbers := http.StatusForbidden
		if open {
			numbers = http.StatusOK
		}
		for path, want := range map[string]int{
			"/livez": 200, "/readyz": 200, "/healthz": 200,
			"/metrics": numbers, "/": numbers, "/squid-internal-mgr/info": numbers, "/squid-internal-mgr/counters": numbers,
			"/squid-internal-mgr/active_requests": 403, "/squid-internal-mgr/client_list": 403,
			"/squid-internal-mgr/config": 403, "/squid-internal-mgr/filedescriptors": 403,
			"/api/v1/status": 403, "/debug/pprof/": 403,
		} {
			for token, want := range map[string]int{"": want, "Bearer " + testToken: 200} {
				req := httptest.NewRequest("GET", path, nil)
				req.Host, req.RemoteAddr = "n1:3180", "10.0.0.9:999"
				if token != "" {
					req.Header.Set("Authorization", token)
				}
				w := httptest.NewRecorder()
				r.http.Handler.ServeHTTP(w, req)
				if w.Code != want {
					t.Errorf("open %v, token %v, %s: %d, want %d", open, token != "", path, w.Code, want)
				}
			}
		}
	}
}

func TestSlowProbesAreBounded(t *testing.T) {
	r := run(t, func(_ *Options, d *Deps) {
		d.Checks = []Check{{Name: "stuck", Run: func(ctx context.Context) error {
			if _, ok := ctx.Deadline(); !ok {
				t.Error("a check without a deadline")
			}
			return context.DeadlineExceeded
		}}}
	})
	r.get(t, "/readyz").want(t, 503, "[-]stuck failed: context deadline exceeded")
}

func TestNothingIsServedAfterRun(t *testing.T) {
	s, err := New(Options{Listen: "127.0.0.1:0"}, Deps{
		Node: new(fakeNode), Metrics: metrics.New(metrics.Build{}, time.Now()), Log: discard(), Dir: t.TempDir(),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ctx); err != nil {
		t.Errorf("Run: %v", err)
	}
	if _, err := http.Get("http://" + s.Addr().String() + "/livez"); err == nil {
		t.Error("answers after Run")
	}
}

// FuzzHost holds for any Host and Origin: no name but the node's own passes,
// and nothing panics.
func FuzzHost(f *testing.F) {
	for _, host := range []string{"localhost", "127.0.0.1:80", "[::1%25lo]:1", "evil.example", "[", "]:", "::", "a:b:c", "127.1", "localhost:1:2", "xn--"} {
		f.Add(host, "http://"+host)
	}
	s := &Server{hosts: hostNames(Options{Names: []string{"cache.example"}}, Deps{Name: "n1"})}
	f.Fuzz(func(t *testing.T, host, origin string) {
		r := &http.Request{Host: host, Header: http.Header{"Origin": {origin}}}
		crossSite(r)
		if !s.hostAllowed(r) {
			return
		}
		name := host
		if h, _, err := net.SplitHostPort(host); err == nil {
			name = h
		}
		name = strings.ToLower(strings.TrimSuffix(strings.Trim(name, "[]"), "."))
		if addr, err := netip.ParseAddr(name); err == nil && addr.Unmap().IsLoopback() {
			return
		}
		if !s.hosts[name] {
			t.Errorf("host %q passes", host)
		}
	})
}
