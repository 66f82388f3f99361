package scenario

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// crowd asks for one URL from many clients at once and returns all answers.
func (n *node) crowd(target string, count int) []*reply {
	n.t.Helper()
	all := make([]*reply, count)
	var clients sync.WaitGroup
	for i := range all {
		clients.Go(func() {
			c := n.client()
			defer c.CloseIdleConnections()
			r, err := ask(c, request(n.t, http.MethodGet, target, nil))
			if err != nil {
				r = &reply{err: err}
			}
			all[i] = r
		})
	}
	clients.Wait()
	return all
}

// An origin that accepts and says nothing is given up in time, and those who
// wait for one answer are not without bound.
func TestOriginHangs(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	silent := server(t, func(c net.Conn) {
		asked.Add(1)
		_, _ = io.Copy(io.Discard, c)
	})
	n := start(t, "--config", config(t, "proxy: {upstream: {response_timeout: 1s}, fill: {max_waiters: 20}}\n"))
	n.get("http://"+silent+"/alone").wantError(t, 504, "ERR_READ_TIMEOUT", "")
	before := asked.Load()
	answers := map[int]int{}
	for _, r := range n.crowd("http://"+silent+"/crowd", 60) {
		if r.err != nil {
			t.Fatal(r.err)
		}
		answers[r.StatusCode]++
	}
	if answers[504] == 0 || answers[504]+answers[503] != 60 || answers[503] < 20 {
		t.Errorf("answers by status: %v", answers)
	}
	if fetches := asked.Load() - before; fetches > 3 {
		t.Errorf("60 requests for one page made %d fetches", fetches)
	}
	for _, e := range n.log(61) {
		if e.status == "504" && e.result != "TCP_MISS_TIMEDOUT" && e.result != "TCP_CF_MISS_TIMEDOUT" {
			t.Errorf("log %+v", e)
		}
	}
}

// When an origin breaks off, everybody who was reading along sees it, and
// nobody later gets what is there of it.
func TestOriginResetsWhileManyRead(t *testing.T) {
	t.Parallel()
	const clients = 500
	breakOff := make(chan struct{})
	var asked atomic.Int64
	breaking := server(t, func(c net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
			return
		}
		if asked.Add(1) > 1 {
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nCache-Control: max-age=60\r\n\r\nwhole")
			return
		}
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\nCache-Control: max-age=60\r\n\r\n%s", pattern(100_000))
		<-breakOff
		must(t, c.(*net.TCPConn).SetLinger(0))
	})
	n := start(t)
	var seen []*reply
	var waiting sync.WaitGroup
	waiting.Go(func() { seen = n.crowd("http://"+breaking+"/r", clients) })
	eventually(t, "all clients", func() bool { return n.metrics("cachenode_active_requests") == clients })
	close(breakOff)
	waiting.Wait()
	for _, r := range seen {
		if r.err == nil {
			t.Fatalf("a truncated response looks whole: %s, %d bytes", r.Status, len(r.text))
		}
	}
	if asked.Load() != 1 {
		t.Errorf("%d fetches", asked.Load())
	}
	n.get("http://"+breaking+"/r").want(t, 200, "fwd=uri-miss", "whole")
	for _, e := range n.log(clients + 1)[:clients] {
		if e.result != "TCP_MISS_ABORTED" && e.result != "TCP_CF_MISS_ABORTED" {
			t.Fatalf("log %+v", e)
		}
	}
}

// What no client may take for a whole answer: each kind of broken response.
func TestBrokenResponses(t *testing.T) {
	t.Parallel()
	n := start(t)
	for _, c := range []struct {
		name, response string
		status         int // 0: begun, then aborted
	}{
		{"nothing", "", 502},
		{"old style", "hello", 502},
		{"status 000", "HTTP/1.1 000 Odd\r\n\r\n", 502},
		{"status 999", "HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n", 502},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 502},
		{"signed length", "HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\nabc", 502},
		{"NUL in a field", "HTTP/1.1 200 OK\r\nX-A: a\x00b\r\nContent-Length: 3\r\n\r\nabc", 502},
		{"CR in a field", "HTTP/1.1 200 OK\r\nX-A: a\rb\r\nContent-Length: 3\r\n\r\nabc", 502},
		{"large head", "HTTP/1.1 200 OK\r\nX-A: " + pattern(10) + pattern(2<<20) + "\r\n\r\n", 502},
		{"switching unasked", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", 502},
		{"short body", "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 10\r\n\r\nabc", 0},
		{"short chunk", "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", 0},
		{"odd chunk", "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			broken := server(t, func(conn net.Conn) {
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					_, _ = io.WriteString(conn, c.response) // the proxy may have seen enough
				}
			})
			cl := n.client()
			r, err := ask(cl, request(t, http.MethodGet, "http://"+broken+"/", nil))
			switch {
			case c.status != 0 && (err != nil || r.err != nil || r.StatusCode != c.status):
				t.Errorf("%v %+v, want %d", err, r, c.status)
			case c.status == 0 && err == nil && r.err == nil && r.StatusCode == 200:
				t.Errorf("a broken response looks whole: %q", r.text)
			}
			if r := n.stored("http://" + broken + "/"); r.StatusCode != http.StatusGatewayTimeout {
				t.Errorf("it was stored: %s %q", r.Status, clip(r.text, 100))
			}
		})
	}
}

// Bodies and the fields that name them arrive as they were sent.
func TestBodiesAreUntouched(t *testing.T) {
	t.Parallel()
	n, o := start(t), newOrigin(t)
	body := "\x1f\x8b\x08\x00not really gzip" + pattern(1000)
	o.page("/z", fields(200, body, "Content-Encoding: gzip", `ETag: W/"a-gzip"`, "Cache-Control: max-age=60", "Content-Type: x-odd/type"))
	for range 2 {
		r := n.get(o.url("/z"), "Accept-Encoding: gzip;q=0.3, br")
		r.want(t, 200, "", body)
		if r.Header.Get("ETag") != `W/"a-gzip"` || r.Header.Get("Content-Encoding") != "gzip" || r.Header.Get("Content-Type") != "x-odd/type" {
			t.Errorf("header %v", r.Header)
		}
	}
	if got := o.last("/z").Get("Accept-Encoding"); got != "gzip;q=0.3, br" {
		t.Errorf("the origin was asked with Accept-Encoding %q", got)
	}
}

// A name server that says nothing stops nobody who needs no new name.
func TestDNSIsDead(t *testing.T) {
	t.Parallel()
	names, o := newNameServer(t), newOrigin(t)
	library(o)
	names.answer("known.test.", "127.0.0.1")
	n := start(t, "--config", config(t, "dns: {servers: [%q], hosts: %q, min_ttl: 1s}\n", names.addr, ""))
	_, port, err := net.SplitHostPort(o.addr())
	must(t, err)
	known := "http://known.test:" + port
	n.get(known+"/1").want(t, 200, "fwd=uri-miss", volume("/1"))

	names.silence()
	n.get(known+"/1").want(t, 200, "hit", volume("/1"))
	n.get(known+"/2").want(t, 200, "fwd=uri-miss", volume("/2")) // by an answer kept from before
	began := time.Now()
	n.get("http://unknown.test:"+port+"/").wantError(t, 503, "ERR_DNS_FAIL", "dns_timeout")
	took := time.Since(began)
	t.Logf("ERR_DNS_FAIL after %v", took)
	if took > 20*time.Second {
		t.Errorf("a dead name server took %v", took)
	}
}
