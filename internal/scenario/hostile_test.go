package scenario

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// What is not HTTP/1 on this port is told so, or cut off, at once; nothing of it
// reaches an origin.
func TestOtherProtocolsOnThePort(t *testing.T) {
	t.Parallel()
	n := start(t)
	for _, c := range []struct{ name, bytes, status string }{
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("\x00", 505), "400"},
		{"SOCKS 5", "\x05\x01\x00", "400"},
		{"SOCKS 4", "\x04\x01\x00\x50\x7f\x00\x00\x01user\x00", "400"},
		{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "4"},
		{"HTTP/9.9", "GET http://127.0.0.1:1/ HTTP/9.9\r\nHost: x\r\n\r\n", "505"},
		{"HTTP/0.9", "GET http://127.0.0.1:1/\r\n\r\n", "400"},
		{"SSH", "SSH-2.0-OpenSSH_9.2\r\n\r\n", "400"},
		{"zeros", strings.Repeat("\x00", 600), "400"},
	} {
		t.Run(c.name, func(t *testing.T) {
			began := time.Now()
			got := n.raw("%s", c.bytes)
			if got != "" && !strings.HasPrefix(got, "HTTP/1.1 "+c.status) {
				t.Errorf("answered %q, want %s", clip(got, 200), c.status)
			}
			if took := time.Since(began); took > 8*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
	wantIn(t, n.raw("OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), "HTTP/1.1 ")
}

func TestLargeHeads(t *testing.T) {
	t.Parallel()
	n, o := start(t), newOrigin(t)
	library(o)
	for name, c := range map[string]struct {
		head, status string
	}{
		"60 KB":      {"X-A: " + strings.Repeat("a", 60<<10), "200"},
		"80 KB":      {"X-A: " + strings.Repeat("a", 80<<10), "431"},
		"1 MB":       {"X-A: " + strings.Repeat("a", 1<<20), "431"},
		"300 fields": {strings.TrimSuffix(strings.Repeat("X-A: b\r\n", 300), "\r\n"), "431"},
	} {
		t.Run(name, func(t *testing.T) {
			c1 := n.dial()
			go fmt.Fprintf(c1, "GET %s HTTP/1.1\r\nHost: x\r\n%s\r\nConnection: close\r\n\r\n", o.url("/1"), c.head)
			got, _ := io.ReadAll(c1) // a reset may follow the answer, since not all was read
			if !strings.HasPrefix(string(got), "HTTP/1.1 "+c.status) {
				t.Errorf("answered %q, want %s", clip(string(got), 200), c.status)
			}
		})
	}
}

// A head that does not come, or stops half-way, does not keep its connection.
func TestSlowHead(t *testing.T) {
	t.Parallel()
	n := start(t, "--config", config(t, "server: {header_timeout: 1s, idle_timeout: 1s}\n"))
	for name, bytes := range map[string]string{"nothing": "", "half a head": "GET http://127.0.0.1:1/ HTTP/1.1\r\nHost: x\r\n"} {
		t.Run(name, func(t *testing.T) {
			if got := n.raw("%s", bytes); got != "" && !strings.HasPrefix(got, "HTTP/1.1 408") {
				t.Errorf("answered %q", got)
			}
		})
	}
}

// A body that stops half-way is given up, by the client's side and the origin's.
func TestSlowRequestBody(t *testing.T) {
	t.Parallel()
	n, o := start(t, "--config", config(t, "proxy: {client: {body_timeout: 1s}}\n")), newOrigin(t)
	o.page("/up", sums)
	got := n.raw("POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf", o.url("/up"))
	if got != "" && !strings.HasPrefix(got, "HTTP/1.1 4") && !strings.HasPrefix(got, "HTTP/1.1 5") {
		t.Errorf("answered %q", clip(got, 300))
	}
	n.log(1)
}

// The URL says where to go and what is stored; Host says nothing beside it.
func TestURLGoesBeforeHost(t *testing.T) {
	t.Parallel()
	n, a, b := start(t), newOrigin(t), newOrigin(t)
	a.page("/x", fresh("page of a"))
	b.page("/x", fresh("page of b"))
	got := n.raw("GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", a.url("/x"), b.addr())
	wantIn(t, got, "fwd=uri-miss", "page of a")
	n.get(b.url("/x")).want(t, 200, "fwd=uri-miss", "page of b")
	n.get(a.url("/x")).want(t, 200, "hit", "page of a")
	a.mu.Lock()
	defer a.mu.Unlock()
	if host := a.seen[0].Host; host != a.addr() {
		t.Errorf("the origin was asked for host %q", host)
	}
}

// Fields that a client makes up open nothing.
func TestForgedFields(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	library(o)
	n := start(t, "--allow-from", "192.0.2.0/24")
	for _, forged := range []string{
		"X-Forwarded-For: 192.0.2.1", "Forwarded: for=192.0.2.1", "X-Real-IP: 192.0.2.1", "True-Client-IP: 192.0.2.1", "Client-IP: 192.0.2.1",
	} {
		n.get(o.url("/1"), forged).wantError(t, 403, "ERR_ACCESS_DENIED", "http_request_denied")
	}
	got := n.raw("PROXY TCP4 192.0.2.1 127.0.0.1 5 80\r\nGET %s HTTP/1.1\r\nHost: x\r\n\r\n", o.url("/1"))
	if !strings.HasPrefix(got, "HTTP/1.1 400") {
		t.Errorf("a PROXY header is answered %q", clip(got, 100))
	}
	if o.asked("*") != 0 {
		t.Error("the origin was asked")
	}
}

// Requests sent without waiting are answered in their order, whatever each is.
func TestPipelining(t *testing.T) {
	t.Parallel()
	n, o := start(t), newOrigin(t)
	library(o)
	o.page("/up", sums)
	const count = 50
	var b strings.Builder
	for i := range count {
		switch {
		case i == count-1:
			fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", o.url("/49"))
		case i%10 == 3:
			fmt.Fprintf(&b, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nGET /", o.url("/up"))
		case i%10 == 4:
			fmt.Fprintf(&b, "HEAD %s HTTP/1.1\r\nHost: x\r\n\r\n", o.url(fmt.Sprintf("/%d", i)))
		default:
			fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", o.url(fmt.Sprintf("/%d", i)))
		}
	}
	c := n.dial()
	go func() { _, _ = io.WriteString(c, b.String()) }() // the answers tell what arrived
	br := bufio.NewReader(c)
	for i := range count {
		q := &http.Request{Method: http.MethodGet}
		want := volume(fmt.Sprintf("/%d", i))
		switch {
		case i == count-1:
		case i%10 == 3:
			want = "size=5 "
		case i%10 == 4:
			q.Method, want = http.MethodHead, ""
		}
		r, err := http.ReadResponse(br, q)
		must(t, err)
		body, err := io.ReadAll(r.Body)
		if got := string(body); err != nil || r.StatusCode != 200 || i%10 == 3 && !strings.Contains(got, want) || i%10 != 3 && got != want {
			t.Fatalf("answer %d: %s, %v, %d bytes", i, r.Status, err, len(got))
		}
	}
	if log := n.log(count); len(log) != count {
		t.Errorf("%d lines", len(log))
	}
}

// Numbers that do not fit are neither taken small nor for ever.
func TestHugeNumbers(t *testing.T) {
	t.Parallel()
	n, o := start(t), newOrigin(t)
	for path, age := range map[string]string{
		"/huge": "max-age=99999999999999999999", "/many": "max-age=60" + strings.Repeat(", x-a=b", 8000),
	} {
		o.page(path, fields(200, "x", "Cache-Control: "+age))
		n.get(o.url(path))
		n.get(o.url(path)).want(t, 200, "hit", "x")
	}
	for path, age := range map[string]string{"/negative": "max-age=-5", "/word": "max-age=soon", "/float": "max-age=1.5"} {
		o.page(path, fields(200, "x", "Cache-Control: "+age))
		n.get(o.url(path))
		if r := n.get(o.url(path)); strings.Contains(r.Header.Get("Cache-Status"), "; hit") {
			t.Errorf("%s is served from the store: %s", age, r.Header.Get("Cache-Status"))
		}
	}
	o.page("/range", fresh("0123456789"))
	n.get(o.url("/range"))
	n.get(o.url("/range"), "Range: bytes=99999999999999999999999-").wantStatus(t, 200, 416)
	n.get(o.url("/range"), "Range: bytes=0-99999999999999999999999").wantStatus(t, 200, 206)
}

func (r *reply) wantStatus(t *testing.T, good ...int) {
	t.Helper()
	if !slices.Contains(good, r.StatusCode) {
		t.Errorf("status %d, want one of %v", r.StatusCode, good)
	}
}

// A process that gets garbage from every side goes on.
func TestGarbageEndsNothing(t *testing.T) {
	t.Parallel()
	garbage := pattern(200_000)
	origin := server(t, func(c net.Conn) {
		_, _ = io.ReadFull(c, make([]byte, 20))
		_, _ = io.WriteString(c, garbage[:50_000])
	})
	n, o := start(t), newOrigin(t)
	library(o)
	for i := range 100 {
		c := n.dial()
		_, _ = io.WriteString(c, garbage[i*1000:(i+1)*1000]+"\r\n\r\n") // it may be cut off
		c.Close()
	}
	for range 20 {
		n.get("http://"+origin+"/").wantStatus(t, 502)
	}
	n.get(o.url("/1")).want(t, 200, "fwd=uri-miss", volume("/1"))
}
