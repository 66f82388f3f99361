package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"

	"github.com/cachenode/cachenode/accesslog"
	"github.com/cachenode/cachenode/internal/units"
)

// Fields that concern one connection stay on it (RFC 9110 §7.6.1).
func TestHopByHop(t *testing.T) {
	r := newRig(t)
	r.page("/h", fields(200, "x", "Connection: X-Resp", "X-Resp: 1", "Keep-Alive: timeout=5", "X-Kept: 1"))
	got := r.get("/h", "Connection: X-Drop", "X-Drop: 1", "Keep-Alive: 1", "TE: trailers", "Proxy-Connection: keep-alive",
		"Proxy-Authorization: Basic YTpi", "X-Kept: 1", "Accept-Encoding: br;q=0.5, gzip")
	in := r.lastAsked("/h").Header
	for _, k := range []string{"X-Drop", "Keep-Alive", "Te", "Proxy-Connection", "Proxy-Authorization", "User-Agent"} {
		if in.Get(k) != "" {
			t.Errorf("%s reached the origin: %q", k, in.Get(k))
		}
	}
	if in.Get("X-Kept") != "1" || in.Get("Accept-Encoding") != "br;q=0.5, gzip" || in.Get("Via") != "1.1 n1 (cachenode)" {
		t.Errorf("the origin saw %v", in)
	}
	if got.Header.Get("X-Resp") != "" || got.Header.Get("Keep-Alive") != "" || got.Header.Get("X-Kept") != "1" {
		t.Errorf("the client saw %v", got.Header)
	}
	if _, ok := got.Header["Content-Type"]; ok && got.Header.Get("Content-Type") == "text/plain; charset=utf-8" {
		return // the origin's own server sniffed it
	}
}

// Requests that no proxy may forward are answered and never reach an origin.
func TestBadRequests(t *testing.T) {
	r := newRig(t)
	host := r.origin.Listener.Addr().String()
	for _, c := range []struct {
		name, request string
		status        int
		page          string
	}{
		{"origin form", "GET /x HTTP/1.1\r\nHost: " + host, 400, "ERR_INVALID_URL"},
		{"userinfo", "GET http://u:p@" + host + "/ HTTP/1.1\r\nHost: " + host, 400, "ERR_INVALID_URL"},
		{"fragment", "GET http://" + host + "/a#b HTTP/1.1\r\nHost: " + host, 400, "ERR_INVALID_URL"},
		{"backslash", `GET http://` + host + `/a\b HTTP/1.1` + "\r\nHost: " + host, 400, "ERR_INVALID_URL"},
		{"ftp", "GET ftp://" + host + "/ HTTP/1.1\r\nHost: " + host, 400, "ERR_UNSUP_REQ"},
		{"gopher", "GET gopher://" + host + "/ HTTP/1.1\r\nHost: " + host, 400, "ERR_UNSUP_REQ"},
		{"port 0", "GET http://127.0.0.1:0/ HTTP/1.1\r\nHost: x", 400, "ERR_INVALID_URL"},
		{"port 65536", "GET http://127.0.0.1:65536/ HTTP/1.1\r\nHost: x", 400, "ERR_INVALID_URL"},
		{"trace", "TRACE http://" + host + "/ HTTP/1.1\r\nHost: " + host, 405, "ERR_UNSUP_REQ"},
		{"critical field", "GET http://" + host + "/ HTTP/1.1\r\nHost: " + host + "\r\nConnection: X-A, Cache-Control", 400, "ERR_INVALID_REQ"},
		{"framing as a hop's", "GET http://" + host + "/ HTTP/1.1\r\nHost: " + host + "\r\nConnection: Transfer-Encoding", 400, "ERR_INVALID_REQ"},
		{"loop", "GET http://" + host + "/ HTTP/1.1\r\nHost: " + host + "\r\nVia: 1.1 other, 1.1 n1 (cachenode)", 502, "ERR_CANNOT_FORWARD"},
		{"long", "GET http://" + host + "/" + strings.Repeat("a", 17<<10) + " HTTP/1.1\r\nHost: " + host, 414, "ERR_INVALID_URL"},
		{"fields", "GET http://" + host + "/ HTTP/1.1\r\nHost: " + host + strings.Repeat("\r\nX-A: b", 201), 431, "ERR_TOO_BIG"},
		{"connect path", "CONNECT /foo HTTP/1.1\r\nHost: x", 400, ""},
		{"connect no port", "CONNECT example.com HTTP/1.1\r\nHost: x", 400, ""},
		{"connect port 0", "CONNECT example.com:0 HTTP/1.1\r\nHost: x", 400, "ERR_INVALID_URL"},
		{"connect port 65536", "CONNECT example.com:65536 HTTP/1.1\r\nHost: x", 400, "ERR_INVALID_URL"},
		{"connect length", "CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\nContent-Length: 3", 400, ""},
		{"connect port", "CONNECT example.com:25 HTTP/1.1\r\nHost: x", 403, "ERR_ACCESS_DENIED"},
		{"two lengths", "POST http://" + host + "/ HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4", 400, ""},
		{"unknown version", "GET http://" + host + "/ HTTP/9.9\r\nHost: x", 505, ""},
		{"two hosts", "GET http://" + host + "/ HTTP/1.1\r\nHost: x\r\nHost: y", 400, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := r.raw("%s\r\nConnection: close\r\n\r\n", c.request)
			if c.name == "critical field" {
				got = r.raw("%s, close\r\n\r\n", c.request)
			}
			if !strings.HasPrefix(got, fmt.Sprintf("HTTP/1.1 %d ", c.status)) || !strings.Contains(got, c.page) {
				t.Errorf("got %q", clip(got, 600))
			}
		})
	}
	if n := len(r.seen); n != 0 {
		t.Errorf("the origin was asked for %d pages", n)
	}
}

func TestOriginFailures(t *testing.T) {
	r := newRig(t)
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	r.must(err)
	gone := dead.Addr().String()
	dead.Close()
	for _, c := range []struct {
		name, url string
		status    int
		page      string
		proxy     string
	}{
		{"refused", "http://" + gone + "/", 502, "ERR_CONNECT_FAIL", "connection_refused"},
		{"name", "http://no-such-host.invalid/", 503, "ERR_DNS_FAIL", "dns_"},
		{"not allowed", "http://169.254.169.254/latest", 403, "ERR_ACCESS_DENIED", "destination_ip_prohibited"},
		{"octal", "http://0251.0376.0251.0376/latest", 403, "ERR_ACCESS_DENIED", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := r.raw("GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", c.url)
			if !strings.HasPrefix(got, fmt.Sprintf("HTTP/1.1 %d ", c.status)) || !strings.Contains(got, c.page) ||
				!strings.Contains(got, "Proxy-Status: n1; error="+c.proxy) {
				t.Errorf("got %q", clip(got, 600))
			}
			if strings.Contains(got, "dial tcp") || strings.Contains(got, "lookup ") {
				t.Errorf("the page shows an error of the runtime: %q", got)
			}
		})
	}
}

func TestRequestBodies(t *testing.T) {
	r := newRig(t)
	r.page("/echo", func(w http.ResponseWriter, q *http.Request) {
		b, err := io.ReadAll(q.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("X-Trailer-Seen", q.Trailer.Get("X-Sum"))
		w.Header().Set("X-Length", fmt.Sprint(q.ContentLength))
		w.Write(b)
	})
	body := string(pattern(300_000))
	got := r.do("POST", "/echo", body)
	got.want(t, 200, "fwd=method", body)
	if got.Header.Get("X-Length") != "300000" {
		t.Errorf("length %s", got.Header.Get("X-Length"))
	}
	raw := r.raw("POST %s/echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"+
		"3\r\nabc\r\n0\r\nX-Sum: 42\r\n\r\n", r.origin.URL)
	if !strings.Contains(raw, "abc") || !strings.Contains(raw, "X-Trailer-Seen: 42") || !strings.Contains(raw, "X-Length: -1") {
		t.Errorf("got %q", raw)
	}
}

func TestExpectContinue(t *testing.T) {
	r := newRig(t)
	r.page("/no", func(w http.ResponseWriter, q *http.Request) { w.WriteHeader(403) })
	r.page("/yes", func(w http.ResponseWriter, q *http.Request) { io.Copy(w, q.Body) })
	c := r.connect()
	defer c.Close()
	br := bufio.NewReader(c)
	fmt.Fprintf(c, "POST %s/yes HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n", r.origin.URL)
	if line, _ := br.ReadString('\n'); !strings.HasPrefix(line, "HTTP/1.1 100 ") {
		t.Fatalf("got %q", line)
	}
	br.ReadString('\n')
	io.WriteString(c, "abc")
	resp, err := http.ReadResponse(br, nil)
	r.must(err)
	if b, _ := io.ReadAll(resp.Body); resp.StatusCode != 200 || string(b) != "abc" {
		t.Errorf("%d %q", resp.StatusCode, b)
	}
	refused := r.raw("POST %s/no HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: 3\r\n\r\n", r.origin.URL)
	if !strings.HasPrefix(refused, "HTTP/1.1 403 ") {
		t.Errorf("got %q", refused)
	}
}

// What readers would take in two ways does not go on as it came.
func TestFieldsThatDoNotGoOn(t *testing.T) {
	r := newRig(t)
	r.page("/h", fields(200, "x", "Cache-Control: no-store"))
	for name, c := range map[string]struct{ request, field, want string }{
		"two ranges":            {"GET %s/h HTTP/1.1\r\nHost: x\r\nRange: bytes=0-0\r\nRange: bytes=1-1\r\nIf-Range: \"a\"", "Range", ""},
		"If-Range of two":       {"GET %s/h HTTP/1.1\r\nHost: x\r\nRange: bytes=0-0\r\nRange: bytes=1-1\r\nIf-Range: \"a\"", "If-Range", ""},
		"expecting for nothing": {"GET %s/h HTTP/1.1\r\nHost: x\r\nExpect: 100-continue", "Expect", ""},
		"expecting for 0 bytes": {"POST %s/h HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 0", "Expect", ""},
		"h2c":                   {"GET %s/h HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c", "Upgrade", ""},
		"h2c in a list":         {"GET %s/h HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: H2C,, h2c", "Upgrade", ""},
		"h2c beside another":    {"GET %s/h HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nUpgrade: websocket", "Upgrade", "websocket"},
		"HTTP/2.0":              {"GET %s/h HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: HTTP/2.0, x/1", "Upgrade", "x/1"},
		"no protocol":           {"GET %s/h HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: ", "Upgrade", ""},
		"X-Forwarded-For late":  {"POST %s/h HTTP/1.1\r\nHost: x\r\nTrailer: X-Forwarded-For\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Forwarded-For: 1.2.3.4", "Trailer", ""},
	} {
		t.Run(name, func(t *testing.T) {
			request := strings.Replace(c.request, "Host: x\r\n", "Host: x\r\nConnection: close\r\n", 1)
			got := r.raw(request+"\r\n\r\n", r.origin.URL)
			if !strings.HasPrefix(got, "HTTP/1.1 200 ") {
				t.Errorf("got %q", clip(got, 300))
			}
			if q := r.lastAsked("/h"); strings.Join(q.Header[c.field], "|") != c.want || q.Trailer != nil {
				t.Errorf("%s reached the origin as %q, trailers %v", c.field, q.Header[c.field], q.Trailer)
			}
		})
	}
}

func TestInterimAndTrailers(t *testing.T) {
	r := newRig(t)
	r.page("/hints", func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Link", "</s.css>; rel=preload")
		w.WriteHeader(103)
		w.Header().Set("Trailer", "X-Sum")
		io.WriteString(w, "body")
		w.(http.Flusher).Flush()
		w.Header().Set("X-Sum", "7")
	})
	var hints []string
	req, _ := http.NewRequest("GET", r.origin.URL+"/hints", nil)
	req = req.WithContext(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			hints = append(hints, fmt.Sprint(code, h.Get("Link")))
			return nil
		},
	}))
	resp, err := r.client.Do(req)
	r.must(err)
	b, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if len(hints) != 1 || hints[0] != "103</s.css>; rel=preload" {
		t.Errorf("hints %q", hints)
	}
	if string(b) != "body" || err != nil || resp.Trailer.Get("X-Sum") != "7" {
		t.Errorf("%q %v trailer %v", b, err, resp.Trailer)
	}
}

func TestOldClients(t *testing.T) {
	r := newRig(t)
	r.page("/a", func(w http.ResponseWriter, q *http.Request) {
		w.(http.Flusher).Flush() // chunked
		io.WriteString(w, "streamed")
	})
	got := r.raw("GET %s/a HTTP/1.0\r\n\r\n", r.origin.URL)
	if strings.Contains(got, "chunked") || !strings.HasSuffix(got, "\r\n\r\nstreamed") {
		t.Errorf("got %q", got)
	}
	if via := r.lastAsked("/a").Header.Get("Via"); via != "1.0 n1 (cachenode)" {
		t.Errorf("Via %q", via)
	}
}

// The target reaches the origin byte for byte.
func TestTargetIsUntouched(t *testing.T) {
	r := newRig(t)
	for _, target := range []string{"/a%2fb", "/a|b", `/a"b`, "/a;b?x=%zz&y={}", "/a//b/../c", "//x/y", "/?", "/a?b?c"} {
		r.raw("GET %s%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", r.origin.URL, target)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var seen []string
	for _, reqs := range r.seen {
		for _, q := range reqs {
			seen = append(seen, q.RequestURI)
		}
	}
	for _, target := range []string{"/a%2fb", "/a|b", `/a"b`, "/a;b?x=%zz&y={}", "/a//b/../c", "//x/y", "/?", "/a?b?c"} {
		if !strings.Contains("\n"+strings.Join(seen, "\n")+"\n", "\n"+target+"\n") {
			t.Errorf("%s did not arrive among %q", target, seen)
		}
	}
}

func TestConnect(t *testing.T) {
	r := newRig(t)
	r.page("/in", fields(200, "inside"))
	host := r.origin.Listener.Addr().String()
	// The request for the origin comes right behind the CONNECT.
	got := r.raw("CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\nGET /in HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", host, host)
	if !strings.HasPrefix(got, "HTTP/1.1 200 ") || !strings.HasSuffix(got, "inside") {
		t.Errorf("got %q", got)
	}
	e := r.entries(1)[0]
	if e.Result.Tag != accesslog.TagTunnel || e.Status != 200 || e.URL != host || e.BytesOut < 100 || e.BytesIn < 40 {
		t.Errorf("log %+v", e)
	}
}

// Bytes of a tunnel that is refused are no request: they may be what a page
// has a browser send.
func TestRefusedConnectIsTheLast(t *testing.T) {
	r := newRig(t)
	r.page("/in", fields(200, "inside"))
	behind := "GET " + r.origin.URL + "/in HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	for _, to := range []string{"127.0.0.1:25", "127.0.0.1:1", "169.254.169.254:443", "name.invalid:443"} {
		got := r.raw("CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n%s", to, to, behind)
		if !strings.Contains(got, "Connection: close\r\n") || strings.Count(got, "\nVia: ") != 1 || strings.HasPrefix(got, "HTTP/1.1 2") {
			t.Errorf("%s: %q", to, got)
		}
	}
	if r.asked("/in") != 0 {
		t.Error("the origin was asked")
	}
}

func TestClientBufferIsBounded(t *testing.T) {
	r := newRig(t, func(c *rigConfig) { c.proxy.Fill.Buffer = 8 * units.KiB })
	body := string(pattern(3_000_000))
	r.page("/big", fields(200, body, "Cache-Control: no-store"))
	r.get("/big").want(t, 200, "fwd=uri-miss", body)
}

// What the origin sends slowly does not wait for more.
func TestEventStream(t *testing.T) {
	r := newRig(t)
	next := make(chan struct{})
	r.page("/events", func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for range 3 {
			io.WriteString(w, "data: x\n\n")
			w.(http.Flusher).Flush()
			<-next
		}
	})
	resp, err := r.client.Get(r.origin.URL + "/events")
	r.must(err)
	defer resp.Body.Close()
	buf := make([]byte, len("data: x\n\n"))
	for range 3 {
		if _, err := io.ReadFull(resp.Body, buf); err != nil {
			t.Fatal(err)
		}
		next <- struct{}{}
	}
}
