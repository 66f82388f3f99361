package peer

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// lab is a cluster on a network without sockets, for virtual time.
type lab struct {
	t        *testing.T
	identity Identity
	sec      security
	log      *slog.Logger
	nodes    []*labNode

	mu    sync.Mutex // guards below, and the up of all nodes
	ports map[netip.AddrPort]*labPort
	loss  float64
	rand  *rand.Rand
	// cut says whether nothing gets from one address to another; udp only
	// datagrams.
	cut   func(from, to netip.Addr, stream bool) bool
	bytes uint64
}

type labNode struct {
	*Cluster
	lab  *lab
	name string
	net  *labPort
	stop func()
}

// atLength marks a test of so much virtual time that the race detector's runtime
// may die of it (golang/go#78156), which says nothing of the code. `make test`
// runs these once more without it.
func atLength(t *testing.T) {
	t.Helper()
	if raceDetector {
		t.Skip("too long for the race detector")
	}
}

// inVirtualTime runs a test whose clock jumps whenever all are waiting.
func inVirtualTime(t *testing.T, f func(l *lab)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := &lab{
			t: t, identity: NewIdentity("lab", time.Now()), sec: plainStreams{}, log: slog.New(slog.DiscardHandler),
			ports: map[netip.AddrPort]*labPort{}, rand: rand.New(rand.NewPCG(1, 2)),
		}
		defer l.stopAll()
		f(l)
	})
}

func (l *lab) stopAll() {
	var wg sync.WaitGroup
	for _, n := range l.nodes {
		wg.Go(n.halt)
	}
	wg.Wait()
	time.Sleep(time.Minute) // memberlist waits for nobody
}

// start adds n nodes that know the first.
func (l *lab) start(n int) {
	l.t.Helper()
	for range n {
		i := len(l.nodes) + 1
		l.add(fmt.Sprintf("n%d", i), fmt.Sprintf("10.0.%d.%d:7946", i/250, i%250+1), l.identity)
	}
}

func (l *lab) add(name, addr string, id Identity) *labNode {
	l.t.Helper()
	n := l.run("id-"+name, name, addr, id)
	l.nodes = append(l.nodes, n)
	return n
}

// run starts a node; it joins the first.
func (l *lab) run(id, name, addr string, identity Identity) *labNode {
	l.t.Helper()
	p := l.open(netip.MustParseAddrPort(addr))
	c, err := newCluster(DefaultOptions(), Deps{Log: l.log.With("node", name), Name: name, Version: "test"}, id, identity, p, l.sec)
	if err != nil {
		l.t.Fatal(err)
	}
	if len(l.nodes) > 0 {
		c.roster.stray(l.nodes[0].own)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := c.Run(ctx); err != nil {
			l.t.Errorf("%s: %v", name, err)
		}
	}()
	return &labNode{Cluster: c, lab: l, name: name, net: p, stop: func() { cancel(); <-done }}
}

// halt stops a node that may be halted already.
func (n *labNode) halt() {
	if n.stop != nil {
		n.stop()
		n.stop = nil
	}
}

// kill makes a node silent at once and for good.
func (n *labNode) kill() {
	n.net.silence()
	n.halt()
}

// wait lets time pass until all nodes given see so many in a state, and returns
// how long that took.
func (l *lab) wait(limit time.Duration, count int, s State, nodes ...*labNode) time.Duration {
	l.t.Helper()
	begin := time.Now()
	for {
		ok := true
		for _, n := range nodes {
			ok = ok && n.View().Count(s) == count
		}
		took := time.Since(begin)
		if ok {
			return took
		}
		if took > limit {
			for _, n := range nodes {
				l.t.Logf("%s sees %v", n.name, n.states())
			}
			l.t.Fatalf("after %v not all see %d %v", limit, count, s)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (n *labNode) states() (s string) {
	for _, m := range n.View().Members {
		s += fmt.Sprintf("%s=%v ", m.Name, m.State)
	}
	return s
}

// split cuts the network between two groups.
func (l *lab) split(in func(netip.Addr) bool) {
	l.setCut(func(from, to netip.Addr, _ bool) bool { return in(from) != in(to) })
}

func (l *lab) heal() { l.setCut(nil) }

func (l *lab) setCut(f func(from, to netip.Addr, stream bool) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = f
}

func (l *lab) isCut(from, to netip.Addr, stream bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cut != nil && (l.cut(from, to, stream) || stream && l.cut(to, from, stream))
}

// labPort is one address of the network.
type labPort struct {
	lab     *lab
	addr    netip.AddrPort
	inbox   chan labDatagram
	accepts chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

type labDatagram struct {
	b    []byte
	from netip.AddrPort
}

func (l *lab) open(addr netip.AddrPort) *labPort {
	p := &labPort{
		lab: l, addr: addr, inbox: make(chan labDatagram, 1024), accepts: make(chan net.Conn, 64), closed: make(chan struct{}),
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ports[addr] = p
	return p
}

func (p *labPort) Addr() netip.AddrPort { return p.addr }

func (p *labPort) silence() {
	p.lab.mu.Lock()
	defer p.lab.mu.Unlock()
	if p.lab.ports[p.addr] == p {
		delete(p.lab.ports, p.addr)
	}
}

func (p *labPort) Close() error {
	p.silence()
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *labPort) ReadFrom(b []byte) (int, netip.AddrPort, error) {
	select {
	case d := <-p.inbox:
		return copy(b, d.b), d.from, nil
	case <-p.closed:
		return 0, netip.AddrPort{}, net.ErrClosed
	}
}

func (p *labPort) WriteTo(b []byte, to netip.AddrPort) error {
	l := p.lab
	l.mu.Lock()
	l.bytes += uint64(len(b)) + 28
	there := l.ports[to]
	lost := there == nil || l.ports[p.addr] != p || l.rand.Float64() < l.loss || l.cut != nil && l.cut(p.addr.Addr(), to.Addr(), false)
	l.mu.Unlock()
	if lost {
		return nil
	}
	d := labDatagram{append([]byte(nil), b...), p.addr}
	time.AfterFunc(200*time.Microsecond, func() {
		select {
		case there.inbox <- d:
		default: // its buffer is full
		}
	})
	return nil
}

func (p *labPort) Accept() (net.Conn, error) {
	select {
	case c := <-p.accepts:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *labPort) Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	l := p.lab
	l.mu.Lock()
	there, here := l.ports[to], l.ports[p.addr] == p
	l.mu.Unlock()
	if !here || l.isCut(p.addr.Addr(), to.Addr(), true) {
		<-ctx.Done() // no answer ever
		return nil, ctx.Err()
	}
	if there == nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: unix.ECONNREFUSED}
	}
	near, far := net.Pipe()
	a, b := &labStream{near, p, to, p.addr}, &labStream{far, there, p.addr, to}
	select {
	case there.accepts <- b:
		return a, nil
	case <-there.closed:
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: unix.ECONNREFUSED}
	}
}

// labStream is one end of a stream; it breaks when the network between its ends
// is cut.
type labStream struct {
	net.Conn
	port        *labPort
	there, here netip.AddrPort
}

func (s *labStream) Write(b []byte) (int, error) {
	l := s.port.lab
	l.mu.Lock()
	l.bytes += uint64(len(b)) + 40
	silent := l.ports[s.here] != s.port
	l.mu.Unlock()
	if silent || l.isCut(s.here.Addr(), s.there.Addr(), true) {
		_ = s.Conn.Close()
		return 0, io.ErrClosedPipe
	}
	return s.Conn.Write(b)
}

func (s *labStream) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(s.there) }
func (s *labStream) LocalAddr() net.Addr  { return net.TCPAddrFromAddrPort(s.here) }

// plainStreams prove nothing, and cost nothing: an hour of streams over TLS
// would be minutes of arithmetic.
type plainStreams struct{}

func (plainStreams) client(_ context.Context, conn net.Conn, _ *ring, proto string) (net.Conn, error) {
	b := byte('g')
	if proto == protoCall {
		b = 'c'
	}
	_, err := conn.Write([]byte{b})
	return conn, err
}

func (plainStreams) server(ctx context.Context, conn net.Conn, _ *ring) (net.Conn, string, error) {
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Now()) })()
	var b [1]byte
	if _, err := io.ReadFull(conn, b[:]); err != nil {
		_ = conn.Close()
		return nil, "", err
	}
	if b[0] == 'c' {
		return conn, protoCall, nil
	}
	return conn, protoGossip, nil
}
