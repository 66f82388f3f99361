package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/cachenode/cachenode/election"
	"github.com/cachenode/cachenode/frontdoor"
	"github.com/cachenode/cachenode/internal/tcp"
	"github.com/cachenode/cachenode/peer"
)

// entrance is this node's front door with the ways that lead to it: the listener
// on the virtual IP, those of frontdoor.listen, and the proxy's own where they
// are on all addresses, the virtual IP among them.
type entrance struct {
	n       *Node
	door    *frontdoor.Door
	always  []net.Listener
	changed chan struct{}                  // of capacity 1: whether the virtual IP is known and held may have changed
	at      atomic.Pointer[netip.AddrPort] // the virtual IP with its port; nil: not known
	told    string                         // why the virtual IP could not be listened on; keepOpen's
}

// openFrontDoor makes the front door and binds the addresses that it has in any
// case. The listener on the virtual IP is bound here too if that is configured,
// so that a port in use fails the start.
func (n *Node) openFrontDoor(ctx context.Context) error {
	e := &entrance{n: n, changed: make(chan struct{}, 1)}
	var err error
	e.door, err = frontdoor.New(n.o.FrontDoor, frontdoor.Deps{
		Log:      n.log,
		HandOver: func(c *net.TCPConn) (in, out int64) { return n.server.Take(c) },
		Dial:     n.dialNode,
	})
	if err != nil {
		return err
	}
	n.front = e
	n.onStop("front door", func() error { _ = e.door.Shutdown(canceled()); return nil }) // when there was no Run
	for _, addr := range n.o.FrontDoor.Listen {
		ln, err := listen(ctx, "frontdoor.listen", addr)
		if err != nil {
			return err
		}
		n.onStop("listener "+addr, func() error { return ignoreClosed(ln.Close()) })
		e.always = append(e.always, ln)
	}
	return e.bindEarly(ctx)
}

// bindEarly binds the virtual IP if it is configured and this machine's alone.
func (e *entrance) bindEarly(ctx context.Context) error {
	o := e.n.vip.options()
	e.know(&o)
	if e.n.o.VIP.Address == "" || !e.wanted(&o) {
		return nil
	}
	ln, err := e.bind(ctx, &o)
	if err != nil {
		return listenFault("vip.port", e.at.Load().String(), err)
	}
	e.n.onStop("listener of the virtual ip", func() error { return ignoreClosed(ln.Close()) })
	e.always = append(e.always, ln)
	return nil
}

// know takes note of where the virtual IP is.
func (e *entrance) know(o *election.Options) {
	if p := o.Prefix(); p.IsValid() && e.at.Load() == nil {
		at := netip.AddrPortFrom(p.Addr().Unmap(), o.Port)
		e.at.Store(&at)
	}
}

// wanted reports whether the virtual IP needs a listener of its own now. On
// loopback several nodes of one machine share the address, and it belongs to
// the one that holds it; elsewhere packets come to the holder only.
func (e *entrance) wanted(o *election.Options) bool {
	at := e.at.Load()
	return at != nil && !e.covered(*at) && (o.Mode != election.ModeLoopback || e.n.vip.holds())
}

// covered reports whether a listener that is on all addresses takes connections
// to at.
func (e *entrance) covered(at netip.AddrPort) bool {
	return slices.ContainsFunc(slices.Concat(e.n.listeners, e.always), func(ln net.Listener) bool {
		own := addrPort(ln.Addr())
		return own.Port() == at.Port() && (own.Addr().Unmap() == at.Addr() ||
			own.Addr().IsUnspecified() && (own.Addr().Is6() || at.Addr().Is4()))
	})
}

// bind listens on the virtual IP, which need not be on this machine now.
func (e *entrance) bind(ctx context.Context, o *election.Options) (net.Listener, error) {
	at := e.at.Load().String()
	lc := listenConfig()
	lc.Control = anyAddress(o.Mode == election.ModeLoopback)
	ln, err := lc.Listen(ctx, "tcp", at)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", at, cause(err))
	}
	return ln, nil
}

// run keeps the front door open until ctx ends.
func (e *entrance) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return e.door.Run(ctx) })
	g.Go(func() error { e.follow(ctx); return nil })
	g.Go(func() error { e.keepOpen(ctx); return nil })
	for _, ln := range e.always {
		g.Go(func() error { return e.serve(ctx, ln) })
	}
	return g.Wait()
}

// serve serves one listener until it is closed or ctx ends.
func (e *entrance) serve(ctx context.Context, ln net.Listener) error {
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer stop()
	if err := e.door.Serve(ln); err != nil && ctx.Err() == nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("front door on %s: %w", ln.Addr(), err)
	}
	return nil
}

// follow tells the door who is in the cluster.
func (e *entrance) follow(ctx context.Context) {
	if e.n.cluster == nil {
		name := e.n.o.Name
		e.door.SetBackends([]frontdoor.Backend{{ID: name, Name: name, Addr: addrPort(e.n.listeners[0].Addr()), Weight: fullWeight, Self: true}})
		return
	}
	views, stop := e.n.cluster.Watch()
	defer stop()
	for {
		select {
		case v := <-views:
			e.door.SetBackends(backends(v))
			e.n.server.DrainFronts(leavingFronts(v))
		case <-ctx.Done():
			return
		}
	}
}

// leavingFronts are the addresses of the other members that drain: connections
// through their front doors end before those do.
func leavingFronts(v *peer.View) (list []netip.Addr) {
	for _, m := range v.Others() {
		if m.State == peer.Draining {
			list = append(list, m.Addr.Unmap())
		}
	}
	return list
}

// fullWeight is the weight of the member with the most capacity.
const fullWeight = 100

// backends are the members as the front door sees them: weighted by what they
// can store.
func backends(v *peer.View) []frontdoor.Backend {
	var most uint64
	for i := range v.Members {
		most = max(most, v.Members[i].Capacity)
	}
	var list []frontdoor.Backend
	for i := range v.Members {
		m := &v.Members[i]
		b := frontdoor.Backend{ID: m.ID, Name: m.Name, Addr: m.Proxy(), Weight: fullWeight, Self: m.ID == v.Self}
		if !b.Addr.IsValid() && !b.Self {
			continue // its proxy cannot be reached by others
		}
		if most > 0 && m.Capacity > 0 {
			b.Weight = max(1, int(float64(m.Capacity)/float64(most)*fullWeight))
		}
		switch m.State {
		case peer.Alive:
			b.State = frontdoor.Up
		case peer.Draining:
			b.State = frontdoor.Draining
		default:
			b.State = frontdoor.Down
		}
		list = append(list, b)
	}
	return list
}

// dialNode connects to another node from this one's own address, by which that
// knows it.
func (n *Node) dialNode(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	var d tcp.Dialer
	if own := n.cluster.Bound().Addr(); !own.IsUnspecified() {
		d.Local = own
	}
	return d.Dial(ctx, to)
}

// shutDoors stops accepting, and lets the connections end that clients have here
// and through the front door, until ctx ends.
func (n *Node) shutDoors(ctx context.Context) error {
	var front error
	var both sync.WaitGroup
	both.Go(func() { front = n.front.door.Shutdown(ctx) })
	err := n.server.Shutdown(ctx)
	both.Wait()
	return errors.Join(err, front)
}

// poke has keepOpen look again.
func (e *entrance) poke() {
	select {
	case e.changed <- struct{}{}:
	default:
	}
}

// rebindAfter is when binding the virtual IP is tried again.
const rebindAfter = 20 * time.Millisecond

// keepOpen listens on the virtual IP whenever it is known and wanted.
func (e *entrance) keepOpen(ctx context.Context) {
	var own served
	defer func() { own.close() }()
	for {
		o := e.n.vip.options()
		e.know(&o)
		var again <-chan time.Time
		switch want := e.wanted(&o); {
		case !want:
			own.close() // another node has the address
		case own.ln == nil && !e.open(ctx, &o, &own):
			again = time.After(rebindAfter)
		}
		select {
		case <-e.changed:
		case <-again:
		case <-own.ended:
			own = served{}
		case <-ctx.Done():
			return
		}
	}
}

// served is a listener and the goroutine that serves it; the zero value is none.
type served struct {
	ln    net.Listener
	ended chan struct{}
}

func (s *served) close() {
	if s.ln != nil {
		_ = s.ln.Close() // nobody needs it any more
		<-s.ended
		*s = served{}
	}
}

// open listens on the virtual IP and serves it. It says once why that cannot be.
func (e *entrance) open(ctx context.Context, o *election.Options, s *served) bool {
	ln, err := e.bind(ctx, o)
	if err != nil {
		if e.told != err.Error() {
			e.told = err.Error()
			e.n.log.Warn("the front door cannot listen on the virtual ip yet", "error", err)
		}
		return false
	}
	e.told = ""
	*s = served{ln, make(chan struct{})}
	go func(ended chan<- struct{}) {
		defer close(ended)
		if err := e.serve(ctx, ln); err != nil {
			e.n.log.Error("front door", "error", err)
		}
	}(s.ended)
	return true
}

// sorted is a listener of the proxy that leaves connections to the virtual IP
// to the front door.
type sorted struct {
	net.Listener
	e *entrance
}

func (l sorted) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		at := l.e.at.Load()
		if own := addrPort(c.LocalAddr()); at == nil || own.Port() != at.Port() || own.Addr().Unmap() != at.Addr() {
			return c, nil
		}
		l.e.door.Take(c.(*net.TCPConn))
	}
}

// isFront reports whether another member may be at an address: its front door
// says whose connections it passes on. One that this node takes for failed is
// among them: when a split heals, the others may know this node again first.
func (n *Node) isFront(a netip.Addr) bool {
	if n.cluster == nil {
		return false
	}
	v := n.cluster.View()
	m := v.ByAddr(a)
	return m != nil && m.ID != v.Self
}

// anyAddress lets a socket listen on an address that is not on this machine now,
// and, if it is shared, that another node of this machine listens on until it
// has let go.
func anyAddress(shared bool) func(network, addr string, c syscall.RawConn) error {
	return func(network, _ string, c syscall.RawConn) error {
		var err error
		failed := c.Control(func(fd uintptr) {
			if network == "tcp6" {
				err = unix.SetsockoptInt(int(fd), unix.SOL_IPV6, unix.IPV6_FREEBIND, 1)
			} else {
				err = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_FREEBIND, 1)
			}
			if err == nil && shared {
				err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
			}
		})
		return errors.Join(failed, err)
	}
}
