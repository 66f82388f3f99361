package admin

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cachenode/cachenode/internal/metrics"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testToken = "0123456789abcdefTOKEN"

// fakeNode is a node that remembers what it was told.
type fakeNode struct {
	purged    []Purge
	reloadErr error
}

func (*fakeNode) Status() Status {
	return Status{Name: "n1", Version: "1.2.3", State: "serving", DataDir: "/data", Listen: []string{"127.0.0.1:3128"}}
}

func (*fakeNode) Config() []byte { return []byte("listen: 127.0.0.1:3128\nauth:\n  token: REDACTED\n") }

func (n *fakeNode) Purge(_ context.Context, p Purge) (PurgeResult, error) {
	if p.Host == "slow.example" {
		return PurgeResult{}, &Error{Status: http.StatusConflict, Message: "a purge is under way", Hint: "wait for it"}
	}
	n.purged = append(n.purged, p)
	return PurgeResult{Objects: 3}, nil
}

func (n *fakeNode) Reload(context.Context) (ReloadResult, error) {
	return ReloadResult{Applied: []string{"acl.rules"}, Restart: []string{"listen"}}, n.reloadErr
}

// running is an admin server that serves until the test ends.
type running struct {
	*Server
	node *fakeNode
	m    *metrics.Metrics
	dir  string
	url  string
}

// run starts a server; edit changes what it is made of.
func run(t *testing.T, edit func(*Options, *Deps)) *running {
	t.Helper()
	r := &running{node: new(fakeNode), m: metrics.New(metrics.Build{Version: "1.2.3"}, time.Now()), dir: t.TempDir()}
	o := Options{Listen: "127.0.0.1:0"}
	d := Deps{Node: r.node, Metrics: r.m, Log: slog.New(slog.DiscardHandler), Dir: r.dir, Token: testToken, Name: "n1"}
	if edit != nil {
		edit(&o, &d)
	}
	s, err := New(o, d)
	if err != nil {
		t.Fatal(err)
	}
	r.Server = s
	if a := s.Addr(); a != nil {
		r.url = "http://" + a.String()
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return r
}

// answer is what a call got.
type answer struct {
	status int
	body   string
	head   http.Header
}

// get asks over TCP; fields are "Name: value".
func (r *running) get(t *testing.T, path string, fields ...string) answer {
	t.Helper()
	return r.do(t, http.MethodGet, path, "", fields...)
}

func (r *running) do(t *testing.T, method, path, body string, fields ...string) answer {
	t.Helper()
	req, err := http.NewRequest(method, r.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		if name == "Host" {
			req.Host = value
		} else {
			req.Header.Set(name, value)
		}
	}
	tr := &http.Transport{DisableKeepAlives: true}
	res, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, string(b), res.Header}
}

const withToken = "Authorization: Bearer " + testToken

func (a answer) want(t *testing.T, status int, parts ...string) {
	t.Helper()
	if a.status != status {
		t.Errorf("status %d, want %d: %s", a.status, status, a.body)
	}
	for _, p := range parts {
		if !strings.Contains(a.body, p) {
			t.Errorf("no %q in:\n%s", p, a.body)
		}
	}
}

func TestEverythingIsServed(t *testing.T) {
	r := run(t, nil)
	r.m.Observe(&metrics.Sample{Client: netip.MustParseAddr("10.0.0.5"), Method: "GET", Result: "TCP_HIT", Status: 200, BytesOut: 10})
	r.get(t, "/").want(t, 200, "/metrics", "/squid-internal-mgr/counters", "n1")
	r.get(t, "/metrics").want(t, 200, `cachenode_requests_total{code_class="2xx",method="GET",result="TCP_HIT"} 1`)
	r.get(t, "/livez").want(t, 200, "ok")
	r.get(t, "/api/v1/status", withToken).want(t, 200, `"name": "n1"`, `"requests": 1`, `"hit_ratio": 1`, `"warnings": []`)
	r.get(t, "/api/v1/config", withToken).want(t, 200, "listen: 127.0.0.1:3128", "REDACTED")
	r.get(t, "/api/v1/config?format=json", withToken).want(t, 200, `"listen"`)
	r.get(t, "/api/v1/connections", withToken).want(t, 200, "[]")
	r.get(t, "/api/v1/requests", withToken).want(t, 200, "[]")
	r.get(t, "/debug/pprof/", withToken).want(t, 200, "goroutine")
	r.get(t, "/debug/pprof/heap", withToken).want(t, 200)
	r.get(t, "/nothing", withToken).want(t, 404)
	if a := r.get(t, "/"); a.head.Get("Cache-Control") != "no-store" || a.head.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("header %v", a.head)
	}
}

func TestPurgeAndReload(t *testing.T) {
	r := run(t, nil)
	r.do(t, "POST", "/api/v1/purge", `{"url":"http://e/x"}`, withToken).want(t, 200, `"objects": 3`)
	if len(r.node.purged) != 1 || r.node.purged[0].URL != "http://e/x" {
		t.Errorf("purged %+v", r.node.purged)
	}
	for _, bad := range []string{``, `{}`, `{"url":"http://e","all":true}`, `{"urls":"http://e"}`, `[]`, `{"all":true}{}`, `{"url":"e/x"}`, `{"prefix":"/x"}`} {
		a := r.do(t, "POST", "/api/v1/purge", bad, withToken)
		a.want(t, 400, `"error": "purge: `)
	}
	r.do(t, "POST", "/api/v1/purge", `{"url":"`+strings.Repeat("x", 2<<20)+`"}`, withToken).want(t, 400)
	r.get(t, "/api/v1/purge", withToken).want(t, 405)
	r.do(t, "POST", "/api/v1/reload", "", withToken).want(t, 200, "acl.rules", "listen")
	r.node.reloadErr = errors.New("acl.rules[3]: no such action")
	r.do(t, "POST", "/api/v1/reload", "", withToken).want(t, 422, "acl.rules[3]")
	if len(r.node.purged) != 1 {
		t.Errorf("purged %+v", r.node.purged)
	}
}

func TestProbes(t *testing.T) {
	draining := false
	var sick error
	r := run(t, func(_ *Options, d *Deps) {
		d.Draining = func() bool { return draining }
		d.Checks = []Check{
			{Name: "store", Run: func(context.Context) error { return sick }},
			{Name: "loop", Live: true, Run: func(context.Context) error { return nil }},
		}
	})
	r.get(t, "/readyz").want(t, 200, "ok\n")
	r.get(t, "/readyz?verbose").want(t, 200, "[+]draining ok", "[+]store ok", "readyz check passed")
	r.get(t, "/livez?verbose").want(t, 200, "[+]ping ok", "[+]loop ok")
	r.get(t, "/healthz?verbose").want(t, 200, "[+]ping ok", "[+]loop ok", "[+]store ok")

	sick = errors.New("disk full")
	r.get(t, "/readyz").want(t, 503, "[-]store failed: disk full", "readyz check failed")
	r.get(t, "/livez").want(t, 200)
	r.get(t, "/healthz").want(t, 503)

	sick, draining = nil, true
	r.get(t, "/readyz").want(t, 503, "[-]draining failed: the node is draining")
	r.get(t, "/livez").want(t, 200)
}

func TestWithoutTCP(t *testing.T) {
	r := run(t, func(o *Options, _ *Deps) { o.Listen = "" })
	if r.Addr() != nil {
		t.Errorf("listens on %s", r.Addr())
	}
	c, err := DialDir(t.Context(), r.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if st, err := c.Status(t.Context()); err != nil || st.Name != "n1" {
		t.Errorf("%+v, %v", st, err)
	}
}

func TestAddressInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir := t.TempDir()
	d := Deps{Node: new(fakeNode), Metrics: metrics.New(metrics.Build{}, time.Now()), Log: slog.New(slog.DiscardHandler), Dir: dir}
	_, err = New(Options{Listen: l.Addr().String()}, d)
	if err == nil || !strings.Contains(err.Error(), "--admin") {
		t.Errorf("error %v", err)
	}
	s, err := New(Options{}, d) // the socket was given back
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestOptions(t *testing.T) {
	if err := DefaultOptions().Validate(); err != nil {
		t.Error(err)
	}
	err := Options{Listen: "3180", Names: []string{"ok.example", "http://x", "a:1", "::1"}}.Validate()
	for _, want := range []string{"admin.listen", "admin.names[1]", "admin.names[2]"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %s in %v", want, err)
		}
	}
	if err != nil && strings.Contains(err.Error(), "names[3]") {
		t.Error(err)
	}
}
