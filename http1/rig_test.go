package http1

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// rig is a server on loopback whose handler is the test's.
type rig struct {
	t    testing.TB
	srv  *Server
	addr string

	short  func(c *Conn, r *Request) bool
	serve  http.HandlerFunc
	refuse func(c *Conn, f *Fault)
	front  func(netip.Addr) bool
}

func (r *rig) Short(c *Conn, q *Request) bool {
	return r.short != nil && r.short(c, q)
}

func (r *rig) ServeHTTP(w http.ResponseWriter, q *http.Request) { r.serve(w, q) }

func (r *rig) Refuse(c *Conn, f *Fault) {
	if r.refuse != nil {
		r.refuse(c, f)
		return
	}
	head := fmt.Appendf(c.Buffer(), "HTTP/1.1 %d %s\r\nX-Kind: %s\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", f.Status, http.StatusText(f.Status), f.Kind)
	_ = c.Send(head, nil) // the client may have gone
}

func newRig(t testing.TB, change func(*rig, *Options)) *rig {
	t.Helper()
	r := &rig{t: t, serve: func(w http.ResponseWriter, q *http.Request) {
		b, err := io.ReadAll(q.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		fmt.Fprintf(w, "%s %s %q %v", q.Method, q.RequestURI, b, q.Trailer)
	}}
	o := DefaultOptions()
	if change != nil {
		change(r, &o)
	}
	var err error
	r.srv, err = New(o, Deps{Handler: r, Front: r.front})
	r.must(err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	r.must(err)
	r.addr = ln.Addr().String()
	served := make(chan error, 1)
	go func() { served <- r.srv.Serve(ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		r.srv.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
		if err := r.srv.Wait(ctx); err != nil {
			t.Errorf("connections are left: %v", err)
		}
	})
	return r
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) dial() net.Conn {
	r.t.Helper()
	c, err := net.Dial("tcp", r.addr)
	r.must(err)
	r.t.Cleanup(func() { c.Close() })
	r.must(c.SetDeadline(time.Now().Add(30 * time.Second)))
	return c
}

// raw sends bytes and returns all that comes back until the server closes.
func (r *rig) raw(format string, args ...any) string {
	r.t.Helper()
	c := r.dial()
	defer c.Close()
	_, err := fmt.Fprintf(c, format, args...)
	r.must(err)
	b, err := io.ReadAll(c)
	if err != nil {
		r.t.Errorf("reading: %v", err)
	}
	return string(b)
}

func TestSmoke(t *testing.T) {
	r := newRig(t, nil)
	got := r.raw("GET /a HTTP/1.1\r\nHost: x\r\n\r\nPOST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc" +
		"POST /c HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1;x=y\r\nd\r\n0\r\nX-T: 1\r\n\r\n")
	for _, want := range []string{`GET /a "" map[]`, `POST /b "abc" map[]`, `POST /c "abcd" map[X-T:[1]]`, "Connection: close\r\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if got := r.raw("GET /a HTTP/1.1\r\n\r\n"); !strings.Contains(got, "X-Kind: no-host") {
		t.Errorf("%q", got)
	}
}
