package upstream

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cachenode/cachenode/internal/units"
)

// A connection on which anything odd happened carries no second request, even
// though the response was good and the origin would take one.
func TestOddResponsesEndTheConnection(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for _, row := range []struct {
		name, method, answer, body string
	}{
		{"close", "GET", ok + "Connection: close\r\nContent-Length: 2\r\n\r\nok", "ok"},
		{"close in a list", "GET", ok + "Connection: x, CLOSE\r\nContent-Length: 2\r\n\r\nok", "ok"},
		{"HTTP/1.0", "GET", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok"},
		{"bytes behind the body", "GET", ok + "Content-Length: 2\r\n\r\nok\r\n", "ok"},
		{"a response behind the body", "GET", ok + "Content-Length: 2\r\n\r\nok" + ok + "Content-Length: 4\r\n\r\nevil", "ok"},
		{"bytes behind the last chunk", "GET", ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n\r\n", "ok"},
		{"bytes behind no body", "GET", ok + "Content-Length: 0\r\n\r\nx", ""},
		{"body of a HEAD", "HEAD", ok + "Content-Length: 2\r\n\r\nok", ""},
		{"body of a 304", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\nok", ""},
		{"204 with a length", "GET", "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n", ""},
		{"204 with a coding", "GET", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", ""},
		{"interim with a length", "GET", "HTTP/1.1 103 Early Hints\r\nContent-Length: 2\r\n\r\n" + ok + "Content-Length: 2\r\n\r\nok", "ok"},
		{"interim with a coding", "GET", "HTTP/1.1 100 Continue\r\nTransfer-Encoding: chunked\r\n\r\n" + ok + "Content-Length: 2\r\n\r\nok", "ok"},
		{"interim and close", "GET", "HTTP/1.1 102 Processing\r\nConnection: close\r\n\r\n" + ok + "Content-Length: 2\r\n\r\nok", "ok"},
		{"HTTP/1.0 kept alive by a Kelvin sign", "GET", "HTTP/1.0 200 OK\r\nConnection: \u212aeep-alive\r\nContent-Length: 2\r\n\r\nok", "ok"},
		{"response before the request is sent", "POST", ok + "Content-Length: 2\r\n\r\nok", "ok"},
		{"refusal before the request is sent", "POST", "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno", "no"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var conns atomic.Int64
			addr := rawOrigin(t, func(nc net.Conn, br *bufio.Reader) {
				conns.Add(1)
				if _, err := http.ReadRequest(br); err != nil { // the head, not the body
					return
				}
				_, _ = io.WriteString(nc, row.answer)
				_, _ = io.Copy(io.Discard, br)
			})
			c := newClient(t, nil)
			for range 2 {
				req := newRequest(row.method, "http://"+addr+"/", nil)
				source, feed := io.Pipe()
				if row.method == "POST" {
					req.Body, req.ContentLength = source, 1<<20
				}
				resp, _, err := c.Do(req, nil)
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(resp.Body)
				if err != nil || string(got) != row.body {
					t.Errorf("%q, %v", got, err)
				}
				_ = resp.Body.Close()
				_ = feed.Close()
				if idle, open := c.pool.counts(); idle != 0 || open != 0 {
					t.Errorf("%d idle and %d open connections", idle, open)
				}
			}
			if n := conns.Load(); n != 2 {
				t.Errorf("%d connections for 2 requests", n)
			}
		})
	}
}

// Trailers may not bring in what frames or routes a message.
func TestFramingFieldsInTrailersAreDropped(t *testing.T) {
	addr := answering(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Content-Length, X-Sum\r\n\r\n2\r\nok\r\n0\r\n"+
		"Content-Length: 9\r\nTransfer-Encoding: chunked\r\nHost: evil\r\nConnection: x\r\nProxy-Authenticate: Basic\r\nX-Sum: 1\r\n\r\n")
	resp, body, err := fetch(newClient(t, nil), "http://"+addr+"/")
	if err != nil || body != "ok" {
		t.Fatalf("%q, %v", body, err)
	}
	if len(resp.Trailer) != 1 || resp.Trailer.Get("X-Sum") != "1" {
		t.Errorf("trailers %v", resp.Trailer)
	}
}

// A request whose method may have done something is not sent again, with or
// without a body, and none is after a byte of a response.
func TestWhatIsSentAgain(t *testing.T) {
	for _, row := range []struct {
		name, method, said string
		again              bool
	}{
		{"GET", "GET", "", true},
		{"HEAD", "HEAD", "", true},
		{"DELETE", "DELETE", "", true},
		{"POST", "POST", "", false},
		{"PATCH", "PATCH", "", false},
		{"a method nobody knows", "BREW", "", false},
		{"GET with a byte of a response", "GET", "H", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			var asked atomic.Int64
			addr := rawOrigin(t, func(nc net.Conn, br *bufio.Reader) {
				for {
					req, err := http.ReadRequest(br)
					if err != nil {
						return
					}
					if strings.HasSuffix(req.URL.Path, "/die") && asked.Add(1) == 1 {
						_, _ = io.WriteString(nc, row.said)
						return
					}
					_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
				}
			})
			c := newClient(t, nil)
			for range 2 { // a connection that any request may use again
				if _, _, err := fetch(c, "http://"+addr+"/"); err != nil {
					t.Fatal(err)
				}
			}
			_, _, err := c.Do(newRequest(row.method, "http://"+addr+"/die", nil), nil)
			if (err == nil) != row.again {
				t.Errorf("error is %v", err)
			}
			if n := asked.Load(); (n == 2) != row.again {
				t.Errorf("sent %d times", n)
			}
		})
	}
}

// What an origin takes for a request that was the body of another never meets a
// request of ours.
func TestBodiesThatOriginsIgnore(t *testing.T) {
	for _, method := range []string{"GET", "DELETE", "OPTIONS"} {
		t.Run(method, func(t *testing.T) {
			addr := rawOrigin(t, func(nc net.Conn, br *bufio.Reader) {
				for {
					req, err := http.ReadRequest(br)
					if err != nil {
						return
					}
					// Its body is not read.
					_, _ = fmt.Fprintf(nc, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(req.URL.Path), req.URL.Path)
				}
			})
			c := newClient(t, nil)
			smuggled := "GET /smuggled HTTP/1.1\r\nX: " // what comes next belongs to it
			resp, _, err := c.Do(newRequest(method, "http://"+addr+"/first", strings.NewReader(smuggled)), nil)
			if err != nil {
				t.Fatal(err)
			}
			if b, err := io.ReadAll(resp.Body); string(b) != "/first" || err != nil {
				t.Errorf("%q %v", b, err)
			}
			if idle, open := c.pool.counts(); idle != 0 || open != 0 {
				t.Errorf("idle %d open %d", idle, open)
			}
			if _, body, err := fetch(c, "http://"+addr+"/second"); body != "/second" || err != nil {
				t.Errorf("%q %v", body, err)
			}
		})
	}
}

// A wait for a response that has run out is not begun again.
func TestTimeoutOnAKeptConnection(t *testing.T) {
	var asked atomic.Int64
	addr := rawOrigin(t, func(nc net.Conn, br *bufio.Reader) {
		for {
			if _, err := http.ReadRequest(br); err != nil {
				return
			}
			if asked.Add(1) == 1 {
				_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			}
		}
	})
	c := newClient(t, func(o *Options) { o.ResponseTimeout = units.Duration(50 * time.Millisecond) })
	if _, _, err := fetch(c, "http://"+addr+"/"); err != nil {
		t.Fatal(err)
	}
	_, _, err := fetch(c, "http://"+addr+"/")
	wantError(t, err, "ERR_READ_TIMEOUT", 504, "connection_read_timeout")
	if n := asked.Load(); n != 2 {
		t.Errorf("asked %d times", n)
	}
}

// An origin that closes behind its response without saying so may do it when the
// next request is under way. One that must not be sent again does not risk that.
func TestUnprovenConnectionsTakeNoPost(t *testing.T) {
	var conns atomic.Int64
	addr := rawOrigin(t, func(nc net.Conn, br *bufio.Reader) {
		conns.Add(1)
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, req.Body)
		_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		_, _ = br.ReadByte() // what comes now is not answered
	})
	c := newClient(t, nil)
	methods := []string{"POST", "PATCH", "PUT", "POST"}
	for _, method := range methods {
		resp, _, err := c.Do(newRequest(method, "http://"+addr+"/", strings.NewReader("x")), nil)
		if err != nil {
			t.Fatalf("%s: %v", method, err)
		}
		if b, err := io.ReadAll(resp.Body); string(b) != "ok" || err != nil {
			t.Errorf("%s: %q %v", method, b, err)
		}
	}
	if n := conns.Load(); n != int64(len(methods)) {
		t.Errorf("%d connections", n)
	}
	if idle, open := c.pool.counts(); idle != 1 || open != 1 {
		t.Errorf("idle %d open %d, want 1 and 1", idle, open)
	}
}

// A deadline that an earlier exchange has left on the connection is not the next
// one's: a request body may take as long as its sender makes it.
func TestSlowUploadOnAKeptConnection(t *testing.T) {
	const patience = 100 * time.Millisecond
	var conns atomic.Int64
	addr := rawOrigin(t, func(nc net.Conn, br *bufio.Reader) {
		conns.Add(1)
		for {
			req, err := http.ReadRequest(br)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, req.Body)
			_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	c := newClient(t, func(o *Options) { o.ResponseTimeout = units.Duration(patience) })
	for range 2 { // the second time the connection is proven
		if _, _, err := fetch(c, "http://"+addr+"/"); err != nil {
			t.Fatal(err)
		}
	}
	source, feed := io.Pipe()
	go func() {
		time.Sleep(3 * patience) // longer than any wait for a response may be
		_, _ = io.WriteString(feed, "late")
		_ = feed.Close()
	}()
	resp, _, err := c.Do(newRequest("POST", "http://"+addr+"/", struct{ io.Reader }{source}), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	time.Sleep(2 * patience) // past what the upload has left behind
	if _, _, err := fetch(c, "http://"+addr+"/"); err != nil {
		t.Error(err)
	}
}

// What is no HTTP is told at its first bytes: its sender may hold the connection,
// and never end a line.
func TestOtherProtocolsAreNotWaitedFor(t *testing.T) {
	for _, said := range []string{"SSH-2.0-x", "<html>", "220 mail ESMTP\r\n", "\r\nHTTP/1.1 200 OK\r\n", "HTTP/2.0 200 OK\r\n", "\x15\x03\x01", strings.Repeat("a", 30<<10)} {
		addr := rawOrigin(t, func(nc net.Conn, br *bufio.Reader) {
			_, _ = io.WriteString(nc, said)
			_, _ = io.Copy(io.Discard, br)
		})
		_, _, err := newClient(t, func(o *Options) { o.ResponseTimeout = units.Duration(time.Hour) }).Do(newRequest("GET", "http://"+addr+"/", nil), nil)
		wantError(t, err, "ERR_INVALID_RESP", 502, "http_protocol_error")
	}
}
