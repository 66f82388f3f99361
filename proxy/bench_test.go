package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// blackHole is a ResponseWriter that counts.
type blackHole struct {
	h http.Header
	n int
}

func (w *blackHole) SetWriteDeadline(time.Time) error { return nil }
func (w *blackHole) FlushError() error                { return nil }
func (w *blackHole) Header() http.Header              { return w.h }
func (w *blackHole) WriteHeader(int)                  {}
func (w *blackHole) Write(b []byte) (int, error)      { w.n += len(b); return len(b), nil }

func browserRequest(target string) *http.Request {
	u, err := url.Parse(target)
	if err != nil {
		panic(err)
	}
	return &http.Request{
		Method: "GET", URL: u, RequestURI: target, Host: u.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		RemoteAddr: "127.0.0.1:40000", Body: http.NoBody,
		Header: http.Header{
			"User-Agent":      {"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"},
			"Accept":          {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"},
			"Accept-Language": {"en-US,en;q=0.5"}, "Accept-Encoding": {"gzip, deflate, br"},
		},
	}
}

// pageOf makes the rig's origin serve n bytes that may be stored.
func (r *rig) pageOf(n int) (target string) {
	path := fmt.Sprintf("/b%d", n)
	r.page(path, fields(200, string(pattern(n)), "Cache-Control: max-age=3600", `ETag: "1"`, "Content-Type: text/html", "Last-Modified: Mon, 02 Jan 2006 15:04:05 GMT"))
	return r.origin.URL + path
}

// The handler alone: what the proxy itself costs.
func BenchmarkHandlerHit(b *testing.B) {
	for _, n := range []int{1 << 10, 10 << 10} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r := newRig(b)
			r.unlogged = true
			target := r.pageOf(n)
			r.get(strings.TrimPrefix(target, r.origin.URL))
			q := browserRequest(target)
			w := &blackHole{h: http.Header{}}
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				clear(w.h)
				r.proxy.ServeHTTP(w, q)
			}
			b.StopTimer()
			if w.n != b.N*n {
				b.Fatalf("%d bytes in %d rounds", w.n, b.N)
			}
		})
	}
}

// The same through net/http's server and the loopback, client included.
func BenchmarkHit(b *testing.B) {
	for _, n := range []int{1 << 10, 10 << 10} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r := newRig(b)
			r.unlogged = true
			target := r.pageOf(n)
			r.get(strings.TrimPrefix(target, r.origin.URL))
			overWire(b, r, func(int) string { return target }, n)
		})
	}
}

// A miss that is stored: client, proxy and origin in one process.
func BenchmarkMiss(b *testing.B) {
	const n = 10 << 10
	r := newRig(b)
	r.unlogged = true
	target := r.pageOf(n)
	overWire(b, r, func(i int) string { return fmt.Sprintf("%s?%d", target, i) }, n)
}

func overWire(b *testing.B, r *rig, target func(i int) string, n int) {
	c := r.connect()
	defer c.Close()
	br := bufio.NewReader(c)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\nAccept: */*\r\nAccept-Encoding: gzip\r\n\r\n", target(i))
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			b.Fatal(err)
		}
		if got, err := io.Copy(io.Discard, resp.Body); got != int64(n) || err != nil {
			b.Fatal(got, err)
		}
	}
}
