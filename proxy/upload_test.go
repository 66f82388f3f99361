package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cachenode/cachenode/internal/units"
)

// An origin may answer while the request is still on its way. net/http's server
// used to read the rest of the body away then, so that the origin got a body
// with a hole.
func TestR0002_EarlyResponseLeavesTheUploadAlone(t *testing.T) {
	r := newRig(t)
	got := make(chan string, 1)
	r.page("/early", func(w http.ResponseWriter, q *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		w.Header().Set("Content-Type", "text/plain")
		w.(http.Flusher).Flush()
		b, err := io.ReadAll(q.Body)
		if err != nil {
			t.Error(err)
		}
		got <- string(b)
		io.WriteString(w, "done")
	})
	c := r.connect()
	defer c.Close()
	body := string(pattern(200_000))
	fmt.Fprintf(c, "POST %s/early HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", r.origin.URL, 100_000, body[:100_000])
	br := bufio.NewReader(c)
	resp, err := http.ReadResponse(br, nil)
	r.must(err)
	for rest := body[100_000:]; rest != ""; rest = rest[10_000:] {
		fmt.Fprintf(c, "%x\r\n%s\r\n", 10_000, rest[:10_000])
		time.Sleep(time.Millisecond) // in pieces
	}
	fmt.Fprint(c, "0\r\n\r\n")
	if b, err := io.ReadAll(resp.Body); string(b) != "done" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	if seen := <-got; seen != body {
		t.Errorf("the origin got %d of %d bytes", len(seen), len(body))
	}
}

// What a client has not sent of a body that nobody wants is never taken for its
// next request, and does not hold up the answer.
func TestUnwantedBody(t *testing.T) {
	r := newRig(t)
	r.page("/no", func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Connection", "close")
		w.WriteHeader(413)
	})
	r.page("/smuggled", fields(200, "x"))
	c := r.connect()
	defer c.Close()
	fmt.Fprintf(c, "POST %s/no HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n12345", r.origin.URL)
	br := bufio.NewReader(c)
	resp, err := http.ReadResponse(br, nil)
	r.must(err)
	if resp.StatusCode != 413 || !resp.Close {
		t.Errorf("%d, close %v", resp.StatusCode, resp.Close)
	}
	fmt.Fprintf(c, "GET %s/smuggled HTTP/1.1\r\nHost: x\r\n\r\n", r.origin.URL)
	if rest, _ := io.ReadAll(br); len(rest) != 0 {
		t.Errorf("%q", rest)
	}
	if r.asked("/smuggled") != 0 {
		t.Error("the rest of the body was taken for a request")
	}
}

// A body is read by nobody once its request was answered; a body that failed
// must not be a whole one for the origin.
func TestUploadBreaksOff(t *testing.T) {
	r := newRig(t)
	outcome := make(chan error, 1)
	r.page("/up", func(w http.ResponseWriter, q *http.Request) {
		_, err := io.ReadAll(q.Body)
		outcome <- err
	})
	for i, head := range []string{"Content-Length: 100000", "Transfer-Encoding: chunked"} {
		c := r.connect()
		fmt.Fprintf(c, "POST %s/up HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n5\r\nabcde\r\n", r.origin.URL, head)
		r.eventually("upload", func() bool { return r.proxy.Stats().OriginRequests > int64(i) })
		c.Close()
		if err := <-outcome; err == nil {
			t.Errorf("%s: a truncated request body looks whole", head)
		}
	}
}

// A GET with a body, of whatever framing, may be answered by what that body says,
// so the answer is nobody else's. net/http hides Transfer-Encoding from the policy.
func TestR0003_GetWithBodyIsNotCached(t *testing.T) {
	r := newRig(t)
	r.page("/q", func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		b, _ := io.ReadAll(q.Body)
		fmt.Fprintf(w, "answer to %q", b)
	})
	for _, body := range []string{"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "Content-Length: 3\r\n\r\nabc"} {
		got := r.raw("GET %s/q HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s", r.origin.URL, body)
		if !strings.HasSuffix(got, `answer to "abc"`) && !strings.Contains(got, "\r\nanswer to \"abc\"\r\n") || !strings.Contains(got, "fwd=bypass") {
			t.Errorf("%q", got)
		}
	}
	r.get("/q").want(t, 200, "fwd=uri-miss", `answer to ""`)
	got := r.raw("GET %s/q HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nxyz\r\n0\r\n\r\n", r.origin.URL)
	if !strings.Contains(got, `answer to "xyz"`) {
		t.Errorf("%q", got)
	}
}

// A client that is too slow with its body is told so; net/http takes the end of
// our patience for its leaving.
func TestR0004_SlowBodyIsAnswered(t *testing.T) {
	r := newRig(t, func(c *rigConfig) { c.proxy.Client.BodyTimeout = units.Duration(50 * time.Millisecond) })
	r.page("/slow", func(w http.ResponseWriter, q *http.Request) { io.Copy(io.Discard, q.Body) })
	got := r.raw("POST %s/slow HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n12345", r.origin.URL)
	if !strings.HasPrefix(got, "HTTP/1.1 408 ") || !strings.Contains(got, "Connection: close") {
		t.Errorf("got %q", clip(got, 500))
	}
}

// A connection is kept behind a request whose body was read to its end.
func TestConnectionIsKeptBehindBodies(t *testing.T) {
	r := newRig(t)
	r.page("/echo", func(w http.ResponseWriter, q *http.Request) { io.Copy(w, q.Body) })
	c := r.connect()
	defer c.Close()
	br := bufio.NewReader(c)
	for i := range 20 {
		body := fmt.Sprintf("Content-Length: 5\r\n\r\nabc%02d", i)
		if i%2 == 1 {
			body = fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n5\r\nabc%02d\r\n0\r\n\r\n", i)
		}
		fmt.Fprintf(c, "POST %s/echo HTTP/1.1\r\nHost: x\r\n%s", r.origin.URL, body)
		resp, err := http.ReadResponse(br, nil)
		r.must(err)
		b, err := io.ReadAll(resp.Body)
		if want := fmt.Sprintf("abc%02d", i); string(b) != want || err != nil || resp.Close {
			t.Fatalf("%d: %q, %v, close %v", i, b, err, resp.Close)
		}
	}
}
