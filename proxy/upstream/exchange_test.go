package upstream

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/cachenode/cachenode/internal/units"
)

// capture answers each connection's first request with 200 and returns what
// was received up to the empty line.
func capture(t *testing.T) (addr string, heads <-chan string) {
	ch := make(chan string, 16)
	return rawOrigin(t, func(nc net.Conn, br *bufio.Reader) {
		var b strings.Builder
		for !strings.HasSuffix(b.String(), "\r\n\r\n") {
			c, err := br.ReadByte()
			if err != nil {
				return
			}
			b.WriteByte(c)
		}
		ch <- b.String()
		_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	}), ch
}

func TestRequestHeadIsExactlyWhatWasAsked(t *testing.T) {
	addr, heads := capture(t)
	for _, tc := range []struct {
		name string
		edit func(r *http.Request)
		want string // %s is the address
	}{
		{"nothing is added", func(*http.Request) {}, "GET /x HTTP/1.1\r\nHost: %s\r\n\r\n"},
		{"fields", func(r *http.Request) {
			r.Header = http.Header{"B": {"2", "1"}, "A": {"x"}, "User-Agent": nil, "Accept-Encoding": {"br"}}
		}, "GET /x HTTP/1.1\r\nHost: %s\r\nA: x\r\nAccept-Encoding: br\r\nB: 2\r\nB: 1\r\n\r\n"},
		{"hop-by-hop fields are not ours to pass", func(r *http.Request) {
			r.Header = http.Header{"Connection": {"close, x"}, "Proxy-Connection": {"x"}, "Keep-Alive": {"x"},
				"Proxy-Authorization": {"secret"}, "Transfer-Encoding": {"chunked"}, "Content-Length": {"9"}, "Trailer": {"x"}}
		}, "GET /x HTTP/1.1\r\nHost: %s\r\n\r\n"},
		{"TE", func(r *http.Request) { r.Header = http.Header{"Te": {"trailers"}} },
			"GET /x HTTP/1.1\r\nHost: %s\r\nTe: trailers\r\nConnection: TE\r\n\r\n"},
		{"upgrade", func(r *http.Request) { r.Header = http.Header{"Upgrade": {"websocket"}} },
			"GET /x HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"},
		{"host", func(r *http.Request) { r.Host = "example.com" }, "GET /x HTTP/1.1\r\nHost: example.com\r\n\r\n"},
		{"raw path", func(r *http.Request) { r.URL.Opaque = "/%7ea//b/../c|%2f" }, "GET /%%7ea//b/../c|%%2f HTTP/1.1\r\nHost: %s\r\n\r\n"},
		{"raw path and query", func(r *http.Request) { r.URL.Opaque, r.URL.RawQuery = "//a", "b=%zz?" }, "GET //a?b=%%zz? HTTP/1.1\r\nHost: %s\r\n\r\n"},
		{"empty query", func(r *http.Request) { r.URL.ForceQuery = true }, "GET /x? HTTP/1.1\r\nHost: %s\r\n\r\n"},
		{"empty path", func(r *http.Request) { r.URL.Path = "" }, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n"},
		{"OPTIONS *", func(r *http.Request) { r.Method, r.URL.Path = "OPTIONS", "" }, "OPTIONS * HTTP/1.1\r\nHost: %s\r\n\r\n"},
		{"empty POST", func(r *http.Request) { r.Method = "POST" }, "POST /x HTTP/1.1\r\nHost: %s\r\nContent-Length: 0\r\n\r\n"},
		{"DELETE", func(r *http.Request) { r.Method = "DELETE" }, "DELETE /x HTTP/1.1\r\nHost: %s\r\n\r\n"},
		{"close", func(r *http.Request) { r.Close = true }, "GET /x HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			req := newRequest("GET", "http://"+addr+"/x", nil)
			tc.edit(req)
			if _, _, err := newClient(t, nil).Do(req, nil); err != nil {
				t.Fatal(err)
			}
			want := tc.want
			if strings.Contains(want, "%s") {
				want = fmt.Sprintf(want, addr)
			} else {
				want = strings.ReplaceAll(want, "%%", "%")
			}
			if got := <-heads; got != want {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		})
	}
}

func TestRequestsThatCannotBeSent(t *testing.T) {
	for name, edit := range map[string]func(r *http.Request){
		"method":      func(r *http.Request) { r.Method = "GET /" },
		"host":        func(r *http.Request) { r.Host = "a\r\nX: y" },
		"target":      func(r *http.Request) { r.URL.Opaque = "/a b" },
		"target CRLF": func(r *http.Request) { r.URL.RawQuery = "a\r\nX: y" },
		"name":        func(r *http.Request) { r.Header["A B"] = []string{"x"} },
		"value":       func(r *http.Request) { r.Header["A"] = []string{"x\r\nX: y"} },
		"trailer name": func(r *http.Request) {
			r.Body = io.NopCloser(strings.NewReader("x"))
			r.Trailer = http.Header{"A B": nil}
		},
		"scheme":  func(r *http.Request) { r.URL.Scheme = "ftp" },
		"no host": func(r *http.Request) { r.URL = &url.URL{Scheme: "http", Path: "/"} },
	} {
		t.Run(name, func(t *testing.T) {
			addr := answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			req := newRequest("GET", "http://"+addr+"/", nil)
			edit(req)
			c := newClient(t, nil)
			_, _, err := c.Do(req, nil)
			wantError(t, err, "ERR_INVALID_REQ", 400, "http_request_error")
			if _, open := c.pool.counts(); open != 0 {
				t.Errorf("%d connections are open", open)
			}
		})
	}
}

func TestTrailersBothWays(t *testing.T) {
	addr := rawOrigin(t, func(nc net.Conn, br *bufio.Reader) {
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		b, _ := io.ReadAll(req.Body)
		_, _ = fmt.Fprintf(nc, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, Content-Length\r\n\r\n%x\r\n%s\r\n0\r\nX-Sum: %s\r\nLate: y\r\nContent-Length: 5\r\n\r\n",
			len(b), b, req.Trailer.Get("X-Sum"))
	})
	req := newRequest("PUT", "http://"+addr+"/", struct{ io.Reader }{strings.NewReader("hello")})
	req.Trailer = http.Header{"X-Sum": {"42"}}
	resp, _, err := newClient(t, nil).Do(req, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := resp.Trailer["X-Sum"]; !ok || len(resp.Trailer) != 1 || resp.Header["Trailer"] != nil {
		t.Errorf("announced %v, header %v", resp.Trailer, resp.Header)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil || string(b) != "hello" {
		t.Errorf("body %q, %v", b, err)
	}
	if want := (http.Header{"X-Sum": {"42"}, "Late": {"y"}}); fmt.Sprint(resp.Trailer) != fmt.Sprint(want) {
		t.Errorf("trailers %v, want %v", resp.Trailer, want)
	}
}

// watched is a request body that tells when it is first read.
type watched struct {
	io.Reader
	read chan struct{}
}

func newWatched(s string) *watched { return &watched{strings.NewReader(s), make(chan struct{})} }

func (w *watched) Read(p []byte) (int, error) {
	select {
	case <-w.read:
	default:
		close(w.read)
	}
	return w.Reader.Read(p)
}

func (w *watched) Close() error { return nil }

func (w *watched) wasRead() bool {
	select {
	case <-w.read:
		return true
	default:
		return false
	}
}

func expecting(addr, body string) (*http.Request, *watched) {
	w := newWatched(body)
	req := newRequest("POST", "http://"+addr+"/", w)
	req.ContentLength = int64(len(body))
	req.Header.Set("Expect", "100-continue")
	return req, w
}

func TestExpectContinue(t *testing.T) {
	slow := func(o *Options) { o.ExpectTimeout = units.Duration(time.Minute) }
	t.Run("granted", func(t *testing.T) {
		var w *watched
		addr := rawOrigin(t, func(nc net.Conn, br *bufio.Reader) {
			_, _ = http.ReadRequest(br)
			if w.wasRead() {
				t.Error("the body was read before 100")
			}
			_, _ = io.WriteString(nc, "HTTP/1.1 100 Continue\r\n\r\n")
			b := make([]byte, 5)
			_, _ = io.ReadFull(br, b)
			_, _ = fmt.Fprintf(nc, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n%s", b)
		})
		req, w2 := expecting(addr, "hello")
		w = w2
		resp, _, err := newClient(t, slow).Do(req, func(code int, _ http.Header) { t.Errorf("interim %d", code) })
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := io.ReadAll(resp.Body); string(b) != "hello" {
			t.Errorf("body %q", b)
		}
	})
	t.Run("refused", func(t *testing.T) {
		addr := rawOrigin(t, func(nc net.Conn, br *bufio.Reader) {
			_, _ = http.ReadRequest(br)
			_, _ = io.WriteString(nc, "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\n\r\nno")
			if b, _ := io.ReadAll(br); len(b) > 0 {
				t.Errorf("origin got %q", b)
			}
		})
		req, w := expecting(addr, "hello")
		c := newClient(t, slow)
		resp, _, err := c.Do(req, nil)
		if err != nil || resp.StatusCode != 417 {
			t.Fatalf("%v %v", resp, err)
		}
		if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "no" {
			t.Errorf("body %q %v", b, err)
		}
		if w.wasRead() {
			t.Error("the body was read")
		}
		if _, open := c.pool.counts(); open != 0 {
			t.Error("a connection whose request is unfinished is kept")
		}
	})
	t.Run("ignored", func(t *testing.T) {
		addr := answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		req, w := expecting(addr, "hello")
		c := newClient(t, func(o *Options) { o.ExpectTimeout = units.Duration(20 * time.Millisecond) })
		if _, _, err := c.Do(req, nil); err != nil || !w.wasRead() {
			t.Errorf("%v, body read: %v", err, w.wasRead())
		}
	})
}

func TestInterimResponsesAreHandedOn(t *testing.T) {
	addr := answering(t, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	var got []string
	_, _, err := newClient(t, nil).Do(newRequest("GET", "http://"+addr+"/", nil), func(code int, h http.Header) {
		got = append(got, fmt.Sprint(code, h))
	})
	if err != nil || fmt.Sprint(got) != "[103 map[Link:[</a>]] 102 map[]]" {
		t.Errorf("got %v, %v", got, err)
	}
}

// endless is an upload that goes on until it is told to stop.
type endless struct{ stop chan struct{} }

func (e *endless) Read(p []byte) (int, error) {
	select {
	case <-e.stop:
		return 0, errors.New("stopped")
	case <-time.After(time.Millisecond):
		return len(p), nil
	}
}
func (e *endless) Close() error { return nil }
func (e *endless) SetReadDeadline(time.Time) error {
	close(e.stop)
	return nil
}

func TestEarlyRefusalEndsTheUpload(t *testing.T) {
	addr := rawOrigin(t, func(nc net.Conn, br *bufio.Reader) {
		_, _ = http.ReadRequest(br)
		_, _ = br.ReadByte() // the upload has begun
		_, _ = io.WriteString(nc, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig")
		_, _ = io.Copy(io.Discard, br)
	})
	c := newClient(t, nil)
	up := &endless{make(chan struct{})}
	resp, _, err := c.Do(newRequest("POST", "http://"+addr+"/", up), nil)
	if err != nil || resp.StatusCode != 413 {
		t.Fatalf("%v, %v", resp, err)
	}
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "big" {
		t.Errorf("body %q, %v", b, err)
	}
	<-up.stop
	if _, open := c.pool.counts(); open != 0 {
		t.Error("the connection is kept")
	}
}

func TestUploadAndResponseRunTogether(t *testing.T) {
	addr := rawOrigin(t, func(nc net.Conn, br *bufio.Reader) {
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\n\r\n")
		_, _ = io.Copy(nc, req.Body)
	})
	pr, pw := io.Pipe()
	resp, _, err := newClient(t, nil).Do(newRequest("POST", "http://"+addr+"/", pr), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"one", "two"} {
		_, _ = io.WriteString(pw, word)
		got := make([]byte, len(word))
		if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != word {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	_ = pw.Close()
	if _, err := resp.Body.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the end is %v", err)
	}
}

func TestUploadThatBreaksOffIsNotWhole(t *testing.T) {
	for name, body := range map[string]io.Reader{
		"error": io.MultiReader(strings.NewReader("hello"), errReader{errors.New("client is gone")}),
		"short": strings.NewReader("hell"),
	} {
		t.Run(name, func(t *testing.T) {
			whole := make(chan bool, 1)
			addr := rawOrigin(t, func(_ net.Conn, br *bufio.Reader) {
				req, err := http.ReadRequest(br)
				if err == nil {
					_, err = io.ReadAll(req.Body)
				}
				whole <- err == nil
			})
			req := newRequest("POST", "http://"+addr+"/", struct{ io.Reader }{body})
			if name == "short" {
				req.ContentLength = 5
			}
			_, _, err := newClient(t, nil).Do(req, nil)
			wantError(t, err, "ERR_INVALID_REQ", 400, "http_request_error")
			if <-whole {
				t.Error("the origin takes a part for the whole")
			}
		})
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func TestSwitchingProtocols(t *testing.T) {
	const yes = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\nUpgrade: %s\r\n\r\nhi"
	for proto, ok := range map[string]bool{"websocket": true, "WebSocket": true, "other": false, "": false, "websocket, x": false} {
		t.Run(proto, func(t *testing.T) {
			c := newClient(t, nil)
			req := newRequest("GET", "http://"+answering(t, fmt.Sprintf(yes, proto))+"/", nil)
			req.Header.Set("Upgrade", "websocket")
			resp, _, err := c.Do(req, nil)
			if !ok {
				wantError(t, err, "ERR_INVALID_RESP", 502, "http_protocol_error")
				return
			}
			nc, switched := Switched(resp)
			if err != nil || !switched {
				t.Fatalf("%v, %v", switched, err)
			}
			defer nc.Close() //nolint:errcheck // the test is over
			if resp.Header["Content-Length"] != nil || resp.Header["Transfer-Encoding"] != nil {
				t.Errorf("a 101 announces a body: %v", resp.Header)
			}
			if b, err := io.ReadAll(nc); err != nil || string(b) != "hi" {
				t.Errorf("got %q, %v", b, err)
			}
			if _, open := c.pool.counts(); open != 0 {
				t.Error("the pool still counts the connection")
			}
		})
	}
}

func TestBytesBehindAResponseEndTheConnection(t *testing.T) {
	c := newClient(t, nil)
	addr := answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n")
	if _, body, err := fetch(c, "http://"+addr+"/"); err != nil || body != "ok" {
		t.Fatalf("%q %v", body, err)
	}
	if _, open := c.pool.counts(); open != 0 {
		t.Error("the connection is kept")
	}
}

func TestUnaskedBytesOnAnIdleConnection(t *testing.T) {
	said := make(chan struct{}, 2)
	addr := rawOrigin(t, func(nc net.Conn, br *bufio.Reader) {
		if _, err := http.ReadRequest(br); err != nil {
			return
		}
		_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		time.Sleep(20 * time.Millisecond) // so that it comes while the connection is idle
		_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
		said <- struct{}{}
		_, _ = br.ReadByte()
	})
	c := newClient(t, nil)
	for range 2 {
		if _, body, err := fetch(c, "http://"+addr+"/"); err != nil || body != "ok" {
			t.Fatalf("%q %v", body, err)
		}
		<-said
	}
}

func TestConnsPerHostAreBounded(t *testing.T) {
	addr := rawOrigin(t, func(nc net.Conn, br *bufio.Reader) {
		for {
			if _, err := http.ReadRequest(br); err != nil {
				return
			}
			_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	c := newClient(t, func(o *Options) {
		o.MaxConnsPerHost, o.ConnectTimeout = 1, units.Duration(50*time.Millisecond)
	})
	first, _, err := c.Do(newRequest("GET", "http://"+addr+"/", nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = fetch(c, "http://"+addr+"/")
	wantError(t, err, "ERR_CANNOT_FORWARD", 503, "connection_limit_reached")

	done := make(chan error)
	c.opts.ConnectTimeout = units.Duration(time.Minute)
	go func() {
		_, _, err := fetch(c, "http://"+addr+"/")
		done <- err
	}()
	for waiting := 0; waiting == 0; time.Sleep(time.Millisecond) {
		c.pool.mu.Lock()
		for _, h := range c.pool.hosts {
			waiting = len(h.waiting)
		}
		c.pool.mu.Unlock()
	}
	_, _ = io.Copy(io.Discard, first.Body)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if idle, open := c.pool.counts(); idle != 1 || open != 1 {
		t.Errorf("idle %d open %d, want 1 and 1", idle, open)
	}
}

func TestIdleConnectionsExpire(t *testing.T) {
	addr := answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "")
	c := newClient(t, func(o *Options) { o.IdleTimeout = units.Duration(time.Millisecond) })
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- c.Run(ctx) }()
	if _, _, err := fetch(c, "http://"+addr+"/"); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, open := c.pool.counts(); open == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the connection stays")
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestClosedClient(t *testing.T) {
	c := newClient(t, nil)
	_ = c.Close()
	_, _, err := fetch(c, "http://127.0.0.1:1/")
	wantError(t, err, "ERR_SHUTTING_DOWN", 503, "proxy_internal_error")
}

func TestBodyClosedEarlyFromAnotherGoroutine(t *testing.T) {
	addr := rawOrigin(t, func(nc net.Conn, br *bufio.Reader) {
		_, _ = http.ReadRequest(br)
		_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhell")
		_, _ = br.ReadByte()
	})
	resp, _, err := newClient(t, nil).Do(newRequest("GET", "http://"+addr+"/", nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	go func() {
		time.Sleep(10 * time.Millisecond)
		_ = resp.Body.Close()
	}()
	if _, err := b.ReadFrom(resp.Body); err == nil || b.String() != "hell" {
		t.Errorf("read %q, %v", b.String(), err)
	}
}
