package proxy

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cachenode/cachenode/accesslog"
)

// half sends bytes, closes the client's side, and returns what comes back.
func (r *rig) half(format string, args ...any) string {
	r.t.Helper()
	c := r.connect()
	defer c.Close()
	_, err := fmt.Fprintf(c, format, args...)
	r.must(err)
	r.must(c.(*net.TCPConn).CloseWrite())
	out, err := io.ReadAll(c)
	if err != nil {
		r.t.Errorf("the answer breaks off after %d bytes: %v", len(out), err)
	}
	return string(out)
}

// A client that has sent a whole request and closes its side gets all of the
// answer: a miss that takes its time, a hit, and what comes through a tunnel.
func TestHalfClosedClient(t *testing.T) {
	r := newRig(t)
	body := string(pattern(300_000))
	r.page("/slow", func(w http.ResponseWriter, q *http.Request) {
		time.Sleep(200 * time.Millisecond) // longer than a client is trusted to be there unwatched
		w.Header().Set("Cache-Control", "max-age=60")
		_, _ = io.WriteString(w, body[:1000])
		w.(http.Flusher).Flush()
		time.Sleep(200 * time.Millisecond)
		_, _ = io.WriteString(w, body[1000:])
	})
	r.page("/echo", func(w http.ResponseWriter, q *http.Request) {
		b, _ := io.ReadAll(q.Body)
		time.Sleep(200 * time.Millisecond)
		_, _ = w.Write(b)
	})
	for _, cached := range []string{"fwd=uri-miss", "hit"} {
		got := r.half("GET %s/slow HTTP/1.0\r\n\r\n", r.origin.URL)
		head, rest, _ := strings.Cut(got, "\r\n\r\n")
		if !strings.Contains(head, "Cache-Status: n1; "+cached) || rest != body {
			t.Errorf("%s: %d bytes of %d: %s", cached, len(rest), len(body), clip(head, 300))
		}
	}
	if got := r.half("POST %s/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", r.origin.URL); !strings.HasSuffix(got, "hello") {
		t.Errorf("POST: %q", clip(got, 500))
	}
	host := r.origin.Listener.Addr().String()
	if got := r.half("CONNECT %s HTTP/1.1\r\nHost: x\r\n\r\nGET /slow HTTP/1.0\r\n\r\n", host); !strings.HasSuffix(got, body) {
		t.Errorf("CONNECT: %d bytes, %q", len(got), clip(got, 200))
	}
	for _, e := range r.entries(4) {
		if e.Result.Aborted {
			t.Errorf("logged as aborted: %+v", e)
		}
	}
}

// A request that is not whole when its client closes its side reaches no origin
// as a whole one, and is logged.
func TestHalfARequest(t *testing.T) {
	r := newRig(t)
	r.page("/up", func(w http.ResponseWriter, q *http.Request) {
		if _, err := io.ReadAll(q.Body); err == nil {
			t.Error("a part of a body looks whole")
		}
	})
	for i, rest := range []string{
		"", "Host: x\r\n", "Host: x\r\nContent-Length: 10\r\n\r\n12345",
		"Host: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "Host: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n",
	} {
		got := r.half("POST %s/up HTTP/1.1\r\n%s", r.origin.URL, rest)
		if got != "" && !strings.HasPrefix(got, "HTTP/1.1 400 ") {
			t.Errorf("%q is answered %q", rest, clip(got, 300))
		}
		e := r.entries(i + 1)[i]
		if e.Result.Tag != accesslog.TagNone && !e.Result.Aborted || e.Status != 0 && e.Status != 400 {
			t.Errorf("%q: logged as %+v", rest, e)
		}
	}
}
