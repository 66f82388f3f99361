package http1

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// closeWrite ends the client's side.
func (r *rig) closeWrite(c net.Conn) {
	r.t.Helper()
	r.must(c.(*net.TCPConn).CloseWrite())
}

// A client that has sent a whole request and closes its side gets the whole
// answer, whoever gives it.
func TestHalfClosedClientIsAnswered(t *testing.T) {
	body := strings.Repeat("0123456789abcdef", 1<<16)
	r := newRig(t, func(r *rig, _ *Options) {
		r.short = func(c *Conn, q *Request) bool {
			if string(q.Target) != "/short" {
				return false
			}
			head := fmt.Appendf(c.Buffer(), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(body))
			_ = c.Send(head, []byte(body)) // the client is told by a close
			return true
		}
		r.serve = func(w http.ResponseWriter, q *http.Request) {
			ctx := q.Context()
			done := ctx.Done() // so that the client is watched
			_, _ = io.Copy(io.Discard, q.Body)
			select {
			case <-done:
				t.Errorf("%s: taken for gone", q.RequestURI)
			case <-time.After(4 * watchAfter):
			}
			_, _ = io.WriteString(w, body[:1000])
			_ = http.NewResponseController(w).Flush()
			select {
			case <-done:
				t.Errorf("%s: taken for gone in its answer", q.RequestURI)
			case <-time.After(2 * watchAfter):
			}
			_, _ = io.WriteString(w, body[1000:])
		}
	})
	r.srv.halfTime = time.Hour // a loaded machine
	for _, request := range []string{
		"GET /short HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /long HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /old HTTP/1.0\r\n\r\n",
		"POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
		"POST /chunked HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
	} {
		t.Run(strings.Fields(request)[1], func(t *testing.T) {
			c := r.dial()
			_, err := io.WriteString(c, request)
			r.must(err)
			r.closeWrite(c)
			br := bufio.NewReader(c)
			if res, got := readResponse(t, br, "GET"); res.StatusCode != 200 || got != body {
				t.Errorf("%s, %d bytes of %d", res.Status, len(got), len(body))
			}
			if rest, err := io.ReadAll(br); len(rest) > 0 || err != nil {
				t.Errorf("behind the answer: %q, %v", rest, err)
			}
		})
	}
}

// One that closes its side long after its request has given up, and so has one
// whose connection is reset, even if it had closed its side before.
func TestHalfClosedClientLeaves(t *testing.T) {
	for _, tt := range []struct {
		name     string
		halfTime time.Duration
		leave    func(r *rig, c net.Conn)
	}{
		{"late", 0, (*rig).closeWrite},
		{"reset", time.Hour, func(r *rig, c net.Conn) {
			r.closeWrite(c)
			time.Sleep(3 * watchAfter) // most likely seen; else the test tests less
			r.must(c.(*net.TCPConn).SetLinger(0))
			c.Close()
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			began, left := make(chan bool), make(chan bool)
			r := serving(t, func(_ http.ResponseWriter, q *http.Request) {
				done := q.Context().Done()
				began <- true
				<-done
				close(left)
			})
			r.srv.halfTime = tt.halfTime
			c := r.dial()
			fmt.Fprint(c, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
			<-began
			tt.leave(r, c)
			select {
			case <-left:
			case <-time.After(30 * time.Second):
				t.Fatal("not taken for gone")
			}
		})
	}
}

// A request that ends within its head is answered and counted, one that never
// came is not.
func TestHalfAHead(t *testing.T) {
	r := newRig(t, nil)
	for sent, want := range map[string]string{
		"G":                                      "X-Kind: head-incomplete",
		"GET /a HTTP/1.1\r\nHost: x\r\n":         "X-Kind: head-incomplete",
		"":                                       "",
		"\r\n":                                   "",
		"GET /a HTTP/1.1\r\nHost: x\r\n\r\n\r\n": "HTTP/1.1 200 ", // an old client's end of line
	} {
		c := r.dial()
		_, err := io.WriteString(c, sent)
		r.must(err)
		r.closeWrite(c)
		b, err := io.ReadAll(c)
		if err != nil || !strings.Contains(string(b), want) || strings.Count(string(b), "HTTP/1.1 ") != min(1, len(want)) {
			t.Errorf("%q is answered %q, %v, want %q", sent, b, err, want)
		}
	}
	r.eventually("two are counted", func() bool { return r.srv.Stats().Refused["head-incomplete"] == 2 })
}
