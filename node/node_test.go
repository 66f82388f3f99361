package node

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cachenode/cachenode/admin"
	"github.com/cachenode/cachenode/internal/metrics"
	"github.com/cachenode/cachenode/internal/transcript"
	"github.com/cachenode/cachenode/internal/units"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// options of a node that shares nothing with others on this machine.
func options(t *testing.T) Options {
	t.Helper()
	o := DefaultOptions()
	o.Name = "n1"
	o.Standalone = true
	o.Listen = []string{"127.0.0.1:0"}
	o.Admin.Listen = "127.0.0.1:0"
	o.Data = t.TempDir()
	o.ACL.AllowTo = []string{"127.0.0.0/8"}
	o.Store.Memory, o.Store.Disk = 8*units.MiB, 64*units.MiB
	o.StopTimeout = units.Duration(10 * time.Second)
	return o
}

// running is a node under way.
type running struct {
	*Node
	t    *testing.T
	log  *transcript.Transcript
	stop context.CancelFunc
	done chan error // Run's error, once
}

func start(t *testing.T, o Options, d Deps) *running {
	t.Helper()
	r := &running{t: t, log: &transcript.Transcript{}, done: make(chan error, 1)}
	if d.Log == nil {
		d.Log = slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	n, err := New(t.Context(), o, d)
	if err != nil {
		t.Fatal(err)
	}
	r.Node = n
	ctx, cancel := context.WithCancel(context.Background())
	r.stop = cancel
	go func() { r.done <- n.Run(ctx) }()
	t.Cleanup(func() { r.end() })
	return r
}

// end stops the node and reports what its end said; the second call does
// nothing.
func (r *running) end() {
	r.t.Helper()
	if r.stop == nil {
		return
	}
	r.stop()
	r.stop = nil
	if err := errors.Join(<-r.done, r.Close()); err != nil {
		r.t.Errorf("the node ended with: %v", err)
	}
}

// get asks for a URL through the node.
func (r *running) get(target string) (*http.Response, string) {
	r.t.Helper()
	proxy, err := url.Parse(r.ProxyURL())
	if err != nil {
		r.t.Fatal(err)
	}
	tr := &http.Transport{Proxy: http.ProxyURL(proxy), DisableKeepAlives: true}
	defer tr.CloseIdleConnections()
	res, err := (&http.Client{Transport: tr}).Get(target)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return res, string(body)
}

// probe asks the admin address.
func (r *running) probe(path string) (code int, said string) {
	r.t.Helper()
	tr := &http.Transport{DisableKeepAlives: true}
	res, err := (&http.Client{Transport: tr}).Get(r.AdminURL() + path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// recorded waits until so many requests have been logged and counted, which
// they are after their answers.
func (r *running) recorded(requests int64) {
	r.t.Helper()
	until(r.t, "the requests are recorded", func() bool {
		return r.metrics.Total(time.Now()).Delta(metrics.Requests) == requests
	})
}

// until waits for a condition that must come true soon.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still not: %s", what)
		}
	}
}

func origin(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func page(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "max-age=600")
	_, _ = io.WriteString(w, "a page")
}

func TestANodeServesAndStops(t *testing.T) {
	at := origin(t, page)
	n := start(t, options(t), Deps{})
	res, body := n.get(at + "/x")
	if res.StatusCode != 200 || body != "a page" {
		t.Fatalf("got %d %q", res.StatusCode, body)
	}
	res, _ = n.get(at + "/x")
	if cs := res.Header.Get("Cache-Status"); !strings.Contains(cs, "hit") {
		t.Errorf("second request: Cache-Status %q is no hit", cs)
	}
	n.end()
	lines, err := os.ReadFile(filepath.Join(n.Options().Data, "access.log"))
	if err != nil || bytes.Count(lines, []byte("\n")) != 2 {
		t.Errorf("access log: %v, want two lines\n%s", err, lines)
	}
}

func TestStartAndStopTwiceInOneDirectory(t *testing.T) {
	at := origin(t, page)
	o := options(t)
	for range 2 {
		n := start(t, o, Deps{})
		if res, _ := n.get(at + "/x"); res.StatusCode != 200 {
			t.Fatalf("got %d", res.StatusCode)
		}
		n.end()
	}
}

func TestTwoNodesInOneProcess(t *testing.T) {
	at := origin(t, page)
	a, b := start(t, options(t), Deps{}), start(t, options(t), Deps{})
	for _, n := range []*running{a, b} {
		if res, body := n.get(at + "/x"); res.StatusCode != 200 || body != "a page" {
			t.Errorf("got %d %q", res.StatusCode, body)
		}
	}
}

func TestNewWithoutRunIsClosed(t *testing.T) {
	n, err := New(t.Context(), options(t), Deps{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(n.Close(), n.Close()); err != nil {
		t.Error(err)
	}
}

// A set-up that fails at any step leaves nothing behind (goleak looks for the
// goroutines) and says what to do.
func TestFailedSetUps(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		change func(*Options)
		config bool
		err    string
		hint   string
	}{
		{"port in use", func(o *Options) { o.Listen = []string{taken.Addr().String()} }, false, "in use by this very process", "--listen 127.0.0.1:"},
		{"second port in use", func(o *Options) { o.Listen = append(o.Listen, taken.Addr().String()) }, false, "is in use", "--listen 127.0.0.1:"},
		{"admin port in use", func(o *Options) { o.Admin.Listen = taken.Addr().String() }, false, "is in use", "--admin 127.0.0.1:"},
		{"address of another machine", func(o *Options) { o.Listen = []string{"192.0.2.1:3128"} }, false, "listen on 192.0.2.1:3128", "ip address"},
		{"data is a file", func(o *Options) { o.Data = file }, true, "use data directory", "--data DIR"},
		{"data below a file", func(o *Options) { o.Data = file + "/x" }, true, "use data directory", "--data DIR"},
		{"access log cannot be opened", func(o *Options) { o.AccessLog.Path = "/dev/null/x" }, true, "/dev/null/x", "--access-log"},
		{"options make no sense", func(o *Options) { o.Server.MaxHead = 1 }, true, "server.max_head", "config check"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := options(t)
			tt.change(&o)
			n, err := New(t.Context(), o, Deps{Log: slog.New(slog.DiscardHandler)})
			if err == nil {
				t.Fatal("it started", n.Close())
			}
			if !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error %q does not say %q", err, tt.err)
			}
			if hint := HintOf(err); !strings.Contains(hint, tt.hint) {
				t.Errorf("hint %q does not say %q", hint, tt.hint)
			}
			if IsConfig(err) != tt.config {
				t.Errorf("IsConfig is %v for %v", IsConfig(err), err)
			}
			if tt.name != "data is a file" && tt.name != "data below a file" {
				again := options(t)
				again.Data = o.Data
				start(t, again, Deps{}).end()
			}
		})
	}
}

func TestASecondNodeInTheDirectoryIsRefused(t *testing.T) {
	o := options(t)
	start(t, o, Deps{})
	_, err := New(t.Context(), o, Deps{Log: slog.New(slog.DiscardHandler)})
	if err == nil || !IsConfig(err) || !strings.Contains(err.Error(), "in use by process") {
		t.Errorf("got %v, config %v", err, IsConfig(err))
	}
	if !strings.Contains(HintOf(err), "cachenode status --data "+o.Data) {
		t.Errorf("hint: %s", HintOf(err))
	}
}

// A stop waits for the request in flight, refuses new connections meanwhile,
// and the answer arrives whole.
func TestStopLetsRequestsEnd(t *testing.T) {
	asked, goOn := make(chan struct{}), make(chan struct{})
	at := origin(t, func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		<-goOn
		_, _ = io.WriteString(w, "late")
	})
	n := start(t, options(t), Deps{})
	body := make(chan string, 1)
	go func() {
		_, b := n.get(at)
		body <- b
	}()
	<-asked
	n.stop()
	until(t, "new connections are refused", func() bool {
		c, err := net.Dial("tcp", n.ProxyHostPort())
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	close(goOn)
	if b := <-body; b != "late" {
		t.Errorf("the request in flight got %q", b)
	}
	n.end()
}

// Abort cuts what a stop would wait for.
func TestAbortCuts(t *testing.T) {
	asked, goOn := make(chan struct{}), make(chan struct{})
	at := origin(t, func(http.ResponseWriter, *http.Request) {
		close(asked)
		<-goOn
	})
	o := options(t)
	o.StopTimeout = units.Duration(time.Hour)
	n := start(t, o, Deps{})
	failed := make(chan struct{})
	go func() {
		defer close(failed)
		proxy, _ := url.Parse(n.ProxyURL())
		tr := &http.Transport{Proxy: http.ProxyURL(proxy)}
		defer tr.CloseIdleConnections()
		if res, err := (&http.Client{Transport: tr}).Get(at); err == nil {
			res.Body.Close()
		}
	}()
	<-asked
	n.stop()
	until(t, "stopping", n.Stopping)
	n.Abort()
	<-failed
	n.end()
	close(goOn)
}

func TestStatusAndProbes(t *testing.T) {
	at := origin(t, page)
	n := start(t, options(t), Deps{Version: "v0"})
	n.get(at)
	c, err := admin.DialDir(t.Context(), n.Options().Data)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	n.recorded(1)
	st, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if st.Memory.Capacity == 0 || st.Disk.Capacity == 0 {
		t.Errorf("tiers %+v %+v", st.Memory, st.Disk)
	}
	if st.Name != "n1" || st.Version != "v0" || st.State != "serving" || len(st.Listen) != 1 || st.Total.Requests != 1 {
		t.Errorf("status %+v", st)
	}
	for _, probe := range []string{"/livez", "/readyz", "/healthz?verbose"} {
		if code, said := n.probe(probe); code != 200 {
			t.Errorf("%s: %d\n%s", probe, code, said)
		}
	}
}

// The node's own addresses are no destinations, whatever the rules allow.
func TestOwnAddressesAreRefused(t *testing.T) {
	n := start(t, options(t), Deps{})
	for _, target := range []string{n.ProxyURL() + "/", n.AdminURL() + "/api/v1/status"} {
		if res, body := n.get(target); res.StatusCode < 400 {
			t.Errorf("%s is answered %d\n%s", target, res.StatusCode, body)
		}
	}
}

// HTTP_PROXY in the environment is not for us: we are the proxy.
func TestProxyOfTheEnvironmentIsIgnored(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	t.Setenv("http_proxy", "http://127.0.0.1:1")
	at := origin(t, page)
	n := start(t, options(t), Deps{})
	if res, _ := n.get(at); res.StatusCode != 200 {
		t.Errorf("got %d", res.StatusCode)
	}
}
