package http1

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/cachenode/cachenode/internal/proxyproto"
)

func trusted(netip.Addr) bool { return true }

func header(client string) string {
	return string(proxyproto.Append(nil, netip.MustParseAddrPort(client), netip.MustParseAddrPort("10.0.0.100:3128")))
}

// behindFront is a server that tells each request who it takes its client for.
func behindFront(t *testing.T, front func(netip.Addr) bool, change func(*Options)) *rig {
	return newRig(t, func(r *rig, o *Options) {
		r.front = front
		r.serve = func(w http.ResponseWriter, q *http.Request) {
			c := w.(interface{ Conn() *Conn }).Conn()
			fmt.Fprintf(w, "%s %v %v", q.RemoteAddr, c.Client(), c.Local())
		}
		if change != nil {
			change(o)
		}
	})
}

const aGet = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"

func askAgain(t *testing.T, c net.Conn, br *bufio.Reader) string {
	t.Helper()
	if _, err := io.WriteString(c, aGet); err != nil {
		t.Fatal(err)
	}
	_, body := readResponse(t, br, "GET")
	return body
}

// A balancer says who its client is; its word holds for all requests of the
// connection, wherever the packets end.
func TestFrontTellsTheClient(t *testing.T) {
	const want = "192.0.2.7:4711 192.0.2.7:4711 10.0.0.100:3128"
	for name, pieces := range map[string][]string{
		"in one piece":            {header("192.0.2.7:4711") + aGet},
		"the request comes later": {header("192.0.2.7:4711"), aGet},
		"byte by byte":            strings.Split(header("192.0.2.7:4711")+aGet, ""),
		"mapped into IPv6":        {header("[::ffff:192.0.2.7]:4711") + aGet},
	} {
		t.Run(name, func(t *testing.T) {
			r := behindFront(t, trusted, nil)
			c := r.dial()
			br := bufio.NewReader(c)
			for _, p := range pieces {
				fmt.Fprint(c, p)
				if len(pieces) == 2 {
					r.eventually("the piece has been read", func() bool {
						conns := r.srv.Conns()
						return len(conns) == 1 && conns[0].BytesIn >= int64(len(p))
					})
				}
			}
			if _, got := readResponse(t, br, "GET"); got != want {
				t.Errorf("%q, want %q", got, want)
			}
			if got := askAgain(t, c, br); got != want {
				t.Errorf("the second request: %q", got)
			}
			if got := r.srv.Conns()[0].Client.String(); got != "192.0.2.7:4711" {
				t.Errorf("the list says %s", got)
			}
		})
	}
}

// Without a header, and with that of a balancer's own check, the address of the
// connection is the client's.
func TestFrontWithoutAClient(t *testing.T) {
	r := behindFront(t, trusted, nil)
	for name, first := range map[string]string{
		"no header": "", "local": header("192.0.2.7:1")[:12] + "\x20\x00\x00\x00", "an empty line": "\r\n",
	} {
		c := r.dial()
		fmt.Fprint(c, first)
		if got := askAgain(t, c, bufio.NewReader(c)); !strings.HasPrefix(got, c.LocalAddr().String()) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// Nobody else is believed, and nothing is answered.
func TestStrangersPrefaceIsClosed(t *testing.T) {
	for name, front := range map[string]func(netip.Addr) bool{
		"nobody is": nil, "others are": func(a netip.Addr) bool { return !a.IsLoopback() },
	} {
		t.Run(name, func(t *testing.T) {
			r := behindFront(t, front, nil)
			closed(t, r, header("192.0.2.7:4711")+aGet)
		})
	}
	r := behindFront(t, trusted, nil)
	good := header("192.0.2.7:4711")
	for name, bad := range map[string]string{
		"version 1":  good[:12] + "\x11" + good[13:],
		"a command":  good[:12] + "\x22" + good[13:],
		"UDP":        good[:13] + "\x12" + good[14:],
		"too short":  good[:15] + "\x04" + good[16:],
		"too long":   good[:14] + "\xff\xff" + good[16:],
		"extensions": good[:15] + "\x0e" + good[16:] + "\x01\x00",
	} {
		t.Run(name, func(t *testing.T) { closed(t, r, bad+aGet) })
	}
}

func closed(t *testing.T, r *rig, sent string) {
	t.Helper()
	before := r.srv.Stats().Refused["proxy-protocol"]
	c := r.dial()
	fmt.Fprint(c, sent)
	if got, _ := io.ReadAll(c); len(got) != 0 {
		t.Errorf("answered %q", got)
	}
	r.eventually("it is counted", func() bool { return r.srv.Stats().Refused["proxy-protocol"] == before+1 })
	if n := r.srv.Stats().Requests; n != 0 {
		t.Errorf("%d requests", n)
	}
}

// A header that stays incomplete ends with the time for a head.
func TestHalfAPreface(t *testing.T) {
	r := behindFront(t, trusted, func(o *Options) { o.HeaderTimeout = 50e6 })
	c := r.dial()
	fmt.Fprint(c, header("192.0.2.7:4711")[:20])
	if got, _ := io.ReadAll(c); len(got) != 0 {
		t.Errorf("answered %q", got)
	}
}

// The limit for each client counts those behind the balancer, not the balancer.
func TestLimitCountsClientsBehindAFront(t *testing.T) {
	r := behindFront(t, trusted, func(o *Options) { o.MaxConnectionsPerClient = 2 })
	status := func(client string) (int, net.Conn) {
		c := r.dial()
		fmt.Fprint(c, header(client)+aGet)
		res, _ := readResponse(t, bufio.NewReader(c), "GET")
		return res.StatusCode, c
	}
	var ofOne []net.Conn
	for i, want := range []int{200, 200, 503} {
		code, c := status(fmt.Sprintf("192.0.2.7:%d", 4000+i))
		if code != want {
			t.Errorf("connection %d of a client: %d, want %d", i+1, code, want)
		}
		ofOne = append(ofOne, c)
	}
	for i := range 6 {
		if code, _ := status(fmt.Sprintf("192.0.2.%d:4000", 20+i)); code != 200 {
			t.Errorf("another client: %d", code)
		}
	}
	ofOne[0].Close()
	r.eventually("room again", func() bool { code, c := status("192.0.2.7:5000"); c.Close(); return code == 200 })
}

// A connection accepted elsewhere is served as if it had been accepted here.
func TestTake(t *testing.T) {
	r := behindFront(t, nil, nil)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	r.must(err)
	defer ln.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	r.must(err)
	defer c.Close()
	r.must(c.SetDeadline(time.Now().Add(30 * time.Second)))
	nc, err := ln.Accept()
	r.must(err)
	ended := make(chan int64)
	go func() { _, out := r.srv.Take(nc); ended <- out }()
	if got := askAgain(t, c, bufio.NewReader(c)); !strings.HasSuffix(got, ln.Addr().String()) {
		t.Errorf("%q", got)
	}
	c.Close()
	if out := <-ended; out == 0 {
		t.Error("nothing was written")
	}
}

func TestFrontsOfTheConfiguration(t *testing.T) {
	set := func(list ...string) func(*Options) { return func(o *Options) { o.ProxyProtocolFrom = list } }
	for _, list := range [][]string{{"127.0.0.1"}, {"10.0.0.0/8", "127.0.0.0/8"}} {
		r := behindFront(t, nil, set(list...))
		c := r.dial()
		fmt.Fprint(c, header("192.0.2.7:4711")+aGet)
		if _, got := readResponse(t, bufio.NewReader(c), "GET"); !strings.HasPrefix(got, "192.0.2.7:4711") {
			t.Errorf("%v: %q", list, got)
		}
	}
	closed(t, behindFront(t, nil, set("10.0.0.0/8")), header("192.0.2.7:4711")+aGet)
	o := DefaultOptions()
	set("10.0.0.0/8", "nonsense", "10.0.0.0/77")(&o)
	err := o.Validate()
	if err == nil || !strings.Contains(err.Error(), `proxy_protocol_from[1]: invalid network "nonsense"`) || !strings.Contains(err.Error(), "proxy_protocol_from[2]") {
		t.Errorf("%v", err)
	}
}

// When a balancer in front drains, the connections that came through it end as
// in a drain of the server's own, and no others.
func TestFrontDrains(t *testing.T) {
	r := behindFront(t, trusted, nil)
	r.srv.drainIdle = 20 * time.Millisecond
	through, direct := r.keep(t), r.keep(t)
	fmt.Fprint(through, header("192.0.2.7:4711"))
	busy := r.keep(t)
	fmt.Fprint(busy, header("192.0.2.8:4711"))
	for _, k := range []*kept{through, busy, direct} {
		if k.ask().Close {
			t.Fatal("no kept connection")
		}
	}
	r.srv.DrainFronts([]netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("127.0.0.1")})
	if b, err := io.ReadAll(through.br); len(b) > 0 || err != nil {
		t.Errorf("an idle connection ended with %q, %v", b, err)
	}
	if direct.ask().Close {
		t.Error("a connection of nobody's front was ended")
	}
	late := r.keep(t)
	fmt.Fprint(late, header("192.0.2.9:4711"))
	if !late.ask().Close {
		t.Error("an answer through a front that drains keeps the connection")
	}
	r.srv.DrainFronts(nil)
	again := r.keep(t)
	fmt.Fprint(again, header("192.0.2.9:4711"))
	if again.ask().Close {
		t.Error("the drain is over, and answers still say close")
	}
}
