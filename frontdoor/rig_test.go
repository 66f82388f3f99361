package frontdoor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cachenode/cachenode/internal/proxyproto"
	"github.com/cachenode/cachenode/internal/units"
)

const patience = 30 * time.Second

// rig is a Door that serves on loopback, with servers behind it.
type rig struct {
	t    testing.TB
	door *Door
	addr string
	ln   net.Listener

	silent sync.Map // IDs of nodes that do not answer checks

	mu  sync.Mutex // guards own
	own []string   // clients that were handed over
}

// newRig leaves checks to tests that want them: by default they pass.
func newRig(t testing.TB, change func(*Options, *Deps)) *rig {
	t.Helper()
	if t, ok := t.(*testing.T); ok { // a benchmark has goroutines of its own
		t.Cleanup(func() { goleak.VerifyNone(t) })
	}
	r := &rig{t: t}
	o := DefaultOptions()
	o.ConnectTimeout = units.Duration(patience)
	o.QueueTimeout = units.Duration(patience)
	o.SlowStart = 0
	d := Deps{
		Check: func(_ context.Context, b Backend) error {
			if _, silent := r.silent.Load(b.ID); silent {
				return errAnswer
			}
			return nil
		},
		HandOver: func(c *net.TCPConn) (in, out int64) {
			defer c.Close()
			line, err := bufio.NewReader(c).ReadString('\n')
			if err != nil {
				return 0, 0
			}
			r.mu.Lock()
			r.own = append(r.own, c.RemoteAddr().String())
			r.mu.Unlock()
			n, _ := fmt.Fprintf(c, "self got %s", line)
			return int64(len(line)), int64(n)
		},
	}
	if change != nil {
		change(&o, &d)
	}
	var err error
	if r.door, err = New(o, d); err != nil {
		t.Fatal(err)
	}
	r.serve()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := r.door.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
		_ = r.door.Shutdown(ctx)
	})
	return r
}

// serve has the door serve on an address of its own.
func (r *rig) serve() {
	r.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	r.ln, r.addr = ln, ln.Addr().String()
	var served sync.WaitGroup
	served.Go(func() {
		if err := r.door.Serve(ln); err != nil {
			r.t.Error(err)
		}
	})
	r.t.Cleanup(func() {
		_ = ln.Close()
		served.Wait()
	})
}

// server is a node: it reads the PROXY header, and then answers each line with
// its name and the line.
type server struct {
	Backend
	ln    net.Listener
	alive sync.WaitGroup

	mu      sync.Mutex // guards what follows
	clients []netip.AddrPort
	conns   []net.Conn
}

func newServer(t testing.TB, name string) *server {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{Backend: Backend{ID: "id-" + name, Name: name, Addr: netip.MustParseAddrPort(ln.Addr().String()), Weight: 1}, ln: ln}
	s.alive.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, c)
			s.mu.Unlock()
			s.alive.Go(func() { s.serve(t, c) })
		}
	})
	t.Cleanup(s.die)
	return s
}

// die closes everything, as the end of a process does.
func (s *server) die() {
	_ = s.ln.Close()
	s.mu.Lock()
	for _, c := range s.conns {
		_ = c.Close()
	}
	s.mu.Unlock()
	s.alive.Wait()
}

func (s *server) serve(t testing.TB, c net.Conn) {
	defer c.Close()
	br := bufio.NewReader(c)
	var h proxyproto.Header
	for i := 1; ; i++ {
		b, err := br.Peek(i)
		if err != nil {
			return
		}
		var n int
		if h, n, err = proxyproto.Parse(b); err == nil {
			_, _ = br.Discard(n)
			break
		}
		if !errors.Is(err, proxyproto.ErrShort) {
			t.Errorf("node %s: %v", s.Name, err)
			return
		}
	}
	s.mu.Lock()
	s.clients = append(s.clients, h.Client)
	s.mu.Unlock()
	for {
		line, err := br.ReadString('\n')
		if err != nil {
			return
		}
		if _, err := fmt.Fprintf(c, "%s got %s", s.Name, line); err != nil {
			return
		}
	}
}

// deadAddr is one that refuses connections.
func deadAddr(t testing.TB) netip.AddrPort {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return netip.MustParseAddrPort(ln.Addr().String())
}

// set makes list the backends.
func (r *rig) set(list ...*server) {
	var all []Backend
	for _, s := range list {
		all = append(all, s.Backend)
	}
	r.door.SetBackends(all)
}

// client is one connection to the door.
type client struct {
	t testing.TB
	*net.TCPConn
	br *bufio.Reader
}

func (r *rig) dial() *client {
	r.t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return &client{t: r.t, TCPConn: c.(*net.TCPConn), br: bufio.NewReader(c)}
}

// ask sends a line and returns who answers.
func (c *client) ask() (who string, err error) {
	if _, err := io.WriteString(c, "hello\n"); err != nil {
		return "", err
	}
	line, err := c.br.ReadString('\n')
	if err != nil {
		return "", err
	}
	who, rest, _ := strings.Cut(line, " ")
	if rest != "got hello\n" {
		c.t.Errorf("answer %q", line)
	}
	return who, nil
}

func (c *client) mustAsk() (who string) {
	c.t.Helper()
	who, err := c.ask()
	if err != nil {
		c.t.Fatal(err)
	}
	return who
}

// mustBeReset waits for the reset that the door sends.
func (c *client) mustBeReset() {
	c.t.Helper()
	if _, err := c.br.ReadByte(); !errors.Is(err, syscall.ECONNRESET) {
		c.t.Errorf("the client sees %v, want a reset", err)
	}
}

// mustBeRefused connects, and waits for the reset; it may come before connecting
// has ended.
func (r *rig) mustBeRefused() {
	r.t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err == nil {
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(patience))
		_, err = c.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		r.t.Errorf("the client sees %v, want a reset", err)
	}
}

// until waits for something that is about to become true.
func (r *rig) until(what string, is func(Stats) bool) Stats {
	r.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		s := r.door.Stats()
		if is(s) {
			return s
		}
		if time.Now().After(end) {
			r.t.Fatalf("waited in vain for: %s; %+v", what, s)
		}
	}
}

func (s Stats) of(name string) Row {
	for _, r := range s.Nodes {
		if r.Name == name {
			return r
		}
	}
	return Row{}
}
