package tunnel

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cachenode/cachenode/accesslog"
	"github.com/cachenode/cachenode/internal/units"
	"github.com/cachenode/cachenode/proxy/upstream"
)

// bench is a server in front of Tunnels.
type bench struct {
	t        *testing.T
	tunnels  *Tunnels
	addr     string
	outcomes chan result // of every request, in the order of their ends
}

type result struct {
	Outcome
	err error
}

func newBench(t *testing.T, change func(*Options, *Deps)) *bench {
	t.Helper()
	t.Cleanup(func() { goleak.VerifyNone(t) })
	origin, err := upstream.New(upstream.DefaultOptions(), upstream.Deps{Dialer: &net.Dialer{}})
	if err != nil {
		t.Fatal(err)
	}
	o, d := DefaultOptions(), Deps{Dial: origin.Dial, RoundTrip: origin.Do}
	if change != nil {
		change(&o, &d)
	}
	b := &bench{t: t, outcomes: make(chan result, 1000)}
	if b.tunnels, err = New(o, d); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(b)
	b.addr = srv.Listener.Addr().String()
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = b.tunnels.Shutdown(ctx)
		srv.Close()
		_ = origin.Close()
	})
	return b
}

func (b *bench) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var res result
	if r.Method == http.MethodConnect {
		res.Outcome, res.err = b.tunnels.ServeConnect(w, r)
	} else {
		res.Outcome, res.err = b.tunnels.ServeUpgrade(w, r)
	}
	if e := upstream.Classify(res.err); e != nil && res.Status == 0 {
		w.Header().Set("X-Error", e.Page+" "+e.Type)
		w.WriteHeader(e.Status)
	}
	b.outcomes <- res
}

// outcome waits for the next ended request.
func (b *bench) outcome() result {
	b.t.Helper()
	select {
	case o := <-b.outcomes:
		return o
	case <-time.After(10 * time.Second):
		b.t.Fatal("the tunnel does not end")
		return result{}
	}
}

func (b *bench) dial() *net.TCPConn {
	b.t.Helper()
	c, err := net.Dial("tcp", b.addr)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c.(*net.TCPConn)
}

// connect opens a tunnel to target and returns its client side.
func (b *bench) connect(target string, early string) (*net.TCPConn, *bufio.Reader) {
	b.t.Helper()
	c := b.dial()
	_, _ = fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n%s", target, target, early)
	br := bufio.NewReader(c)
	got := make([]byte, len(established))
	if _, err := io.ReadFull(br, got); err != nil || string(got) != established {
		b.t.Fatalf("answer %q, %v", got, err)
	}
	return c, br
}

// listen serves each connection with f, and waits for all at the end.
func listen(t *testing.T, f func(c *net.TCPConn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(20 * time.Second))
			all.Go(func() {
				defer c.Close() //nolint:errcheck // nothing to do about it
				f(c.(*net.TCPConn))
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		all.Wait()
	})
	return ln.Addr().String()
}

func echo(c *net.TCPConn) {
	_, _ = io.Copy(c, c)
	_ = c.CloseWrite()
}

func TestEchoWithEarlyBytes(t *testing.T) {
	b := newBench(t, nil)
	c, br := b.connect(listen(t, echo), "early ")
	_, _ = io.WriteString(c, "late")
	_ = c.CloseWrite()
	got, err := io.ReadAll(br)
	if err != nil || string(got) != "early late" {
		t.Errorf("got %q, %v", got, err)
	}
	o := b.outcome()
	if o.err != nil || o.BytesIn != 10 || o.BytesOut != int64(10+len(established)) || o.Status != 200 || o.TimedOut || o.Aborted {
		t.Errorf("outcome %+v", o)
	}
	if o.Route != (upstream.Route{Hier: accesslog.HierDirect, Peer: "127.0.0.1"}) {
		t.Errorf("route %+v", o.Route)
	}
	if b.tunnels.Active() != 0 {
		t.Errorf("%d tunnels are still open", b.tunnels.Active())
	}
}

func TestHTTP10Connect(t *testing.T) {
	b := newBench(t, nil)
	target := listen(t, echo)
	c := b.dial()
	_, _ = fmt.Fprintf(c, "CONNECT %s HTTP/1.0\r\n\r\nhello", target)
	got := make([]byte, len(established)+5)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != established+"hello" {
		t.Errorf("got %q, %v", got, err)
	}
	_ = c.Close()
	b.outcome()
}

func TestFarSideHalfCloses(t *testing.T) {
	b := newBench(t, nil)
	received := make(chan string, 1)
	c, br := b.connect(listen(t, func(c *net.TCPConn) {
		_, _ = io.WriteString(c, "bye")
		_ = c.CloseWrite()
		got, _ := io.ReadAll(c)
		received <- string(got)
	}), "")
	if got, err := io.ReadAll(br); err != nil || string(got) != "bye" {
		t.Fatalf("got %q, %v", got, err)
	}
	_, _ = io.WriteString(c, "still here")
	_ = c.CloseWrite()
	if got := <-received; got != "still here" {
		t.Errorf("far side got %q", got)
	}
	if o := b.outcome(); o.Aborted || o.TimedOut || o.BytesIn != 10 {
		t.Errorf("outcome %+v", o)
	}
}

func TestResetIsPassedOn(t *testing.T) {
	b := newBench(t, nil)
	failed := make(chan error, 1)
	c, _ := b.connect(listen(t, func(c *net.TCPConn) {
		_, err := io.ReadAll(c)
		failed <- err
	}), "x")
	_ = c.SetLinger(0)
	_ = c.Close()
	if err := <-failed; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("far side saw %v, want a reset", err)
	}
	if o := b.outcome(); !o.Aborted {
		t.Errorf("outcome %+v", o)
	}
}

func TestIdleLimit(t *testing.T) {
	b := newBench(t, func(o *Options, _ *Deps) { o.IdleTimeout = units.Duration(100 * time.Millisecond) })
	_, br := b.connect(listen(t, echo), "")
	if _, err := br.ReadByte(); err == nil {
		t.Error("a byte out of nowhere")
	}
	if o := b.outcome(); !o.TimedOut || o.Aborted {
		t.Errorf("outcome %+v", o)
	}
}

func TestTrafficOneWayKeepsTheTunnel(t *testing.T) {
	b := newBench(t, func(o *Options, _ *Deps) { o.IdleTimeout = units.Duration(400 * time.Millisecond) })
	_, br := b.connect(listen(t, func(c *net.TCPConn) {
		for range 20 {
			_, _ = c.Write([]byte("x"))
			time.Sleep(50 * time.Millisecond)
		}
		_ = c.CloseWrite()
		_, _ = io.Copy(io.Discard, c)
	}), "")
	got, err := io.ReadAll(br)
	if err != nil || len(got) != 20 {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
}

func TestHalfCloseLimit(t *testing.T) {
	b := newBench(t, func(o *Options, _ *Deps) { o.HalfCloseTimeout = units.Duration(100 * time.Millisecond) })
	over := make(chan struct{})
	c, br := b.connect(listen(t, func(c *net.TCPConn) {
		_, _ = io.Copy(io.Discard, c)
		<-over // it has heard the end and says nothing itself
	}), "")
	_ = c.CloseWrite()
	_, _ = br.ReadByte()
	o := b.outcome()
	close(over)
	if !o.TimedOut || o.Aborted {
		t.Errorf("outcome %+v", o)
	}
}

func TestLifetime(t *testing.T) {
	b := newBench(t, func(o *Options, _ *Deps) { o.MaxLifetime = units.Duration(200 * time.Millisecond) })
	c, br := b.connect(listen(t, echo), "")
	var err error
	for err == nil {
		if _, err = c.Write([]byte("x")); err == nil {
			_, err = br.ReadByte()
		}
	}
	if o := b.outcome(); !o.TimedOut {
		t.Errorf("outcome %+v", o)
	}
}

func TestManyTunnels(t *testing.T) {
	b := newBench(t, nil)
	target := listen(t, echo)
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			c, br := b.connect(target, "")
			msg := strings.Repeat(fmt.Sprint(i, " "), 1000)
			go func() {
				_, _ = io.WriteString(c, msg)
				_ = c.CloseWrite()
			}()
			if got, err := io.ReadAll(br); err != nil || string(got) != msg {
				t.Errorf("tunnel %d: %d bytes of %d, %v", i, len(got), len(msg), err)
			}
		})
	}
	all.Wait()
	var in int64
	for range 200 {
		in += b.outcome().BytesIn
	}
	if st := b.tunnels.Stats(); st.Opened != 200 || st.Active != 0 || st.BytesIn != in {
		t.Errorf("stats %+v, want 200 opened and %d bytes", st, in)
	}
}

func TestBulkTransferBothWays(t *testing.T) {
	const size = 100 << 20
	send := func(c *net.TCPConn, seed uint64) [32]byte {
		sum := sha256.New()
		rnd := rand.NewChaCha8([32]byte{byte(seed)})
		_, _ = io.CopyBuffer(io.MultiWriter(struct{ io.Writer }{c}, sum), io.LimitReader(rnd, size), make([]byte, 256<<10))
		_ = c.CloseWrite()
		return [32]byte(sum.Sum(nil))
	}
	receive := func(r io.Reader) [32]byte {
		sum := sha256.New()
		_, _ = io.CopyBuffer(struct{ io.Writer }{sum}, r, make([]byte, 256<<10))
		return [32]byte(sum.Sum(nil))
	}
	b := newBench(t, nil)
	farSent, farGot := make(chan [32]byte, 1), make(chan [32]byte, 1)
	c, br := b.connect(listen(t, func(c *net.TCPConn) {
		var both sync.WaitGroup
		both.Go(func() { farSent <- send(c, 1) })
		farGot <- receive(c)
		both.Wait()
	}), "")
	sent := make(chan [32]byte, 1)
	go func() { sent <- send(c, 2) }()
	if got := receive(br); got != <-farSent {
		t.Error("far side's bytes arrive changed")
	}
	if <-sent != <-farGot {
		t.Error("client's bytes arrive changed")
	}
	if o := b.outcome(); o.BytesIn != size || o.BytesOut != int64(size+len(established)) || o.Aborted {
		t.Errorf("outcome %+v", o)
	}
}

func TestRefusedDialIsLeftToTheCaller(t *testing.T) {
	b := newBench(t, nil)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	c := b.dial()
	_, _ = fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: x\r\n\r\n", ln.Addr())
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: "CONNECT"})
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 502 || resp.Header.Get("X-Error") != "ERR_CONNECT_FAIL connection_refused" {
		t.Errorf("got %d %v", resp.StatusCode, resp.Header)
	}
	if o := b.outcome(); o.Status != 0 || o.err == nil {
		t.Errorf("outcome %+v", o)
	}
}

func TestClientThatLeavesEndsTheDial(t *testing.T) {
	dialling := make(chan struct{})
	b := newBench(t, func(_ *Options, d *Deps) {
		d.Dial = func(ctx context.Context, _ string) (net.Conn, upstream.Route, error) {
			close(dialling)
			<-ctx.Done()
			return nil, upstream.Route{}, ctx.Err()
		}
	})
	c := b.dial()
	_, _ = io.WriteString(c, "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n")
	<-dialling
	_ = c.Close()
	if o := b.outcome(); upstream.Classify(o.err).Status != 499 {
		t.Errorf("outcome %+v", o)
	}
}

func TestMaxTunnels(t *testing.T) {
	b := newBench(t, func(o *Options, _ *Deps) { o.MaxTunnels = 1 })
	target := listen(t, echo)
	b.connect(target, "")
	c := b.dial()
	_, _ = fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: x\r\n\r\n", target)
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: "CONNECT"})
	if err != nil || resp.StatusCode != 503 {
		t.Fatalf("got %v, %v", resp, err)
	}
	if st := b.tunnels.Stats(); st.Refused != 1 {
		t.Errorf("stats %+v", st)
	}
}

func TestShutdown(t *testing.T) {
	b := newBench(t, nil)
	target := listen(t, echo)
	c, br := b.connect(target, "hello")
	if _, err := br.Peek(5); err != nil {
		t.Fatal(err)
	}
	listed := func() (list []Info) {
		b.tunnels.Each(func(i Info) { list = append(list, i) })
		return list
	}
	list := listed()
	for end := time.Now().Add(30 * time.Second); list[0].BytesIn != 5 && time.Now().Before(end); list = listed() {
		time.Sleep(time.Millisecond) // the count lags behind the bytes
	}
	if i := list[0]; len(list) != 1 || i.Target != target || i.Client != c.LocalAddr().String() || i.BytesIn != 5 {
		t.Errorf("listed as %+v", list)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := b.tunnels.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown returns %v", err)
	}
	if o := b.outcome(); !o.Aborted {
		t.Errorf("outcome %+v", o)
	}
	if err := b.tunnels.Shutdown(context.Background()); err != nil {
		t.Errorf("second Shutdown returns %v", err)
	}
}

// upgradeClient sends a WebSocket handshake for target and early bytes behind it.
func (b *bench) upgradeClient(target, early string) (*net.TCPConn, *bufio.Reader) {
	c := b.dial()
	_, _ = fmt.Fprintf(c, "GET http://%s/chat HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n%s", target, target, early)
	return c, bufio.NewReader(c)
}

func TestWebSocketEcho(t *testing.T) {
	b := newBench(t, func(_ *Options, d *Deps) {
		d.Head = func(h http.Header) { h.Set("Via", "1.1 n (cachenode)") }
	})
	c, br := b.upgradeClient(listen(t, func(c *net.TCPConn) {
		br := bufio.NewReader(c)
		req, err := http.ReadRequest(br)
		if err != nil || req.Header.Get("Upgrade") != "websocket" || req.Header.Get("Connection") != "Upgrade" || req.RequestURI != "/chat" {
			t.Errorf("origin got %+v, %v", req, err)
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade, X-Hop\r\nX-Hop: 1\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nwelcome ")
		_, _ = io.Copy(c, br)
		_ = c.CloseWrite()
	}), "early ")
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Accept": {"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="}, "Via": {"1.1 n (cachenode)"}}
	if resp.StatusCode != 101 || fmt.Sprint(resp.Header) != fmt.Sprint(want) {
		t.Errorf("got %d %v, want %v", resp.StatusCode, resp.Header, want)
	}
	_, _ = io.WriteString(c, "late")
	_ = c.CloseWrite()
	got, err := io.ReadAll(br)
	if err != nil || string(got) != "welcome early late" {
		t.Errorf("got %q, %v", got, err)
	}
	if o := b.outcome(); o.Status != 101 || o.BytesIn != 10 || o.Aborted {
		t.Errorf("outcome %+v", o)
	}
}

func TestUpgradeRefusedByOrigin(t *testing.T) {
	for name, answer := range map[string]string{
		"200 with a length": "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\nhello",
		"403 in chunks":     "HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, nil)
			_, br := b.upgradeClient(listen(t, func(c *net.TCPConn) {
				_, _ = http.ReadRequest(bufio.NewReader(c))
				_, _ = io.WriteString(c, answer)
			}), "")
			resp, err := http.ReadResponse(br, nil)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(resp.Body)
			if err != nil || string(got) != "hello" || !strings.Contains(answer, resp.Status) {
				t.Errorf("got %s %q, %v", resp.Status, got, err)
			}
			if resp.Header.Get("X-Hop") != "" || resp.Header.Get("Content-Type") != "" {
				t.Errorf("head %v", resp.Header)
			}
			if o := b.outcome(); o.err != nil || o.BytesOut != 5 {
				t.Errorf("outcome %+v", o)
			}
		})
	}
}

func TestUpgradeToSomethingElse(t *testing.T) {
	b := newBench(t, nil)
	_, br := b.upgradeClient(listen(t, func(c *net.TCPConn) {
		_, _ = http.ReadRequest(bufio.NewReader(c))
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n")
	}), "")
	resp, err := http.ReadResponse(br, nil)
	if err != nil || resp.StatusCode != 502 || resp.Header.Get("X-Error") != "ERR_INVALID_RESP http_protocol_error" {
		t.Errorf("got %v, %v", resp, err)
	}
}

func TestRefusalThatBreaksOffIsCut(t *testing.T) {
	b := newBench(t, nil)
	_, br := b.upgradeClient(listen(t, func(c *net.TCPConn) {
		_, _ = http.ReadRequest(bufio.NewReader(c))
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
	}), "")
	resp, err := http.ReadResponse(br, nil)
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
	}
	if err == nil {
		t.Error("a part of the response looks whole")
	}
	if o := b.outcome(); !o.Aborted {
		t.Errorf("outcome %+v", o)
	}
}

func TestHijackThatFails(t *testing.T) {
	b := newBench(t, nil)
	target := listen(t, echo)
	r := httptest.NewRequest("CONNECT", "http://"+target, nil)
	r.Host, r.URL = target, &url.URL{Host: target}
	o, err := b.tunnels.ServeConnect(httptest.NewRecorder(), r)
	if e := upstream.Classify(err); e == nil || o.Status != 0 || e.Type != "proxy_internal_error" {
		t.Errorf("outcome %+v, %v", o, err)
	}
}

func BenchmarkConnect(b *testing.B) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer closeQuietly(ln)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				echo(c.(*net.TCPConn))
				closeQuietly(c)
			}()
		}
	}()
	tunnels, err := New(DefaultOptions(), Deps{Dial: func(ctx context.Context, hostport string) (net.Conn, upstream.Route, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", hostport)
		return c, upstream.Route{}, err
	}})
	if err != nil {
		b.Fatal(err)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = tunnels.ServeConnect(w, r) }))
	defer srv.Close()
	head := fmt.Sprintf("CONNECT %[1]s HTTP/1.1\r\nHost: %[1]s\r\n\r\nhello", ln.Addr())
	buf := make([]byte, len(established)+5)
	b.ReportAllocs()
	for b.Loop() {
		c, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.WriteString(c, head)
		if _, err := io.ReadFull(c, buf); err != nil {
			b.Fatal(err)
		}
		closeQuietly(c)
	}
}

// Cut ends what is open, and new tunnels are carried as before.
func TestCut(t *testing.T) {
	b := newBench(t, nil)
	target := listen(t, echo)
	_, br := b.connect(target, "hello")
	if _, err := br.Peek(5); err != nil {
		t.Fatal(err)
	}
	b.tunnels.Cut()
	if o := b.outcome(); !o.Cut || !o.Aborted {
		t.Errorf("outcome %+v", o)
	}
	_, br = b.connect(target, "again")
	if got, err := br.Peek(5); string(got) != "again" {
		t.Errorf("%q %v", got, err)
	}
}
