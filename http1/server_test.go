package http1

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/cachenode/cachenode/internal/units"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

func (r *rig) eventually(what string, ok func() bool) {
	r.t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("never: %s", what)
		}
	}
}

// readResponse reads one response.
func readResponse(t *testing.T, br *bufio.Reader, method string) (*http.Response, string) {
	t.Helper()
	res, err := http.ReadResponse(br, &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(b)
}

// serving makes a rig with a handler.
func serving(t testing.TB, h http.HandlerFunc) *rig {
	t.Helper()
	return newRig(t, func(r *rig, _ *Options) { r.serve = h })
}

// What a handler says becomes exactly these bytes.
func TestResponses(t *testing.T) {
	const get, date = "GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "Date: now\r\n"
	for _, c := range []struct {
		name, request string
		serve         http.HandlerFunc
		want          string
	}{
		{"nothing said", get, func(http.ResponseWriter, *http.Request) {}, "HTTP/1.1 200 OK\r\n" + date + "Content-Length: 0\r\nConnection: close\r\n\r\n"},
		{"length is counted", get, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "abc") },
			"HTTP/1.1 200 OK\r\n" + date + "Content-Length: 3\r\nConnection: close\r\n\r\nabc"},
		{"fields are sorted and are one line each", get, func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["X-B"] = []string{"1", " 2 "}
			w.Header()["X-A"] = []string{"a\r\nSet-Cookie: x=y\x00"}
			w.Header()["Bad Name"] = []string{"x"}
			w.Header()["Bad\r\nName"] = []string{"x"}
			w.WriteHeader(404)
		}, "HTTP/1.1 404 Not Found\r\nX-A: a  Set-Cookie: x=y \r\nX-B: 1\r\nX-B: 2\r\n" + date + "Content-Length: 0\r\nConnection: close\r\n\r\n"},
		{"no sniffing", get, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") },
			"HTTP/1.1 200 OK\r\n" + date + "Content-Length: 6\r\nConnection: close\r\n\r\n<html>"},
		{"flushed", get, func(w http.ResponseWriter, _ *http.Request) {
			w.(http.Flusher).Flush()
			io.WriteString(w, "abc")
			w.(http.Flusher).Flush()
			io.WriteString(w, "de")
		}, "HTTP/1.1 200 OK\r\n" + date + "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"},
		{"HTTP/1.0", "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(103)
			w.(http.Flusher).Flush()
			io.WriteString(w, "abc")
		}, "HTTP/1.1 200 OK\r\n" + date + "Connection: close\r\n\r\nabc"},
		{"HEAD", strings.Replace(get, "GET", "HEAD", 1), func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "10")
			if n, err := io.WriteString(w, "0123456789"); n != 10 || err != nil {
				t.Errorf("%d, %v", n, err)
			}
		}, "HTTP/1.1 200 OK\r\n" + date + "Content-Length: 10\r\nConnection: close\r\n\r\n"},
		{"204", get, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(204)
			if _, err := io.WriteString(w, "x"); !errors.Is(err, http.ErrBodyNotAllowed) {
				t.Error(err)
			}
		}, "HTTP/1.1 204 No Content\r\n" + date + "Connection: close\r\n\r\n"},
		{"304", get, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Etag", `"a"`)
			w.WriteHeader(304)
		}, "HTTP/1.1 304 Not Modified\r\nEtag: \"a\"\r\n" + date + "Connection: close\r\n\r\n"},
		{"interim", get, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", "</a>")
			w.WriteHeader(103)
			w.Header().Del("Link")
			w.WriteHeader(200)
			w.WriteHeader(500) // too late
		}, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n" + date + "Content-Length: 0\r\nConnection: close\r\n\r\n"},
		{"trailers", get, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Trailer", "X-A")
			io.WriteString(w, "abc")
			w.Header().Set("X-A", "1")
			w.Header().Set(http.TrailerPrefix+"X-B", "2")
		}, "HTTP/1.1 200 OK\r\nTrailer: X-A\r\n" + date + "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\nX-A: 1\r\nX-B: 2\r\n\r\n"},
		{"handler closes", strings.Replace(get, "Connection: close\r\n", "", 1), func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Connection", "close")
		}, "HTTP/1.1 200 OK\r\nConnection: close\r\n" + date + "Content-Length: 0\r\n\r\n"},
		{"Date of the handler", get, func(w http.ResponseWriter, _ *http.Request) { w.Header()["Date"] = []string{"then"} },
			"HTTP/1.1 200 OK\r\nDate: then\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"},
		{"too long", get, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "3")
			io.WriteString(w, "ab")
			if _, err := io.WriteString(w, "cd"); !errors.Is(err, http.ErrContentLength) {
				t.Error(err)
			}
			io.WriteString(w, "c")
		}, "HTTP/1.1 200 OK\r\n" + date + "Content-Length: 3\r\nConnection: close\r\n\r\nabc"},
		{"too short", strings.Replace(get, "Connection: close\r\n", "", 1), func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "3")
			io.WriteString(w, "ab")
		}, "HTTP/1.1 200 OK\r\n" + date + "Content-Length: 3\r\n\r\nab"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := serving(t, c.serve)
			got := r.raw("%s", c.request)
			if _, rest, ok := strings.Cut(got, "Date: "); ok && !strings.Contains(got, "Date: then") {
				_, rest, _ = strings.Cut(rest, "\r\n")
				got = got[:strings.Index(got, "Date: ")] + date + rest
			}
			if got != c.want {
				t.Errorf("got\n%q, want\n%q", got, c.want)
			}
		})
	}
}

// Requests that come in one piece are answered in their order, bodies and all.
func TestPipelining(t *testing.T) {
	r := newRig(t, func(r *rig, _ *Options) {
		r.short = func(c *Conn, q *Request) bool {
			if string(q.Target) != "/short" {
				return false
			}
			c.Persist(q)
			return c.Send(append(c.Buffer(), "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"...), []byte("short")) == nil
		}
	})
	var b strings.Builder
	for i := range 60 {
		switch i % 4 {
		case 0:
			fmt.Fprintf(&b, "GET /%d HTTP/1.1\r\nHost: x\r\n\r\n", i)
		case 1:
			fmt.Fprintf(&b, "POST /%d HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nGET /", i)
		case 2:
			fmt.Fprintf(&b, "\r\nPOST /%d HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nGET /\r\n0\r\n\r\n", i)
		default:
			b.WriteString("GET /short HTTP/1.1\r\nHost: x\r\n\r\n")
		}
	}
	c := r.dial()
	_, err := io.WriteString(c, b.String())
	r.must(err)
	br := bufio.NewReader(c)
	for i := range 60 {
		want := [4]string{
			fmt.Sprintf(`GET /%d "" map[]`, i), fmt.Sprintf(`POST /%d "GET /" map[]`, i), fmt.Sprintf(`POST /%d "GET /" map[]`, i), "short",
		}[i%4]
		if _, got := readResponse(t, br, "GET"); got != want {
			t.Fatalf("answer %d is %q, want %q", i, got, want)
		}
	}
	r.eventually("all are counted", func() bool { // the last one a moment after its client has it
		s := r.srv.Stats()
		return s.Requests == 60 && s.Short == 15 && s.Open == 1
	})
}

// A head may come in pieces of any size.
func TestHeadInPieces(t *testing.T) {
	r := newRig(t, nil)
	c := r.dial()
	br := bufio.NewReader(c)
	for _, step := range []int{1, 2, 3, 7, 1000} {
		in := "GET /a HTTP/1.1\r\nHost: x\r\nX-Long: " + strings.Repeat("a", 2000*min(step, 10)) + "\r\n\r\n"
		for len(in) > 0 {
			n := min(step, len(in))
			_, err := io.WriteString(c, in[:n])
			r.must(err)
			in = in[n:]
		}
		if res, _ := readResponse(t, br, "GET"); res.StatusCode != 200 {
			t.Errorf("in steps of %d: %s", step, res.Status)
		}
	}
}

func TestExpectContinue(t *testing.T) {
	r := serving(t, func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path == "/no" {
			w.WriteHeader(403)
			return
		}
		b, _ := io.ReadAll(q.Body)
		fmt.Fprintf(w, "%s", b)
	})
	for _, body := range []string{"Content-Length: 3\r\n\r\n|abc", "Transfer-Encoding: chunked\r\n\r\n|3\r\nabc\r\n0\r\n\r\n"} {
		fields, body, _ := strings.Cut(body, "|")
		c := r.dial()
		br := bufio.NewReader(c)
		fmt.Fprintf(c, "POST /yes HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n%s", fields)
		if line, _ := br.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
			t.Fatalf("got %q", line)
		}
		br.ReadString('\n')
		io.WriteString(c, body)
		if res, got := readResponse(t, br, "POST"); got != "abc" || res.Close {
			t.Errorf("%q, close %v", got, res.Close)
		}
	}
	got := r.raw("POST /no HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 403 ") || !strings.Contains(got, "Connection: close") {
		t.Errorf("got %q", got)
	}
}

// What a handler leaves of a body is read away if it is little; else the
// connection ends, with the response seen.
func TestBodyThatNobodyReads(t *testing.T) {
	r := serving(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "unread") })
	for _, c := range []struct {
		size int
		kept bool
	}{{10, true}, {50_000, true}, {100_000, false}, {3_000_000, false}} {
		nc := r.dial()
		go fmt.Fprintf(nc, "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", c.size, strings.Repeat("x", c.size))
		br := bufio.NewReader(nc)
		if res, got := readResponse(t, br, "POST"); got != "unread" || res.Close == c.kept {
			t.Errorf("%d: %q, close %v", c.size, got, res.Close)
		}
		if c.kept {
			fmt.Fprint(nc, "GET /b HTTP/1.1\r\nHost: x\r\n\r\n")
			readResponse(t, br, "GET")
		} else if rest, err := io.ReadAll(br); len(rest) > 0 || err != nil {
			t.Errorf("%d: %q, %v", c.size, rest, err)
		}
	}
}

func TestHijack(t *testing.T) {
	r := serving(t, func(w http.ResponseWriter, q *http.Request) {
		nc, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			fmt.Fprint(w, err)
			return
		}
		defer nc.Close()
		if _, ok := nc.(*net.TCPConn); !ok {
			t.Errorf("handed over %T", nc)
		}
		if _, err := io.WriteString(w, "x"); !errors.Is(err, http.ErrHijacked) {
			t.Error(err)
		}
		b := make([]byte, 10)
		_, err = io.ReadFull(rw, b)
		fmt.Fprintf(rw, "%q %v", b, err)
		rw.Flush()
	})
	// The first bytes come with the head, the others later.
	c := r.dial()
	fmt.Fprint(c, "CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\nearly")
	r.eventually("a tunnel", func() bool { return r.srv.Stats().Tunnels == 1 && r.srv.Stats().Open == 0 })
	if list := r.srv.Conns(); len(list) != 1 || list[0].State != StateTunnel || list[0].Requests != 1 {
		t.Errorf("%+v", list)
	}
	fmt.Fprint(c, "later")
	if b, err := io.ReadAll(c); string(b) != `"earlylater" <nil>` || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	got := r.raw("POST /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nearly")
	if !strings.HasSuffix(got, errBodyUnread.Error()) {
		t.Errorf("a body was handed over: %q", got)
	}
	r.eventually("no tunnel", func() bool { return r.srv.Stats().Tunnels == 0 })
}

func TestReadFrom(t *testing.T) {
	body := strings.Repeat("0123456789abcdef", 100_000)
	path := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	r := serving(t, func(w http.ResponseWriter, q *http.Request) {
		f, err := os.Open(path)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		if q.URL.Path == "/length" {
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		}
		io.WriteString(w, body[:1000])
		if _, err := f.Seek(1000, io.SeekStart); err != nil {
			t.Error(err)
		}
		n, err := io.Copy(w, io.LimitReader(f, int64(len(body))-2000))
		if n != int64(len(body))-2000 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		if n, err := io.Copy(w, f); n != 1000 || err != nil {
			t.Errorf("the rest: %d, %v", n, err)
		}
	})
	for _, path := range []string{"/length", "/chunked"} {
		c := r.dial()
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
		if _, got := readResponse(t, bufio.NewReader(c), "GET"); got != body {
			t.Errorf("%s: %d bytes differ", path, len(got))
		}
	}
}

// SendFrom sends a part of a file, or of what is none.
func TestSendFrom(t *testing.T) {
	body := strings.Repeat("0123456789abcdef", 200_000)
	path := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var off, n int64
	var src io.ReaderAt
	sent := make(chan int64, 1)
	r := newRig(t, func(r *rig, _ *Options) {
		r.short = func(c *Conn, q *Request) bool {
			c.Persist(q)
			head := fmt.Appendf(c.Buffer(), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", n)
			err := c.SendFrom(head, src, off, n)
			sent <- c.Sent() - int64(len(head))
			return err == nil
		}
	})
	c := r.dial()
	br := bufio.NewReader(c)
	for _, src = range []io.ReaderAt{f, strings.NewReader(body)} {
		for _, part := range [][2]int64{{0, 0}, {5, 1}, {7, 10_000}, {3, 30_000}, {11, 2_000_000}, {0, int64(len(body))}} {
			off, n = part[0], part[1]
			fmt.Fprint(c, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
			if _, got := readResponse(t, br, "GET"); got != body[off:off+n] {
				t.Errorf("%d from %d: %d bytes", n, off, len(got))
			}
			if counted := <-sent; counted != n {
				t.Errorf("%d from %d: %d bytes counted", n, off, counted)
			}
		}
	}
}

// A panic cuts its own connection only, and is no end of a body.
func TestPanic(t *testing.T) {
	r := serving(t, func(w http.ResponseWriter, q *http.Request) {
		io.WriteString(w, "some")
		w.(http.Flusher).Flush()
		switch q.URL.Path {
		case "/bug":
			panic("boom")
		case "/abort":
			panic(http.ErrAbortHandler)
		}
	})
	other := r.dial()
	for _, path := range []string{"/bug", "/abort"} {
		if got := r.raw("GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path); !strings.HasSuffix(got, "4\r\nsome\r\n") {
			t.Errorf("%q", got)
		}
	}
	fmt.Fprint(other, "GET /ok HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, got := readResponse(t, bufio.NewReader(other), "GET"); got != "some" {
		t.Errorf("%q", got)
	}
	if s := r.srv.Stats(); s.Panics != 1 {
		t.Errorf("%+v", s)
	}
}

// The context ends when the client leaves, and not before.
func TestClientLeaves(t *testing.T) {
	began, left := make(chan bool), make(chan error)
	r := serving(t, func(_ http.ResponseWriter, q *http.Request) {
		if q.ContentLength > 0 {
			_, _ = io.ReadAll(q.Body)
		}
		ctx, cancel := context.WithCancel(q.Context())
		defer cancel()
		began <- true
		select {
		case <-ctx.Done():
			left <- ctx.Err()
		case <-left:
		}
	})
	r.srv.halfTime = 0
	for _, rest := range []string{"\r\n", "Content-Length: 3\r\n\r\nabc"} {
		c := r.dial()
		fmt.Fprintf(c, "POST /a HTTP/1.1\r\nHost: x\r\n%s", rest)
		<-began
		c.Close()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	// One that stays, and sends ahead.
	c := r.dial()
	fmt.Fprint(c, "GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n")
	br := bufio.NewReader(c)
	for range 2 {
		<-began
		left <- nil
		if res, _ := readResponse(t, br, "GET"); res.StatusCode != 200 {
			t.Error(res.Status)
		}
	}
}

// short times for those who test that time is over.
func impatient(_ *rig, o *Options) {
	brief := units.Duration(50 * time.Millisecond)
	o.HeaderTimeout, o.IdleTimeout, o.BodyTimeout, o.WriteTimeout = 4*brief, brief, brief, brief
}

// drops sends first and then a byte every now and then, for as long as that is
// taken, and returns what comes back.
func (r *rig) drops(first string) string {
	c := r.dial()
	defer c.Close()
	go func() {
		for next := first + "X"; ; next = "X" {
			if _, err := io.WriteString(c, next); err != nil {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	got, _ := io.ReadAll(c)
	return string(got)
}

func TestTimes(t *testing.T) {
	r := newRig(t, impatient)
	t.Run("no head", func(t *testing.T) {
		if got := r.raw(""); got != "" {
			t.Errorf("%q", got)
		}
	})
	t.Run("idle", func(t *testing.T) {
		got := r.raw("GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
		if !strings.HasPrefix(got, "HTTP/1.1 200 ") || strings.Count(got, "HTTP/1.1 ") != 1 {
			t.Errorf("%q", got)
		}
	})
	t.Run("half a head", func(t *testing.T) {
		if got := r.raw("GET /a HTTP/1.1\r\nHost: x\r\n"); !strings.Contains(got, "X-Kind: slow-head") || !strings.HasPrefix(got, "HTTP/1.1 408 ") {
			t.Errorf("%q", got)
		}
	})
	t.Run("a head in drops", func(t *testing.T) {
		if got := r.drops(""); !strings.Contains(got, "X-Kind: slow-head") {
			t.Errorf("%q", got)
		}
	})
	t.Run("a chunk's extension in drops", func(t *testing.T) {
		if got := r.drops("POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;"); !strings.Contains(got, "X-Kind: slow-body") {
			t.Errorf("%q", got)
		}
	})
	t.Run("a trailer in drops", func(t *testing.T) {
		if got := r.drops("POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: "); got != "" {
			t.Errorf("%q", got)
		}
	})
	t.Run("half a chunk size", func(t *testing.T) {
		got := r.raw("POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
		if !strings.Contains(got, "X-Kind: slow-body") {
			t.Errorf("%q", got)
		}
	})
	t.Run("half a body", func(t *testing.T) {
		if got := r.raw("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc"); got != "" {
			t.Errorf("%q", got)
		}
	})
	r.eventually("counts", func() bool {
		s := r.srv.Stats()
		return s.IdleClosed == 2 && s.Refused["slow-head"] == 2 && s.Refused["slow-body"] == 2 && s.Open == 0
	})
}

// A client that takes nothing is cut off.
func TestClientThatNeverReads(t *testing.T) {
	ended := make(chan error, 1)
	r := newRig(t, func(r *rig, o *Options) {
		impatient(r, o)
		r.serve = func(w http.ResponseWriter, _ *http.Request) {
			piece := make([]byte, 100_000)
			for {
				if _, err := w.Write(piece); err != nil {
					ended <- err
					return
				}
			}
		}
	})
	c := r.dial()
	fmt.Fprint(c, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
	if err := <-ended; !isTimeout(err) {
		t.Error(err)
	}
	r.eventually("count", func() bool { return r.srv.Stats().WriteStuck == 1 && r.srv.Stats().Open == 0 })
}

// A slow client gets as long as it takes; one that takes nothing does not.
func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		var w wire
		w.init(server, time.Minute)
		go func() {
			buf := make([]byte, 10)
			for range 8 { // and then never again
				time.Sleep(40 * time.Second)
				io.ReadFull(client, buf)
			}
		}()
		start := time.Now()
		err := w.write(make([]byte, 60), make([]byte, 40))
		if !isTimeout(err) || w.out.Load() != 80 {
			t.Errorf("%d bytes, %v", w.out.Load(), err)
		}
		if took := time.Since(start); took < 320*time.Second || took > 440*time.Second {
			t.Errorf("gave up after %v", took)
		}
	})
}

// The first write of a large body is one page, a small one is one write.
func TestWrites(t *testing.T) {
	for _, c := range []struct {
		body int
		want []int
	}{{0, []int{100}}, {1000, []int{1100}}, {16 << 10, []int{100 + 16<<10}}, {20_000, []int{100, 20_000}}, {1 << 20, []int{4096, 1<<20 + 100 - 4096}}} {
		client, server := net.Pipe()
		conn := &Conn{srv: &Server{}}
		conn.wire.init(server, time.Minute)
		var got []int
		var readers sync.WaitGroup
		readers.Go(func() {
			buf := make([]byte, 2<<20)
			for {
				n, err := client.Read(buf)
				if err != nil {
					return
				}
				got = append(got, n)
			}
		})
		if err := conn.Send(append(conn.Buffer(), make([]byte, 100)...), make([]byte, c.body)); err != nil {
			t.Error(err)
		}
		server.Close()
		readers.Wait()
		if fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%d bytes are written as %v, want %v", c.body, got, c.want)
		}
	}
}

func TestLimits(t *testing.T) {
	t.Run("requests of a connection", func(t *testing.T) {
		r := newRig(t, func(_ *rig, o *Options) { o.MaxRequests = 3 })
		got := r.raw("%s", strings.Repeat("GET /a HTTP/1.1\r\nHost: x\r\n\r\n", 5))
		if strings.Count(got, "HTTP/1.1 200") != 3 || strings.Count(got, "Connection: close") != 1 {
			t.Errorf("%q", got)
		}
	})
	t.Run("connections in all", func(t *testing.T) {
		r := newRig(t, func(_ *rig, o *Options) { o.MaxConnections = 4 })
		r.full(t, 4, "too-many-connections")
	})
	t.Run("connections of a client", func(t *testing.T) {
		r := newRig(t, func(_ *rig, o *Options) { o.MaxConnections, o.MaxConnectionsPerClient = 100, 4 })
		r.full(t, 4, "too-many-of-a-client")
	})
}

// full opens connections beyond a limit: those within it are served, further
// ones are told, and many more are turned away.
func (r *rig) full(t *testing.T, limit int, kind string) {
	var open []net.Conn
	for i := range limit + limit/2 {
		open = append(open, r.dial())
		r.eventually("it is open", func() bool { return r.srv.Stats().Open == int64(i+1) })
	}
	if got := r.raw(""); got != "" {
		t.Errorf("one far too many got %q", got)
	}
	fmt.Fprint(open[0], "GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
	if res, _ := readResponse(t, bufio.NewReader(open[0]), "GET"); res.StatusCode != 200 {
		t.Errorf("the first is answered %s", res.Status)
	}
	fmt.Fprint(open[limit], "GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
	if res, _ := readResponse(t, bufio.NewReader(open[limit]), "GET"); res.StatusCode != 503 || res.Header.Get("X-Kind") != kind {
		t.Errorf("one too many is answered %s, %v", res.Status, res.Header)
	}
	for _, c := range open[:limit] {
		c.Close()
	}
	r.eventually("room", func() bool { return r.srv.Stats().Open <= 1 })
	fmt.Fprint(open[limit+1], "GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
	if res, _ := readResponse(t, bufio.NewReader(open[limit+1]), "GET"); res.StatusCode != 200 {
		t.Errorf("when there is room again: %s", res.Status)
	}
	if s := r.srv.Stats(); s.TurnedAway == 0 || s.Refused[kind] != 1 {
		t.Errorf("%+v", s)
	}
}

// A stop closes what is idle, lets what is under way end, and tells it to close.
func TestShutdown(t *testing.T) {
	began, goOn := make(chan bool), make(chan bool)
	r := serving(t, func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path == "/slow" {
			began <- true
			<-goOn
		}
		io.WriteString(w, "done")
	})
	idle, fresh, busy := r.dial(), r.dial(), r.dial()
	idleReader := bufio.NewReader(idle)
	fmt.Fprint(idle, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
	readResponse(t, idleReader, "GET")
	fmt.Fprint(busy, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
	<-began
	r.eventually("three connections", func() bool { return r.srv.Stats().Open == 3 })
	r.eventually("states", func() bool {
		list := r.srv.Conns()
		return list[0].State == StateIdle && list[1].State == StateIdle && list[2].State == StateResponse
	})
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := r.srv.Shutdown(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a stop did not wait: %v", err)
	}
	stopped := make(chan error)
	go func() { stopped <- r.srv.Shutdown(t.Context()) }()
	if b, err := io.ReadAll(idleReader); len(b) != 0 || err != nil {
		t.Errorf("the idle one got %q, %v", b, err)
	}
	if b, err := io.ReadAll(fresh); len(b) != 0 || err != nil {
		t.Errorf("the fresh one got %q, %v", b, err)
	}
	close(goOn)
	res, got := readResponse(t, bufio.NewReader(busy), "GET")
	if got != "done" || !res.Close {
		t.Errorf("the busy one got %q, close %v", got, res.Close)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if c, err := net.Dial("tcp", r.addr); err == nil {
		c.Close()
		t.Error("it still listens")
	}
}

func TestDrain(t *testing.T) {
	r := newRig(t, nil)
	c := r.dial()
	br := bufio.NewReader(c)
	r.srv.Drain(true)
	r.srv.Drain(false)
	for i, drain := range []bool{false, true} {
		r.srv.Drain(drain)
		fmt.Fprint(c, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
		if res, _ := readResponse(t, br, "GET"); res.Close != drain || r.srv.Draining() != drain {
			t.Errorf("%d: close %v", i, res.Close)
		}
	}
}

// Close cuts what is under way, and Wait waits for its handlers.
func TestClose(t *testing.T) {
	began := make(chan bool)
	r := serving(t, func(_ http.ResponseWriter, q *http.Request) {
		began <- true
		<-q.Context().Done()
	})
	c := r.dial()
	fmt.Fprint(c, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
	<-began
	r.must(r.srv.Close())
	r.must(r.srv.Wait(t.Context()))
}
