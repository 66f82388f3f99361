package clustertest

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Fault is what one direction of a link does to what passes.
type Fault struct {
	Cut   bool          // nothing passes, as on a link that is down
	Loss  float64       // the part of the datagrams that is lost
	Delay time.Duration // of datagrams, and of the first byte of each connection
}

// link joins two nodes: a pair of ends, each standing for one node to the other.
type link struct {
	ends  [2]*end
	tasks sync.WaitGroup
}

// end is what one node, here, sees of the other, there.
type end struct {
	l           *link
	here, there *Node
	other       *end
	udp         *net.UDPConn
	tcp         net.Listener

	mu    sync.Mutex // guards what follows
	fault Fault      // from here to there
	conns map[net.Conn]struct{}
}

func newLink(a, b *Node) *link {
	l := &link{}
	for i, pair := range [2][2]*Node{{a, b}, {b, a}} {
		e := &end{l: l, here: pair[0], there: pair[1], conns: map[net.Conn]struct{}{}}
		var err error
		if e.udp, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
			panic(err) // the machine has no loopback
		}
		if e.tcp, err = net.Listen("tcp4", "127.0.0.1:0"); err != nil {
			panic(err)
		}
		l.ends[i] = e
	}
	l.ends[0].other, l.ends[1].other = l.ends[1], l.ends[0]
	for _, e := range l.ends {
		l.tasks.Go(e.datagrams)
		l.tasks.Go(e.connections)
	}
	return l
}

func (c *Cluster) link(i, j int) *link { return c.links[[2]int{min(i, j), max(i, j)}] }

// seenFrom is the end that a node talks to.
func (l *link) seenFrom(n *Node) *end {
	if l.ends[0].here == n {
		return l.ends[0]
	}
	return l.ends[1]
}

func (e *end) icp() netip.AddrPort { return e.udp.LocalAddr().(*net.UDPAddr).AddrPort() }
func (e *end) http() string        { return e.tcp.Addr().String() }

func (l *link) close() {
	for _, e := range l.ends {
		_ = e.udp.Close()
		_ = e.tcp.Close()
		e.reset()
	}
	l.tasks.Wait()
}

func (e *end) now() Fault {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.fault
}

// set changes the direction from here to there. A cut breaks connections.
func (e *end) set(f Fault) {
	e.mu.Lock()
	e.fault = f
	e.mu.Unlock()
	if f.Cut {
		e.reset()
		e.other.reset()
	}
}

func (e *end) reset() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for c := range e.conns {
		_ = c.Close()
	}
	clear(e.conns)
}

// datagrams passes on what comes from here, so that it comes from the other end.
func (e *end) datagrams() {
	buf := make([]byte, 64<<10)
	to := e.there.ICP.Addrs()[0]
	for {
		n, err := e.udp.Read(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		f := e.now()
		if err != nil || f.Cut || rand.Float64() < f.Loss {
			continue
		}
		b := append([]byte(nil), buf[:n]...)
		send := func() { _, _ = e.other.udp.WriteToUDPAddrPort(b, to) } // lost, then
		if f.Delay == 0 {
			send()
			continue
		}
		e.l.tasks.Go(func() {
			time.Sleep(f.Delay)
			send()
		})
	}
}

// connections passes on those that come from here.
func (e *end) connections() {
	for {
		c, err := e.tcp.Accept()
		if err != nil {
			return
		}
		e.l.tasks.Go(func() { e.carry(c) })
	}
}

func (e *end) carry(c net.Conn) {
	defer c.Close()
	if f := e.now(); f.Cut || e.other.now().Cut {
		return
	} else if f.Delay > 0 {
		time.Sleep(f.Delay)
	}
	far, err := net.Dial("tcp", e.there.addr)
	if err != nil {
		return
	}
	defer far.Close()
	e.mu.Lock()
	e.conns[c], e.conns[far] = struct{}{}, struct{}{}
	e.mu.Unlock()
	back := make(chan struct{})
	go func() {
		defer close(back)
		_, _ = io.Copy(c, far)
		_ = c.Close()
	}()
	_, _ = io.Copy(far, c)
	_ = far.Close()
	<-back
	e.mu.Lock()
	delete(e.conns, c)
	delete(e.conns, far)
	e.mu.Unlock()
}

// Break sets what happens to everything from node i to node j.
func (c *Cluster) Break(i, j int, f Fault) {
	c.link(i, j).seenFrom(c.Nodes[i]).set(f)
}

// BreakBoth sets what happens between nodes i and j, both ways.
func (c *Cluster) BreakBoth(i, j int, f Fault) {
	c.Break(i, j, f)
	c.Break(j, i, f)
}

// Cut parts node i from all others.
func (c *Cluster) Cut(i int) {
	for j := range c.Nodes {
		if j != i {
			c.BreakBoth(i, j, Fault{Cut: true})
		}
	}
}

// Heal ends all faults.
func (c *Cluster) Heal() {
	for _, l := range c.links {
		for _, e := range l.ends {
			e.set(Fault{})
		}
	}
}
