package origin

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/cachenode/cachenode/bench/body"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T) (s *Server, base string) {
	t.Helper()
	s, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1) // it ends once
	go func() { served <- s.Serve() }()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return s, "http://" + s.Addr().String()
}

func do(t *testing.T, method, url string, fields ...string) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		req.Header.Set(name, value)
	}
	res, err := (&http.Transport{DisableKeepAlives: true, DisableCompression: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, b
}

func checkBody(t *testing.T, o body.Object, off int64, b []byte, want int64) {
	t.Helper()
	var c body.Content
	c.Reset(o)
	if int64(len(b)) != want || c.Check(off, b) != len(b) {
		t.Errorf("%+v from %d: %d bytes, want %d; right up to %d", o, off, len(b), want, c.Check(off, b))
	}
}

func TestObjects(t *testing.T) {
	s, base := start(t)
	for _, tt := range []struct {
		query  string
		size   int64
		field  string // a field it must have
		value  string
		status int
	}{
		{"", 1024, "Accept-Ranges", "bytes", 200},
		{"?size=0", 0, "Content-Length", "0", 200},
		{"?size=10k", 10240, "Content-Length", "10240", 200},
		{"?size=1MiB", 1 << 20, "Bench-Object", "id=c1/x; v=0; n=1048576; s=", 200},
		{"?size=300000&chunked=1", 300000, "", "", 200},
		{"?cc=max-age%3D60%2C%20public", 1024, "Cache-Control", "max-age=60, public", 200},
		{"?status=404", 1024, "", "", 404},
		{"?status=503&size=5", 5, "", "", 503},
		{"?etag=weak", 1024, "Etag", `W/"`, 200},
		{"?unknown=1", 1024, "", "", 200},
	} {
		res, b := do(t, "GET", base+"/o/c1/x"+tt.query)
		checkBody(t, body.Object{ID: "c1/x", Length: tt.size}, 0, b, tt.size)
		if res.StatusCode != tt.status || !strings.HasPrefix(res.Header.Get(tt.field), tt.value) {
			t.Errorf("%s: %d %v", tt.query, res.StatusCode, res.Header)
		}
	}
	for _, bad := range []string{"/o/?size=1", "/o/a%20b", "/o/x?size=-1", "/o/x?size=big", "/o/x?status=99", "/o/x?ttfb=2h", "/o/x?vary=a%20b", "/o/x?cc=a%0ab", "/o/" + strings.Repeat("x", 300)} {
		if res, _ := do(t, "GET", base+bad); res.StatusCode != 400 {
			t.Errorf("%s: %d", bad, res.StatusCode)
		}
	}
	if c := s.Counts("c1"); c.Requests != 10 || c.Full != 8 || c.Other != 2 || c != s.Counts("") {
		t.Errorf("%+v", c)
	}
	_, b := do(t, "GET", base+"/stats")
	var stats Stats
	if err := json.Unmarshal(b, &stats); err != nil || stats.Serial != 10 || stats.Classes["c1"].Requests != 10 {
		t.Errorf("%v %+v", err, stats)
	}
}

func TestConditionsAndRanges(t *testing.T) {
	_, base := start(t)
	url := base + "/o/x?size=100000"
	res, _ := do(t, "HEAD", url)
	etag, modified := res.Header.Get("ETag"), res.Header.Get("Last-Modified")
	if res.ContentLength != 100000 || etag == "" || modified == "" {
		t.Fatalf("HEAD: %v", res.Header)
	}
	o := body.Object{ID: "x", Length: 100000}
	for _, tt := range []struct {
		fields []string
		status int
		off, n int64
	}{
		{[]string{"If-None-Match: " + etag}, 304, 0, 0},
		{[]string{`If-None-Match: "a", W/` + etag}, 304, 0, 0},
		{[]string{"If-None-Match: *"}, 304, 0, 0},
		{[]string{`If-None-Match: "a"`, "If-Modified-Since: " + modified}, 200, 0, 100000},
		{[]string{"If-Modified-Since: " + modified}, 304, 0, 0},
		{[]string{"If-Modified-Since: Mon, 01 Jan 2001 00:00:00 GMT"}, 200, 0, 100000},
		{[]string{"Range: bytes=0-0"}, 206, 0, 1},
		{[]string{"Range: bytes=70000-"}, 206, 70000, 30000},
		{[]string{"Range: bytes=-5"}, 206, 99995, 5},
		{[]string{"Range: bytes=99990-200000"}, 206, 99990, 10},
		{[]string{"Range: bytes=100000-"}, 416, 0, 0},
		{[]string{"Range: bytes=1-2,4-5"}, 200, 0, 100000},
		{[]string{"Range: bytes=5-2"}, 200, 0, 100000},
		{[]string{"Range: bytes=1-2", "If-Range: " + etag}, 206, 1, 2},
		{[]string{"Range: bytes=1-2", `If-Range: "old"`}, 200, 0, 100000},
	} {
		res, b := do(t, "GET", url, tt.fields...)
		if res.StatusCode != tt.status {
			t.Errorf("%q: %d, want %d", tt.fields, res.StatusCode, tt.status)
			continue
		}
		checkBody(t, o, tt.off, b, tt.n)
		if tt.status == 206 && res.Header.Get("Content-Range") != fmt.Sprintf("bytes %d-%d/100000", tt.off, tt.off+tt.n-1) {
			t.Errorf("%q: %s", tt.fields, res.Header.Get("Content-Range"))
		}
	}
	if res, _ := do(t, "GET", url+"&etag=0", "If-None-Match: *"); res.StatusCode != 200 || res.Header.Get("ETag") != "" {
		t.Errorf("without validators: %d", res.StatusCode)
	}
}

func TestVariants(t *testing.T) {
	_, base := start(t)
	url := base + "/o/x?vary=Accept-Language"
	for _, lang := range []string{"en", "it"} {
		res, b := do(t, "GET", url, "Accept-Language: "+lang)
		checkBody(t, body.Object{ID: "x|" + lang, Length: 1024}, 0, b, 1024)
		if res.Header.Get("Vary") != "accept-language" {
			t.Errorf("%v", res.Header)
		}
	}
	_, b := do(t, "GET", url, "Accept-Language: en, \x80it;q=1")
	if o, ok := body.ParseHead(b); !ok || o.ID != "x|en__" && !strings.HasPrefix(o.ID, "x|en_") {
		t.Errorf("%+v", o)
	}
}

// Requests in a row on one connection, bodies of requests, and what is no request.
func TestWire(t *testing.T) {
	_, base := start(t)
	addr := strings.TrimPrefix(base, "http://")
	for _, tt := range []struct{ send, want string }{
		{"GET /o/a HTTP/1.1\r\nHost: x\r\n\r\nGET http://x/o/b?size=1 HTTP/1.1\r\nConnection: close\r\n\r\n", "200 200"},
		{"POST /o/a HTTP/1.1\r\nContent-Length: 5\r\n\r\nhelloGET /o/a HTTP/1.0\r\n\r\n", "200 200"},
		{"PUT /o/a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nT: x\r\n\r\nGET /o/a HTTP/1.0\r\n\r\n", "200 200"},
		{"GET / HTTP/1.0\r\n\r\n", "200"},
		{"hello\r\n\r\n", "400"},
		{"GET /o/a HTTP/1.1\r\nno colon\r\n\r\n", "400"},
		{"POST /o/a HTTP/1.1\r\nContent-Length: -5\r\n\r\n", "400"},
		{"GET /" + strings.Repeat("x", 10_000) + " HTTP/1.1\r\n\r\n", "400"},
	} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, tt.send)
		br, got := bufio.NewReader(c), ""
		for {
			res, err := http.ReadResponse(br, nil)
			if err != nil {
				break
			}
			io.Copy(io.Discard, res.Body)
			got += fmt.Sprintf(" %d", res.StatusCode)
		}
		c.Close()
		if strings.TrimSpace(got) != tt.want {
			t.Errorf("%.40q: %s, want %s", tt.send, got, tt.want)
		}
	}
}

// ttfb and bw are kept to, in virtual time.
func TestTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		s := New(&oneConn{conn: make(chan net.Conn, 1), done: make(chan struct{})})
		s.ln.(*oneConn).conn <- theirs
		go func() { _ = s.Serve() }()
		defer s.Close()
		began := time.Now()
		go io.WriteString(ours, "GET /o/x?size=100000&ttfb=300ms&bw=50000 HTTP/1.0\r\n\r\n")
		br := bufio.NewReader(ours)
		res, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatal(err)
		}
		if d := time.Since(began); d != 300*time.Millisecond {
			t.Errorf("first byte after %v", d)
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(began); d < 2250*time.Millisecond || d > 2310*time.Millisecond {
			t.Errorf("ended after %v, want 2.3 s", d)
		}
		ours.Close()
	})
}

// oneConn is a listener with one connection.
type oneConn struct {
	conn chan net.Conn
	done chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case c := <-l.conn:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}
func (l *oneConn) Close() error   { close(l.done); return nil }
func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }

// What AppendQuery writes, ParseSpec reads.
func FuzzSpec(f *testing.F) {
	f.Add("/o/run/17", "size=10k&ttfb=20ms&bw=1m&status=404&cc=max-age%3D60&etag=weak&vary=accept-language&change=30s&chunked=1")
	f.Add("/o/x", "size=&cc=%zz")
	f.Fuzz(func(t *testing.T, path, query string) {
		s, err := ParseSpec(path, query)
		if err != nil {
			return
		}
		again, err := ParseSpec(Prefix+s.ID, string(s.AppendQuery(nil)))
		if s.NoValidators {
			s.WeakETag = false
		}
		if err != nil || again != s {
			t.Errorf("%q %q: %+v, then %+v, %v", path, query, s, again, err)
		}
		if s.Size < 0 || s.Status < 200 || len(VariantID(s.ID, strings.Repeat("x", longestVariant))) > body.MaxID {
			t.Errorf("%+v", s)
		}
	})
}
