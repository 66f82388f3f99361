package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cachenode/cachenode/internal/units"
)

// saying is an origin that answers every connection's first request with the
// same bytes and then closes it, or resets it. asked counts the requests.
func saying(t *testing.T, answer string, reset bool) (addr string, asked *atomic.Int64) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	asked = new(atomic.Int64)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
					return
				}
				asked.Add(1)
				io.WriteString(c, answer)
				if reset {
					c.(*net.TCPConn).SetLinger(0)
				}
			}()
		}
	}()
	return ln.Addr().String(), asked
}

const mayBeStored = "Cache-Control: max-age=60\r\nETag: \"1\"\r\n"

// What is no acceptable response is a 502 for the client, whatever it says of
// itself, and is not stored.
func TestResponsesThatAreRefused(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n" + mayBeStored
	rows := []struct{ name, answer string }{
		{"two lengths", ok + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"},
		{"two equal lengths", ok + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"},
		{"list of lengths", ok + "Content-Length: 5, 5\r\n\r\nhello"},
		{"invalid length", ok + "Content-Length: 5x\r\n\r\nhello"},
		{"negative length", ok + "Content-Length: -5\r\n\r\nhello"},
		{"length with coding", ok + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"},
		{"folded length", ok + "Content-Length:\r\n 5\r\n\r\nhello"},
		{"coding and space before its colon", ok + "Transfer-Encoding : chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"},
		{"coding behind a vertical tab", ok + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"},
		{"chunked not last", ok + "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"},
		{"chunked in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"},
		{"NUL in a field", ok + "X: a\x00b\r\nContent-Length: 5\r\n\r\nhello"},
		{"CR in a field", ok + "X: a\rContent-Length: 9\r\nContent-Length: 5\r\n\r\nhello"},
		{"CR at the end of a field", ok + "X: a\r\r\nContent-Length: 5\r\n\r\nhello"},
		{"CR at the end of a length", ok + "Content-Length: 5\r\r\n\r\nhello"},
		{"CR before a value", ok + "X:\ra\r\nContent-Length: 5\r\n\r\nhello"},
		{"CR at the end of a folded field", ok + "X: a\r\n b\r\r\nContent-Length: 5\r\n\r\nhello"},
		{"chunked with a Kelvin sign", ok + "Transfer-Encoding: chun\u212aed\r\n\r\n5\r\nhello\r\n0\r\n\r\n"},
		{"2 MB head", ok + strings.Repeat("X: "+strings.Repeat("y", 1000)+"\r\n", 2000) + "\r\n"},
		{"HTTP/0.9 reply", "<html>hello</html>"},
		{"101 nobody asked for", "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"},
		{"status 000", "HTTP/1.1 000 No\r\n" + mayBeStored + "Content-Length: 5\r\n\r\nhello"},
		{"status 999", "HTTP/1.1 999 No\r\n" + mayBeStored + "Content-Length: 5\r\n\r\nhello"},
		{"1000 interim responses", strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 1000) + ok + "Content-Length: 5\r\n\r\nhello"},
		{"304 to no condition", "HTTP/1.1 304 Not Modified\r\n" + mayBeStored + "\r\n"},
		{"only interim responses", strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 3)},
		{"nothing", ""},
	}
	r := newRig(t, func(c *rigConfig) { c.disk = 64 * units.MiB })
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			addr, asked := saying(t, row.answer, false)
			for i := int64(1); i <= 2; i++ {
				got := r.raw("GET http://%s/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", addr)
				for strings.HasPrefix(got, "HTTP/1.1 1") {
					_, got, _ = strings.Cut(got, "\r\n\r\n")
				}
				if !strings.HasPrefix(got, "HTTP/1.1 502 ") || strings.Contains(got, "hello") {
					t.Errorf("the client gets %.300q", got)
				}
				if asked.Load() != i {
					t.Errorf("the origin was asked %d times after %d requests", asked.Load(), i)
				}
			}
		})
	}
}

// Via says in which version a response came, also when it comes from the store
// (RFC 9110 §7.6.3).
func TestViaOfAnOldOrigin(t *testing.T) {
	r := newRig(t)
	for version, want := range map[string]string{"1.0": "1.1 up, 1.0 n1 (cachenode)", "1.1": "1.1 up, 1.1 n1 (cachenode)"} {
		addr, _ := saying(t, "HTTP/"+version+" 200 OK\r\n"+mayBeStored+"Via: 1.1 up\r\nContent-Length: 5\r\n\r\nhello", false)
		for _, how := range []string{"fwd=uri-miss", "hit"} {
			got := r.raw("GET http://%s/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", addr)
			resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(got)), nil)
			r.must(err)
			if via := strings.Join(resp.Header["Via"], ", "); via != want || !strings.Contains(resp.Header.Get("Cache-Status"), how) {
				t.Errorf("%s, %s: Via %q, %v", version, how, via, resp.Header)
			}
		}
	}
}

// A body that breaks off aborts the client's response, and is not stored.
func TestBodiesThatBreakOff(t *testing.T) {
	const sized = "HTTP/1.1 200 OK\r\n" + mayBeStored + "Content-Length: 50000\r\n\r\n"
	const chunked = "HTTP/1.1 200 OK\r\n" + mayBeStored + "Transfer-Encoding: chunked\r\n\r\n"
	part := strings.Repeat("x", 30000)
	rows := []struct {
		name, answer string
		reset        bool
	}{
		{"shorter than its length", sized + part, false},
		{"reset", sized + part, true},
		{"nothing of it", sized, false},
		{"no last chunk", chunked + "5\r\nhello\r\n", false},
		{"chunk cut short", chunked + "ffff\r\nhello", false},
		{"chunk that lies", chunked + "3\r\nhello\r\n0\r\n\r\n", false},
		{"size with 0x", chunked + "0x5\r\nhello\r\n0\r\n\r\n", false},
		{"size ended by LF", chunked + "5\nhello\r\n0\r\n\r\n", false},
		{"data ended by LF", chunked + "5\r\nhello\n0\r\n\r\n", false},
		{"huge extension", chunked + "5;" + strings.Repeat("x", 64<<10) + "\r\nhello\r\n0\r\n\r\n", false},
		{"trailers without an end", chunked + "5\r\nhello\r\n0\r\nX: 1\r\n", false},
		{"endless trailers", chunked + "5\r\nhello\r\n0\r\n" + strings.Repeat("X: y\r\n", 100_000) + "\r\n", false},
	}
	r := newRig(t, func(c *rigConfig) { c.disk = 64 * units.MiB })
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			addr, asked := saying(t, row.answer, row.reset)
			for i := int64(1); i <= 2; i++ {
				c := r.connect()
				fmt.Fprintf(c, "GET http://%s/ HTTP/1.1\r\nHost: x\r\n\r\n", addr)
				resp, err := http.ReadResponse(bufio.NewReader(c), nil)
				if err == nil {
					var body []byte
					if body, err = io.ReadAll(resp.Body); err == nil {
						t.Errorf("%d bytes are a whole response: %.100q", len(body), body)
					}
				}
				c.Close()
				if asked.Load() != i {
					t.Errorf("the origin was asked %d times after %d requests", asked.Load(), i)
				}
			}
		})
	}
}

// What the body is, is not our business; what the connection is, ends here.
func TestResponsesPassUntouched(t *testing.T) {
	bomb := "\x1f\x8b\x08\x00" + strings.Repeat("\x00\xff", 5000)
	addr, _ := saying(t, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: X-Secret, close\r\nX-Secret: 1\r\nKeep-Alive: timeout=5\r\n"+
		"Proxy-Authenticate: Basic\r\n"+mayBeStored+fmt.Sprintf("Content-Length: %d\r\n\r\n", len(bomb))+bomb, false)
	r := newRig(t)
	for _, from := range []string{"origin", "store"} {
		got := r.raw("GET http://%s/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", addr)
		head, body, _ := strings.Cut(got, "\r\n\r\n")
		if body != bomb || !strings.Contains(head, "Content-Encoding: gzip") {
			t.Errorf("%s: %d bytes, %s", from, len(body), head)
		}
		for _, gone := range []string{"X-Secret", "Keep-Alive", "Proxy-Authenticate"} {
			if strings.Contains(head, gone) {
				t.Errorf("%s: %s is passed on: %s", from, gone, head)
			}
		}
	}
}
