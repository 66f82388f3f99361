package scenario

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// origin is a web server of scripted pages.
type origin struct {
	t   testing.TB
	srv *httptest.Server

	mu    sync.Mutex // guards what follows
	pages map[string]http.HandlerFunc
	seen  []*http.Request
}

func newOrigin(t testing.TB) *origin {
	t.Helper()
	return newOriginOn(t, "127.0.0.1:0")
}

func newOriginOn(t testing.TB, addr string) *origin {
	t.Helper()
	o := prepareOrigin(t)
	ln, err := net.Listen("tcp", addr)
	must(t, err)
	o.srv.Listener.Close()
	o.srv.Listener = ln
	o.srv.Start()
	return o
}

// newTLSOrigin speaks TLS with httptest's certificate for 127.0.0.1 and
// example.com.
func newTLSOrigin(t testing.TB) *origin {
	t.Helper()
	o := prepareOrigin(t)
	o.srv.StartTLS()
	return o
}

func prepareOrigin(t testing.TB) *origin {
	o := &origin{t: t, pages: map[string]http.HandlerFunc{}}
	o.srv = httptest.NewUnstartedServer(http.HandlerFunc(o.serve))
	t.Cleanup(o.stop)
	return o
}

// stop ends the origin with all its connections.
func (o *origin) stop() {
	o.srv.CloseClientConnections()
	o.srv.Close()
}

func (o *origin) serve(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	h := o.pages[r.URL.Path]
	if h == nil {
		h = o.pages["*"]
	}
	o.seen = append(o.seen, r)
	o.mu.Unlock()
	if h == nil {
		http.NotFound(w, r)
		return
	}
	h(w, r)
}

// page says how path is answered; "*" is every other path.
func (o *origin) page(path string, h http.HandlerFunc) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pages[path] = h
}

// fields makes a page of a status, a body and header lines.
func fields(status int, body string, lines ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for _, l := range lines {
			k, v, _ := strings.Cut(l, ": ")
			w.Header().Add(k, v)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body) // the client may have gone
	}
}

// fresh makes a page that may be stored for an hour.
func fresh(body string, lines ...string) http.HandlerFunc {
	return fields(http.StatusOK, body, append(lines, "Cache-Control: max-age=3600", "Content-Type: text/plain")...)
}

func (o *origin) url(path string) string { return o.srv.URL + path }

func (o *origin) addr() string { return o.srv.Listener.Addr().String() }

// asked counts the requests for path, "*" all of them.
func (o *origin) asked(path string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for _, r := range o.seen {
		if path == "*" || r.URL.Path == path {
			n++
		}
	}
	return n
}

// last is the header of the last request for path.
func (o *origin) last(path string) http.Header {
	o.t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range slices.Backward(o.seen) {
		if r.URL.Path == path {
			return r.Header
		}
	}
	o.t.Fatalf("the origin was never asked for %s", path)
	return nil
}

// freePort is an address on loopback where nobody listens.
func freePort(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer ln.Close()
	return ln.Addr().String()
}

// server runs handle on each connection to an address of its own until the
// test ends.
func server(t testing.TB, handle func(net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var all sync.WaitGroup
	var mu sync.Mutex // guards open
	open := map[net.Conn]bool{}
	all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = true
			mu.Unlock()
			all.Go(func() {
				defer c.Close()
				handle(c)
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		mu.Lock()
		for c := range open {
			c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	return ln.Addr().String()
}
