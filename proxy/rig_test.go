package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cachenode/cachenode/accesslog"
	"github.com/cachenode/cachenode/acl"
	"github.com/cachenode/cachenode/cache"
	"github.com/cachenode/cachenode/cache/store"
	"github.com/cachenode/cachenode/http1"
	"github.com/cachenode/cachenode/internal/dns"
	"github.com/cachenode/cachenode/internal/units"
)

// rig is a proxy between a client and an origin, on loopback.
type rig struct {
	t        testing.TB
	proxy    *Proxy
	unlogged bool   // for benchmarks
	dir      string // of the store
	store    cache.Store
	front    *front // the proxy's
	origin   *httptest.Server
	client   *http.Client

	mu    sync.Mutex // guards what follows
	now   time.Time
	pages map[string]http.HandlerFunc
	seen  map[string][]*http.Request
	log   []accesslog.Entry
}

// rigOption changes a rig before it starts.
type rigOption func(*rigConfig)

type rigConfig struct {
	proxy  Options
	policy cache.Options
	access acl.Options
	disk   units.Size                    // 0: no disk tier
	noMem  bool                          // no memory tier
	memory units.Size                    // 0: 64 MiB
	store  func(cache.Store) cache.Store // wraps the store
	record func(*accesslog.Entry)        // nil: the rig's
	ready  func() error
}

func newRig(t testing.TB, opts ...rigOption) *rig {
	t.Helper()
	r := &rig{
		t: t, now: time.Now().Truncate(time.Second),
		pages: map[string]http.HandlerFunc{}, seen: map[string][]*http.Request{},
	}
	c := rigConfig{proxy: DefaultOptions(), policy: cache.DefaultOptions(), access: acl.DefaultOptions()}
	c.access.AllowTo = []string{"127.0.0.0/8", "::1/128"}
	for _, o := range opts {
		o(&c)
	}
	so := store.DefaultOptions()
	so.Dir = t.TempDir()
	so.Memory, so.Disk = 64*units.MiB, c.disk
	if c.memory > 0 {
		so.Memory, so.MemoryMaxObject = c.memory, 0
	}
	if c.noMem {
		so.Memory = 0
	}
	r.dir = so.Dir
	st, err := store.New(so, slog.New(slog.DiscardHandler))
	r.must(err)
	t.Cleanup(func() { r.must(st.Close()) })
	r.store = st
	if c.store != nil {
		r.store = c.store(st)
	}
	r.origin = httptest.NewServer(http.HandlerFunc(r.serveOrigin))
	t.Cleanup(r.origin.Close)

	policy, err := cache.NewPolicy(c.policy)
	r.must(err)
	access, err := acl.New(c.access)
	r.must(err)
	resolver, err := dns.New(dns.DefaultOptions())
	r.must(err)
	if c.record == nil {
		c.record = r.record
	}
	r.proxy, err = New(c.proxy, Deps{
		Node: "n1", Log: slog.New(slog.DiscardHandler), Store: r.store, Policy: policy, Access: access,
		Dialer: &dns.Dialer{Resolver: resolver, Allowed: access.DialAllowed},
		Record: c.record, Ready: c.ready, Clock: r.clock,
	})
	r.must(err)
	r.front = newFront(t, c.proxy.Client, r.proxy, r.clock)
	t.Cleanup(func() {
		r.client.CloseIdleConnections()
		r.front.end()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := r.proxy.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := r.front.server.Wait(ctx); err != nil {
			t.Errorf("connections are left: %v", err)
		}
		resolver.Close()
	})
	through, _ := url.Parse(r.front.URL)
	r.client = &http.Client{
		Transport:     &http.Transport{Proxy: http.ProxyURL(through), DisableCompression: true, MaxIdleConnsPerHost: 64},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return r
}

// front is the server that clients talk to.
type front struct {
	server *http1.Server
	addr   string
	URL    string
	served chan error
}

func newFront(t testing.TB, o ClientOptions, h http1.Handler, clock func() time.Time) *front {
	t.Helper()
	so := http1.DefaultOptions()
	o.Bound(&so)
	server, err := http1.New(so, http1.Deps{Handler: h, Log: slog.New(slog.DiscardHandler), Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &front{server: server, addr: ln.Addr().String(), URL: "http://" + ln.Addr().String(), served: make(chan error, 1)}
	go func() { f.served <- server.Serve(ln) }()
	return f
}

// end cuts what is left of the clients.
func (f *front) end() {
	_ = f.server.Close()
	<-f.served
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) clock() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

// pass lets time go by.
func (r *rig) pass(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = r.now.Add(d)
}

func (r *rig) record(e *accesslog.Entry) {
	if r.unlogged {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log = append(r.log, kept(*e))
}

// kept is e with strings of its own: those of an entry may be views of buffers.
func kept(e accesslog.Entry) accesslog.Entry {
	for _, s := range []*string{
		&e.User, &e.Method, &e.URL, &e.Proto, &e.Peer, &e.ContentType, &e.Referer, &e.UserAgent,
		&e.CacheStatus, &e.ProxyError, &e.Denied,
	} {
		*s = strings.Clone(*s)
	}
	return e
}

// entries waits for n log entries: the last is written after its response ended.
func (r *rig) entries(n int) []accesslog.Entry {
	r.t.Helper()
	var got []accesslog.Entry
	r.eventually(fmt.Sprintf("%d log entries", n), func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		got = append([]accesslog.Entry(nil), r.log...)
		return len(got) >= n
	})
	return got
}

func (r *rig) eventually(what string, ok func() bool) {
	r.t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("no %s", what)
		}
	}
}

// page says how the origin answers path.
func (r *rig) page(path string, h http.HandlerFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pages[path] = h
}

// fields makes a page of header lines and a body.
func fields(status int, body string, lines ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for _, l := range lines {
			k, v, _ := strings.Cut(l, ": ")
			w.Header().Add(k, v)
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

func (r *rig) serveOrigin(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	h := r.pages[req.URL.Path]
	r.seen[req.URL.Path] = append(r.seen[req.URL.Path], req)
	now := r.now
	r.mu.Unlock()
	w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
	if h == nil {
		http.NotFound(w, req)
		return
	}
	h(w, req)
}

// asked counts the requests for path that reached the origin.
func (r *rig) asked(path string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.seen[path])
}

func (r *rig) lastAsked(path string) *http.Request {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.seen[path]) == 0 {
		r.t.Fatalf("the origin was never asked for %s", path)
	}
	return r.seen[path][len(r.seen[path])-1]
}

// reply is a response with its body.
type reply struct {
	*http.Response
	text string
	err  error // of reading the body
}

// do asks the origin for path through the proxy; lines are header lines.
func (r *rig) do(method, path, body string, lines ...string) *reply {
	r.t.Helper()
	var b io.Reader
	if body != "" {
		b = strings.NewReader(body)
	}
	req, err := http.NewRequest(method, r.origin.URL+path, b)
	r.must(err)
	req.Header["User-Agent"] = nil
	for _, l := range lines {
		k, v, _ := strings.Cut(l, ": ")
		req.Header.Add(k, v)
	}
	resp, err := r.client.Do(req)
	r.must(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return &reply{resp, string(text), err}
}

func (r *rig) get(path string, lines ...string) *reply {
	r.t.Helper()
	return r.do(http.MethodGet, path, "", lines...)
}

// raw sends bytes to the proxy as they are and returns all that comes back
// before it closes the connection.
func (r *rig) raw(format string, args ...any) string {
	r.t.Helper()
	c := r.connect()
	defer c.Close()
	_, err := fmt.Fprintf(c, format, args...)
	r.must(err)
	out, _ := io.ReadAll(bufio.NewReader(c))
	return string(out)
}

func (r *rig) connect() net.Conn {
	r.t.Helper()
	c, err := net.Dial("tcp", r.front.addr)
	r.must(err)
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// want checks the status, what Cache-Status begins with behind the node, and the body.
func (p *reply) want(t *testing.T, status int, cacheStatus, body string) {
	t.Helper()
	if p.StatusCode != status || p.err != nil {
		t.Errorf("status %d (body error %v), want %d\n%v %s", p.StatusCode, p.err, status, p.Header, clip(p.text, 300))
	}
	if got := p.Header.Get("Cache-Status"); !strings.HasPrefix(got, "n1; "+cacheStatus) {
		t.Errorf("Cache-Status %q, want n1; %s", got, cacheStatus)
	}
	if p.text != body {
		t.Errorf("body %q, want %q", clip(p.text, 200), clip(body, 200))
	}
}
