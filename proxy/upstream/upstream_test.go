package upstream

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cachenode/cachenode/accesslog"
	"github.com/cachenode/cachenode/internal/units"
)

// newClient returns a client that dials what it is told, closed after the test.
func newClient(t testing.TB, change func(*Options)) *Client {
	t.Helper()
	o := DefaultOptions()
	if change != nil {
		change(&o)
	}
	c, err := New(o, Deps{Dialer: &net.Dialer{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// rawOrigin serves each connection with f.
func rawOrigin(t testing.TB, f func(nc net.Conn, br *bufio.Reader)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	conns.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, nc)
			mu.Unlock()
			conns.Go(func() {
				defer nc.Close() //nolint:errcheck // nothing to do about it
				f(nc, bufio.NewReader(nc))
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		mu.Lock()
		for _, nc := range open {
			_ = nc.Close()
		}
		mu.Unlock()
		conns.Wait()
	})
	return ln.Addr().String()
}

// answering reads one request per answer and sends the answers as they are.
func answering(t testing.TB, answers ...string) string {
	return rawOrigin(t, func(nc net.Conn, br *bufio.Reader) {
		for _, a := range answers {
			req, err := http.ReadRequest(br)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, req.Body)
			if _, err := io.WriteString(nc, a); err != nil {
				return
			}
		}
	})
}

func newRequest(method, rawURL string, body io.Reader) *http.Request {
	req, err := http.NewRequest(method, rawURL, body)
	if err != nil {
		panic(err)
	}
	return req
}

// fetch sends a GET and reads the whole body.
func fetch(c *Client, rawURL string) (*http.Response, string, error) {
	resp, _, err := c.Do(newRequest("GET", rawURL, nil), nil)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close() //nolint:errcheck // never fails
	b, err := io.ReadAll(resp.Body)
	return resp, string(b), err
}

func wantError(t *testing.T, err error, page string, status int, kind string) {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("error is %T %v, want an *Error", err, err)
	}
	if e.Page != page || e.Status != status || e.Type != kind {
		t.Errorf("got %s %d %s (%v), want %s %d %s", e.Page, e.Status, e.Type, e.Err, page, status, kind)
	}
}

func TestResponsesThatPass(t *testing.T) {
	for _, tc := range []struct {
		name, answer string
		code         int
		body         string
	}{
		{"length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello"},
		{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n", 200, "hello"},
		{"a coding nobody registered", "HTTP/1.1 200 OK\r\nTransfer-Encoding: abcdef\r\n\r\nhello", 200, "hello"},
		{"chunked in capitals", "HTTP/1.1 200 OK\r\nTransfer-Encoding: CHUNKED\r\n\r\n5  \r\nhello\r\n000\r\n\r\n", 200, "hello"},
		{"until close", "HTTP/1.1 200 OK\r\n\r\nhello", 200, "hello"},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\nhello", 200, "hello"},
		{"no reason", "HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n", 404, ""},
		{"bare LF", "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", 200, "hello"},
		{"folded", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 5\r\n\r\nhello", 200, "hello"},
		{"204", "HTTP/1.1 204 No Content\r\n\r\n", 204, ""},
		{"304 with length", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, ""},
		{"interim", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello"},
		{"strange status", "HTTP/1.1 299 Odd\r\nContent-Length: 5\r\n\r\nhello", 299, "hello"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newClient(t, nil)
			resp, body, err := fetch(c, "http://"+answering(t, tc.answer)+"/")
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != tc.code || body != tc.body {
				t.Errorf("got %d %q, want %d %q", resp.StatusCode, body, tc.code, tc.body)
			}
		})
	}
}

func TestResponsesThatAreRefused(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for _, tc := range []struct{ name, answer, page string }{
		{"two equal lengths", ok + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", "ERR_INVALID_RESP"},
		{"two lengths", ok + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "ERR_INVALID_RESP"},
		{"list of lengths", ok + "Content-Length: 5, 5\r\n\r\nhello", "ERR_INVALID_RESP"},
		{"signed length", ok + "Content-Length: +5\r\n\r\nhello", "ERR_INVALID_RESP"},
		{"negative length", ok + "Content-Length: -5\r\n\r\nhello", "ERR_INVALID_RESP"},
		{"hexadecimal length", ok + "Content-Length: 0x5\r\n\r\nhello", "ERR_INVALID_RESP"},
		{"underscore in length", ok + "Content-Length: 1_0\r\n\r\nhello", "ERR_INVALID_RESP"},
		{"empty length", ok + "Content-Length:\r\n\r\nhello", "ERR_INVALID_RESP"},
		{"huge length", ok + "Content-Length: 99999999999999999999\r\n\r\nhello", "ERR_INVALID_RESP"},
		{"space before colon", ok + "Content-Length : 5\r\n\r\nhello", "ERR_INVALID_RESP"},
		{"folded length", ok + "Content-Length:\r\n 5\r\n\r\nhello", "ERR_INVALID_RESP"},
		{"length with coding", ok + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "ERR_INVALID_RESP"},
		{"unregistered coding with a length", ok + "Transfer-Encoding: abcdef\r\nContent-Length: 5\r\n\r\nhello", "ERR_INVALID_RESP"},
		{"nearly chunked", ok + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "ERR_INVALID_RESP"},
		{"registered coding", ok + "Transfer-Encoding: gzip\r\n\r\nhello", "ERR_INVALID_RESP"},
		{"gzip, chunked", ok + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "ERR_INVALID_RESP"},
		{"chunked twice", ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "ERR_INVALID_RESP"},
		{"identity", ok + "Transfer-Encoding: identity\r\n\r\nhello", "ERR_INVALID_RESP"},
		{"coding in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "ERR_INVALID_RESP"},
		{"NUL in value", ok + "X: a\x00b\r\n\r\n", "ERR_INVALID_RESP"},
		{"CR in value", ok + "X: a\rb\r\n\r\n", "ERR_INVALID_RESP"},
		{"escape in value", ok + "X: \x1b[2J\r\n\r\n", "ERR_INVALID_RESP"},
		{"NUL in name", ok + "X\x00: a\r\n\r\n", "ERR_INVALID_RESP"},
		{"space in name", ok + "X Y: a\r\n\r\n", "ERR_INVALID_RESP"},
		{"no colon", ok + "garbage\r\n\r\n", "ERR_INVALID_RESP"},
		{"empty name", ok + ": a\r\n\r\n", "ERR_INVALID_RESP"},
		{"fold first", ok + " X: a\r\n\r\n", "ERR_INVALID_RESP"},
		{"CR in reason", "HTTP/1.1 200 O\rK\r\n\r\n", "ERR_INVALID_RESP"},
		{"HTTP/0.9", "<html>hello</html>", "ERR_INVALID_RESP"},
		{"HTTP/2", "HTTP/2.0 200 OK\r\n\r\n", "ERR_INVALID_RESP"},
		{"HTTP/1.10", "HTTP/1.10 200 OK\r\n\r\n", "ERR_INVALID_RESP"},
		{"lower case", "http/1.1 200 OK\r\n\r\n", "ERR_INVALID_RESP"},
		{"two spaces", "HTTP/1.1  200 OK\r\n\r\n", "ERR_INVALID_RESP"},
		{"SSH", "SSH-2.0-OpenSSH_9.2\r\n", "ERR_INVALID_RESP"},
		{"status 000", "HTTP/1.1 000 No\r\n\r\n", "ERR_INVALID_RESP"},
		{"status 099", "HTTP/1.1 099 No\r\n\r\n", "ERR_INVALID_RESP"},
		{"status 600", "HTTP/1.1 600 No\r\n\r\n", "ERR_INVALID_RESP"},
		{"status 999", "HTTP/1.1 999 No\r\n\r\n", "ERR_INVALID_RESP"},
		{"status 2000", "HTTP/1.1 2000 No\r\n\r\n", "ERR_INVALID_RESP"},
		{"status -20", "HTTP/1.1 -20 No\r\n\r\n", "ERR_INVALID_RESP"},
		{"101 nobody asked for", "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", "ERR_INVALID_RESP"},
		{"1000 interim", strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 1000) + ok + "\r\n", "ERR_INVALID_RESP"},
		{"2 MB head", ok + strings.Repeat("X: "+strings.Repeat("y", 1000)+"\r\n", 2000) + "\r\n", "ERR_TOO_BIG"},
		{"2 MB status line", "HTTP/1.1 200 " + strings.Repeat("y", 2<<20), "ERR_TOO_BIG"},
		{"nothing", "", "ERR_ZERO_SIZE_OBJECT"},
		{"half a head", ok + "X: a", "ERR_READ_ERROR"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newClient(t, nil)
			_, _, err := fetch(c, "http://"+answering(t, tc.answer)+"/")
			e, ok := errors.AsType[*Error](err)
			if !ok {
				t.Fatalf("error %v, want an *Error", err)
			}
			if e.Page != tc.page || e.Status != 502 {
				t.Errorf("got %s %d (%v), want %s 502", e.Page, e.Status, e.Err, tc.page)
			}
		})
	}
}

func TestBodiesThatEndTooEarly(t *testing.T) {
	const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	for name, answer := range map[string]string{
		"short of its length":     "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello",
		"no last chunk":           chunked + "5\r\nhello\r\n",
		"inside a chunk":          chunked + "9\r\nhello",
		"no trailer end":          chunked + "5\r\nhello\r\n0\r\n",
		"half a trailer":          chunked + "5\r\nhello\r\n0\r\nX: a",
		"invalid trailer":         chunked + "5\r\nhello\r\n0\r\nX a\r\n\r\n",
		"bare LF":                 chunked + "5\nhello\r\n0\r\n\r\n",
		"LF behind data":          chunked + "5\r\nhello\n0\r\n\r\n",
		"longer than its size":    chunked + "5\r\nhelloworld\r\n0\r\n\r\n",
		"hexadecimal prefix":      chunked + "0x5\r\nhello\r\n0\r\n\r\n",
		"negative size":           chunked + "-5\r\nhello\r\n0\r\n\r\n",
		"17 digits":               chunked + "00000000000000005\r\nhello\r\n0\r\n\r\n",
		"size out of range":       chunked + "ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
		"no size":                 chunked + ";x\r\nhello\r\n0\r\n\r\n",
		"NUL in extension":        chunked + "5;\x00\r\nhello\r\n0\r\n\r\n",
		"16 KiB extension":        chunked + "5;" + strings.Repeat("x", 16<<10) + "\r\nhello\r\n0\r\n\r\n",
		"many long extensions":    chunked + strings.Repeat("1;"+strings.Repeat("x", 1000)+"\r\na\r\n", 100) + "0\r\n\r\n",
		"endless trailers":        chunked + "0\r\n" + strings.Repeat("X: y\r\n", 100000) + "\r\n",
		"something else entirely": chunked + "hello",
	} {
		t.Run(name, func(t *testing.T) {
			c := newClient(t, nil)
			resp, _, err := fetch(c, "http://"+answering(t, answer)+"/")
			if resp == nil {
				t.Fatalf("no response: %v", err)
			}
			wantError(t, err, "ERR_READ_ERROR", 502, "http_response_incomplete")
			if _, open := c.pool.counts(); open != 0 {
				t.Errorf("%d connections are still open", open)
			}
		})
	}
}

func TestConnectionIsKept(t *testing.T) {
	var conns int
	var mu sync.Mutex
	addr := rawOrigin(t, func(nc net.Conn, br *bufio.Reader) {
		mu.Lock()
		conns++
		mu.Unlock()
		for {
			req, err := http.ReadRequest(br)
			if err != nil {
				return
			}
			n, _ := io.Copy(io.Discard, req.Body)
			s := fmt.Sprint(n)
			if req.Method == "HEAD" {
				_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n")
				continue
			}
			_, _ = fmt.Fprintf(nc, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(s), s)
		}
	})
	c := newClient(t, nil)
	for range 20 {
		for _, req := range []*http.Request{
			newRequest("GET", "http://"+addr+"/", nil),
			newRequest("HEAD", "http://"+addr+"/", nil),
			newRequest("POST", "http://"+addr+"/", strings.NewReader("hello")),
			newRequest("POST", "http://"+addr+"/", struct{ io.Reader }{strings.NewReader("hello")}),
		} {
			resp, route, err := c.Do(req, nil)
			if err != nil {
				t.Fatal(err)
			}
			if route != (Route{accesslog.HierDirect, "127.0.0.1"}) {
				t.Errorf("route %v", route)
			}
			b, err := io.ReadAll(resp.Body)
			want := map[string]string{"GET": "0", "HEAD": "", "POST": "5"}[req.Method]
			if err != nil || string(b) != want {
				t.Errorf("%s: %q %v, want %q", req.Method, b, err, want)
			}
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if conns != 1 {
		t.Errorf("%d connections for 80 requests, want 1", conns)
	}
}

func TestStaleConnectionIsReplaced(t *testing.T) {
	release := make(chan struct{})
	addr := rawOrigin(t, func(nc net.Conn, br *bufio.Reader) {
		if _, err := http.ReadRequest(br); err != nil {
			return
		}
		_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		_, err := http.ReadRequest(br) // the second request is not answered
		if err == nil {
			close(release)
		}
	})
	c := newClient(t, nil)
	for range 2 {
		if _, body, err := fetch(c, "http://"+addr+"/"); err != nil || body != "ok" {
			t.Fatalf("%q %v", body, err)
		}
	}
	<-release // a GET was sent on the kept connection, and sent again on a new one
	if idle, open := c.pool.counts(); idle != 1 || open != 1 {
		t.Errorf("idle %d open %d, want 1 and 1", idle, open)
	}
}

func TestPostIsNotSentTwice(t *testing.T) {
	var posts int
	var mu sync.Mutex
	addr := rawOrigin(t, func(nc net.Conn, br *bufio.Reader) {
		for {
			req, err := http.ReadRequest(br)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, req.Body)
			if req.Method == "POST" {
				mu.Lock()
				posts++
				mu.Unlock()
				return
			}
			_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	c := newClient(t, nil)
	for range 2 { // the second time the connection is proven
		if _, _, err := fetch(c, "http://"+addr+"/"); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err := c.Do(newRequest("POST", "http://"+addr+"/", strings.NewReader("x")), nil)
	wantError(t, err, "ERR_ZERO_SIZE_OBJECT", 502, "connection_terminated")
	mu.Lock()
	defer mu.Unlock()
	if posts != 1 {
		t.Errorf("POST was sent %d times", posts)
	}
}

func TestTimeouts(t *testing.T) {
	hang := func(first string) string {
		return rawOrigin(t, func(nc net.Conn, br *bufio.Reader) {
			_, _ = http.ReadRequest(br)
			_, _ = io.WriteString(nc, first)
			_, _ = br.ReadByte() // until the client gives up
		})
	}
	c := newClient(t, func(o *Options) {
		o.ResponseTimeout, o.ReadTimeout = units.Duration(50*time.Millisecond), units.Duration(50*time.Millisecond)
	})
	for name, first := range map[string]string{"nothing": "", "half a head": "HTTP/1.1 200"} {
		t.Run(name, func(t *testing.T) {
			_, _, err := fetch(c, "http://"+hang(first)+"/")
			wantError(t, err, "ERR_READ_TIMEOUT", 504, "connection_read_timeout")
		})
	}
	t.Run("body", func(t *testing.T) {
		_, body, err := fetch(c, "http://"+hang("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhell")+"/")
		if body != "hell" {
			t.Errorf("body %q", body)
		}
		wantError(t, err, "ERR_READ_TIMEOUT", 504, "connection_read_timeout")
	})
}

func TestRefusedConnection(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	_, _, err = fetch(newClient(t, nil), "http://"+ln.Addr().String()+"/")
	wantError(t, err, "ERR_CONNECT_FAIL", 502, "connection_refused")
}

func TestClientGone(t *testing.T) {
	addr := rawOrigin(t, func(_ net.Conn, br *bufio.Reader) {
		_, _ = io.Copy(io.Discard, br)
	})
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(20*time.Millisecond, cancel)
	_, _, err := newClient(t, nil).Do(newRequest("GET", "http://"+addr+"/", nil).WithContext(ctx), nil)
	wantError(t, err, "ERR_CLIENT_GONE", 499, "http_request_error")
}

func TestTLS(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto+" "+r.Host)
	}))
	defer srv.Close()
	u, _ := url.Parse(srv.URL)

	_, _, err := fetch(newClient(t, nil), srv.URL)
	wantError(t, err, "ERR_SECURE_CONNECT_FAIL", 502, "tls_certificate_error")

	c := newClient(t, nil)
	c.tls.RootCAs = srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	for range 3 {
		_, body, err := fetch(c, srv.URL)
		if err != nil || body != "HTTP/1.1 "+u.Host {
			t.Errorf("%q %v", body, err)
		}
	}
	_, _, err = fetch(c, "https://"+answering(t, "HTTP/1.1 200 OK\r\n\r\n")+"/")
	if e, _ := errors.AsType[*Error](err); e == nil || e.Page != "ERR_SECURE_CONNECT_FAIL" {
		t.Errorf("plain origin: %v", err)
	}
}
