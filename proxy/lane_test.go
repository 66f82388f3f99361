package proxy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cachenode/cachenode/accesslog"
	"github.com/cachenode/cachenode/cache/store"
	"github.com/cachenode/cachenode/http1"
	"github.com/cachenode/cachenode/internal/units"
)

// road is a rig behind a server of its own, with the short lane open or closed.
type road struct {
	*rig
	addr string
	long atomic.Int64 // requests that went the long way
}

// watched counts what goes the long way.
type watched struct {
	*Proxy
	road *road
}

func (w watched) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w.road.long.Add(1)
	w.Proxy.ServeHTTP(rw, r)
}

func (w watched) Refuse(c *http1.Conn, _ *http1.Fault) {
	_ = c.Send([]byte("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"), nil)
}

func newRoad(t testing.TB, open bool, opts ...rigOption) *road {
	t.Helper()
	d := &road{rig: newRig(t, opts...)}
	d.proxy.short = d.proxy.short && open
	o := http1.DefaultOptions()
	o.MaxRequests = 0
	srv, err := http1.New(o, http1.Deps{Handler: watched{d.proxy, d}, Clock: d.clock})
	d.must(err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	d.must(err)
	d.addr = ln.Addr().String()
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := srv.Shutdown(ctx); err != nil {
			t.Errorf("shutdown of the server: %v", err)
		}
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return d
}

// wireClient is a connection that keeps what comes over it.
type wireClient struct {
	d   *road
	c   net.Conn
	br  *bufio.Reader
	got bytes.Buffer
}

func (d *road) dial() *wireClient {
	d.t.Helper()
	c, err := net.Dial("tcp", d.addr)
	d.must(err)
	d.t.Cleanup(func() { c.Close() })
	d.must(c.SetDeadline(time.Now().Add(60 * time.Second)))
	w := &wireClient{d: d, c: c}
	w.br = bufio.NewReader(io.TeeReader(c, &w.got))
	return w
}

// ask sends a request, in which @ stands for the origin's URL, and returns the
// bytes of its response.
func (w *wireClient) ask(request string) string {
	w.d.t.Helper()
	w.got.Reset()
	_, err := io.WriteString(w.c, strings.ReplaceAll(request, "@", w.d.origin.URL))
	w.d.must(err)
	method, _, _ := strings.Cut(request, " ")
	resp, err := http.ReadResponse(w.br, &http.Request{Method: method})
	w.d.must(err)
	_, err = io.Copy(io.Discard, resp.Body)
	w.d.must(err)
	text := w.got.String()
	if resp.Header.Get("Proxy-Status") != "" { // its Date is the server's, which has a clock of its own
		text = strings.ReplaceAll(text, resp.Header.Get("Date"), "now")
	}
	_, port, _ := net.SplitHostPort(w.d.addr)
	return strings.NewReplacer(w.d.origin.URL, "@", "n1:"+port, "n1:port").Replace(text)
}

// entry is a log entry without what differs between two rigs.
func (d *road) entry(e accesslog.Entry) accesslog.Entry {
	e.URL = strings.ReplaceAll(e.URL, d.origin.URL, "@")
	e.CacheStatus = strings.ReplaceAll(e.CacheStatus, d.origin.URL, "@")
	e.TTFB, e.Peer = 0, ""
	return e
}

// laneScenario is a request, and what comes before it.
type laneScenario struct {
	name   string
	page   http.HandlerFunc // nil: laneText
	before []string         // requests that fill the store
	pass   time.Duration    // between those and the request
	ask    string           // the request; "": a plain GET
	short  bool             // the short lane answers it
}

const plainGet = "GET @/p HTTP/1.1\r\nHost: h\r\n\r\n"

// get is a GET of the page with some fields.
func get(fields ...string) string {
	return strings.Join(append([]string{"GET @/p HTTP/1.1", "Host: h"}, fields...), "\r\n") + "\r\n\r\n"
}

var laneText = fields(200, "the text of the page", "Cache-Control: max-age=100", `ETag: "a"`,
	"Last-Modified: Mon, 02 Jan 2006 15:04:05 GMT", "Content-Type: text/plain; charset=utf-8", "X-Odd: 1", "X-Odd: 2")

// laneScenarios are all asked of both ways.
var laneScenarios = []laneScenario{
	{name: "plain", short: true},
	{name: "head", ask: "HEAD @/p HTTP/1.1\r\nHost: h\r\n\r\n", short: true},
	{name: "close", ask: get("Connection: close"), short: true},
	{name: "keep-alive", ask: get("Connection: Keep-Alive", "Proxy-Connection: keep-alive"), short: true},
	{name: "connection names a field", ask: get("Connection: x-a", "X-A: 1")},
	{name: "connection names an end-to-end field", ask: get("Connection: cookie")},
	{name: "http/1.0", ask: "GET @/p HTTP/1.0\r\n\r\n", short: true},
	{name: "http/1.0 keep-alive", ask: "GET @/p HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", short: true},
	{name: "aged", pass: 30 * time.Second, short: true},
	{name: "stale", pass: 200 * time.Second},
	{name: "log fields", ask: get("User-Agent: a", "Referer: http://r/", "user-agent: b"), short: true},
	{name: "etag matches", ask: get(`If-None-Match: "b", W/"a"`), short: true},
	{name: "etag differs", ask: get(`If-None-Match: "b"`), short: true},
	{name: "any etag", ask: get("If-None-Match: *"), short: true},
	{name: "etag in two lines", ask: get(`If-None-Match: "b"`, `if-none-match: "a"`), short: true},
	{name: "empty etag field", ask: get("If-None-Match:"), short: true},
	{name: "not modified since", ask: get("If-Modified-Since: Mon, 02 Jan 2006 15:04:05 GMT"), short: true},
	{name: "modified since", ask: get("If-Modified-Since: Sun, 01 Jan 2006 15:04:05 GMT"), short: true},
	{name: "head not modified", ask: "HEAD @/p HTTP/1.1\r\nHost: h\r\nIf-None-Match: \"a\"\r\n\r\n", short: true},
	{name: "not modified and close", ask: get(`If-None-Match: "a"`, "Connection: close"), short: true},
	{name: "if-match", ask: get(`If-Match: "a"`)},
	{name: "if-unmodified-since", ask: get("If-Unmodified-Since: Mon, 02 Jan 2006 15:04:05 GMT")},
	{name: "range", ask: get("Range: bytes=4-7"), short: true},
	{name: "range from", ask: get("Range: bytes=4-"), short: true},
	{name: "last bytes", ask: get("Range: bytes=-4"), short: true},
	{name: "range too far", ask: get("Range: bytes=1000-"), short: true},
	{name: "bad range", ask: get("Range: bytes=x"), short: true},
	{name: "two ranges in order", ask: get("Range: bytes=9-, 4-5"), short: true},
	{name: "if-range matches", ask: get("Range: bytes=4-7", `If-Range: "a"`), short: true},
	{name: "if-range differs", ask: get("Range: bytes=4-7", `If-Range: "b"`), short: true},
	{name: "range and etag", ask: get("Range: bytes=4-7", `If-None-Match: "a"`), short: true},
	{name: "range of head", ask: "HEAD @/p HTTP/1.1\r\nHost: h\r\nRange: bytes=4-7\r\n\r\n", short: true},
	{name: "no-cache", ask: get("Cache-Control: no-cache")},
	{name: "pragma", ask: get("Pragma: no-cache")},
	{name: "pragma beside cache-control", ask: get("Pragma: no-cache", "Cache-Control: max-age=1000"), short: true},
	{name: "max-age=0", ask: get("Cache-Control: max-age=0")},
	{name: "max-age", ask: get("Cache-Control: max-age=50"), pass: 30 * time.Second, short: true},
	{name: "older than max-age", ask: get("Cache-Control: max-age=20"), pass: 30 * time.Second},
	{name: "min-fresh", ask: get("Cache-Control: min-fresh=90"), pass: 30 * time.Second},
	{name: "only-if-cached", ask: get("Cache-Control: only-if-cached"), short: true},
	{name: "only-if-cached and stale", ask: get("Cache-Control: only-if-cached"), pass: 200 * time.Second},
	{name: "max-stale", ask: get("Cache-Control: max-stale=1000"), pass: 150 * time.Second},
	{name: "no-store", ask: get("Cache-Control: no-store"), short: true},
	{name: "immutable", page: fields(200, "x", "Cache-Control: max-age=100, immutable"), ask: get("Cache-Control: max-age=0"), short: true},
	{name: "authorization", ask: get("Authorization: Basic eDp5"), short: true},
	{name: "via", ask: get("Via: 1.1 other (squid)"), short: true},
	{name: "loop", ask: get("Via: 1.1 n1 (cachenode)")},
	{name: "te and trailer", ask: get("TE: trailers", "Connection: TE")},
	{name: "unknown fields", ask: get("X-A: 1", "Accept: */*", "Cookie: a=b", "Max-Forwards: 0"), short: true},
	{name: "content-length 0", ask: get("Content-Length: 0")},
	{name: "another host field", ask: "GET @/p HTTP/1.1\r\nHost: other.example\r\n\r\n", short: true},
	{name: "claims another host", ask: get("X-Forwarded-Host: other.example")},
	{name: "claims the host it is stored for", before: []string{get("X-Forwarded-Host: other.example")}, ask: get("x-forwarded-host: other.example"), short: true},
	{name: "stored for another host", before: []string{get("X-Forwarded-Host: other.example")}},
	{name: "claims another method", ask: get("X-HTTP-Method-Override: DELETE")},
	{name: "forwarded", ask: get("Forwarded: for=192.0.2.1"), short: true},
	{name: "forwarded for another host", ask: get("Forwarded: for=192.0.2.1;Host=other.example")},
	{name: "stored 301", page: fields(301, "moved", "Cache-Control: max-age=100", "Location: /q"), short: true},
	{name: "stored 404", page: fields(404, "nothing", "Cache-Control: max-age=100"), short: true},
	{name: "stored 204", page: fields(204, "", "Cache-Control: max-age=100")},
	{name: "empty", page: fields(200, "", "Cache-Control: max-age=100", "Content-Length: 0"), short: true},
	{name: "not stored", page: fields(200, "x", "Cache-Control: no-store")},
	{name: "encoded", page: fields(200, "\x1f\x8b..", "Cache-Control: max-age=100", "Content-Encoding: gzip", "Content-Type: text/html", "Accept-Ranges: bytes"), short: true},
	{name: "encoded not modified", page: fields(200, "\x1f\x8b..", "Cache-Control: max-age=100", "Content-Encoding: gzip", `ETag: "z"`, "Accept-Ranges: bytes"), ask: get(`If-None-Match: "z"`), short: true},
	{name: "encoded range too far", page: fields(200, "\x1f\x8b..", "Cache-Control: max-age=100", "Content-Encoding: gzip"), ask: get("Range: bytes=99-"), short: true},
	{name: "nearer caches", page: fields(200, "x", "Cache-Control: max-age=100", "Age: 7", "Via: 1.1 near, 1.0 far", "Cache-Status: far; hit", "Cache-Status: near; fwd=stale; ttl=3"), short: true},
	{name: "warning", page: fields(200, "x", "Cache-Control: max-age=100", "A-First: 1", "Agf: 2", "Cache-Statut: 3", "Zz: 4"), short: true},
	{name: "chunked with trailer", page: func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Cache-Control"] = []string{"max-age=100"}
		w.Header()["Trailer"] = []string{"X-Sum"}
		io.WriteString(w, "part one")
		w.(http.Flusher).Flush()
		io.WriteString(w, ", part two")
		w.Header()["X-Sum"] = []string{"1"}
	}, short: true},
	{name: "vary matches", page: fields(200, "x", "Cache-Control: max-age=100", "Vary: Accept-Encoding, X-A"),
		before: []string{get("Accept-Encoding: br, gzip", "X-A: 1")}, ask: get("accept-encoding: gzip,br", "x-a: 1"), short: true},
	{name: "vary differs", page: fields(200, "x", "Cache-Control: max-age=100", "Vary: Accept-Encoding"),
		before: []string{get("Accept-Encoding: br")}, ask: get("Accept-Encoding: gzip")},
	{name: "vary by what is not there", page: fields(200, "x", "Cache-Control: max-age=100", "Vary: X-A"), short: true},
	{name: "vary by user agent", page: fields(200, "x", "Cache-Control: max-age=100", "Vary: User-Agent"),
		before: []string{get("User-Agent: a")}, ask: get("User-Agent: a"), short: true},
	{name: "vary of several variants", page: fields(200, "x", "Cache-Control: max-age=100", "Vary: X-A"),
		before: []string{get("X-A: 1"), get("X-A: 2"), get("X-A: 3")}, ask: get("X-A: 2"), short: true},
	{name: "big", page: fields(200, strings.Repeat("0123456789abcdef", 20_000), "Cache-Control: max-age=100"), short: true},
	{name: "big range", page: fields(200, strings.Repeat("0123456789abcdef", 20_000), "Cache-Control: max-age=100"), ask: get("Range: bytes=70003-250002"), short: true},
	{name: "huge", page: fields(200, strings.Repeat("0123456789abcdef", 100_000), "Cache-Control: max-age=100"), short: true},
	{name: "huge head", page: fields(200, "x", "Cache-Control: max-age=100", "X-Long: "+strings.Repeat("y", 8000)), short: true},
	{name: "odd value", page: fields(200, "x", "Cache-Control: max-age=100", "X-O: a\tb\xe9"), short: true},
	{name: "stale while revalidate", page: fields(200, "x", "Cache-Control: max-age=10, stale-while-revalidate=1000"), pass: 60 * time.Second},
	{name: "explicit port 80", ask: "GET http://127.0.0.1:80/p HTTP/1.1\r\nHost: h\r\nCache-Control: only-if-cached\r\n\r\n"},
	{name: "no path", ask: "GET @ HTTP/1.1\r\nHost: h\r\n\r\n"},
	{name: "not absolute", ask: "GET /p HTTP/1.1\r\nHost: h\r\n\r\n"},
	{name: "post", ask: "POST @/p HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"},
	{name: "options", ask: "OPTIONS @/p HTTP/1.1\r\nHost: h\r\nMax-Forwards: 0\r\n\r\n"},
}

// laneVariants are the configurations that the scenarios run under.
var laneVariants = map[string]struct {
	opts  []rigOption
	never bool // the short lane is closed
}{
	"default":          {},
	"cache_status_key": {opts: []rigOption{func(c *rigConfig) { c.proxy.Headers.CacheStatusKey = true }}},
	"forwarded_for":    {opts: []rigOption{func(c *rigConfig) { c.proxy.Headers.ForwardedFor = "add" }}},
	"squid_compat":     {opts: []rigOption{func(c *rigConfig) { c.proxy.Headers.SquidCompat = true }}, never: true},
	"disk":             {opts: []rigOption{func(c *rigConfig) { c.disk, c.noMem = 64*units.MiB, true }}},
}

// Both ways send the same bytes and log the same, and what the short lane can
// answer it does answer.
func TestBothWaysAreTheSame(t *testing.T) {
	for name, v := range laneVariants {
		t.Run(name, func(t *testing.T) {
			open, closed := newRoad(t, true, v.opts...), newRoad(t, false, v.opts...)
			closed.now = open.now
			open.fill()
			closed.fill()
			for i, s := range laneScenarios {
				got, want := open.run(s, pathOf(i)), closed.run(s, pathOf(i))
				if got.bytes != want.bytes {
					t.Errorf("%s: the short lane says\n%s\nthe long way\n%s", s.name, clip(got.bytes, 1500), clip(want.bytes, 1500))
				}
				if !reflect.DeepEqual(got.log, want.log) {
					t.Errorf("%s: the short lane logs\n%+v\nthe long way\n%+v", s.name, got.log, want.log)
				}
				if want.short || got.short != (s.short && !v.never) {
					t.Errorf("%s: the short lane answered: %v", s.name, got.short)
				}
			}
		})
	}
}

// outcomeOf a scenario.
type laneOutcome struct {
	bytes string
	log   accesslog.Entry
	short bool
}

// fill sends what comes before each scenario.
func (d *road) fill() {
	d.t.Helper()
	for i, s := range laneScenarios {
		page := s.page
		if page == nil {
			page = laneText
		}
		d.page(pathOf(i), page)
		before := s.before
		if before == nil {
			before = []string{plainGet}
		}
		for _, b := range before {
			d.dial().ask(at(pathOf(i), b))
		}
	}
	d.stored()
}

// run asks what a scenario asks.
func (d *road) run(s laneScenario, path string) laneOutcome {
	d.t.Helper()
	ask := s.ask
	if ask == "" {
		ask = plainGet
	}
	d.pass(s.pass)
	defer d.pass(-s.pass)
	logged, long := d.logged(), d.long.Load()
	bytes := d.dial().ask(at(path, ask))
	log := d.entries(logged + 1)[logged]
	return laneOutcome{strings.ReplaceAll(bytes, path, "/p"), d.entry(log), d.long.Load() == long}
}

// pathOf is where the page of a scenario is.
func pathOf(i int) string { return fmt.Sprintf("/p%03d", i) }

// at is a request for the page at path.
func at(path, request string) string { return strings.ReplaceAll(request, "@/p", "@"+path) }

// logged is how many requests have been answered and logged.
func (d *road) logged() int {
	d.eventually("request is logged", func() bool { return d.proxy.active.len() == 0 })
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.log)
}

// stored waits until the store has written what it got.
func (d *road) stored() {
	d.t.Helper()
	if s, ok := d.store.(interface{ Stats() store.Stats }); ok {
		d.eventually("end of writing", func() bool { return s.Stats().Pending == 0 })
	}
}
