package frontdoor

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cachenode/cachenode/internal/units"
)

// silentAddr is one that nothing answers at, as if the machine was gone: a
// listener whose backlog is full drops what comes.
func silentAddr(t *testing.T) netip.AddrPort {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	err = errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 0))
	if err != nil {
		t.Fatal(err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	to := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(sa.(*unix.SockaddrInet4).Port))
	for range 10 {
		c, err := net.DialTimeout("tcp", to.String(), 300*time.Millisecond)
		if op, ok := errors.AsType[*net.OpError](err); ok && op.Timeout() {
			return to
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	t.Skip("a full backlog does not drop connections here")
	return to
}

func TestANodeThatIsSilentIsNotNoticed(t *testing.T) {
	r := newRig(t, func(o *Options, d *Deps) {
		o.ConnectTimeout = units.Duration(50 * time.Millisecond)
		d.Check = func(ctx context.Context, _ Backend) error {
			<-ctx.Done()
			return ctx.Err()
		}
	})
	a := newServer(t, "a")
	x := Backend{ID: "x", Name: "x", Addr: silentAddr(t), Weight: 100}
	r.door.SetBackends([]Backend{x, a.Backend})
	for range 5 {
		if who := r.dial().mustAsk(); who != "a" {
			t.Errorf("%q answers", who)
		}
	}
	s := r.door.Stats()
	if n := s.of("x"); n.ConnectErrors != 3 || n.Redispatches != n.ConnectErrors || n.WentDown == 0 {
		t.Errorf("counted %+v", n)
	}
}

func TestANodeThatDiesWhileItIsConnectedTo(t *testing.T) {
	var x Backend
	connecting, dead := make(chan struct{}), make(chan struct{})
	r := newRig(t, func(_ *Options, d *Deps) {
		d.Dial = func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
			if to != x.Addr {
				return dial(ctx, to)
			}
			close(connecting)
			<-dead
			return dial(ctx, to) // it was just in time
		}
	})
	a, late := newServer(t, "a"), newServer(t, "x")
	x = late.Backend
	r.set(late)
	c := r.dial()
	<-connecting
	x.State = Down
	r.door.SetBackends([]Backend{x, a.Backend})
	close(dead)
	if who := c.mustAsk(); who != "a" {
		t.Errorf("%q answers", who)
	}
}

func TestShutdownWhileANodeIsConnectedTo(t *testing.T) {
	connecting, goOn := make(chan struct{}), make(chan struct{})
	r := newRig(t, func(_ *Options, d *Deps) {
		d.Dial = func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
			close(connecting)
			<-goOn
			return dial(ctx, to)
		}
	})
	a := newServer(t, "a")
	r.set(a)
	c := r.dial()
	<-connecting
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	down := make(chan error, 1)
	go func() { down <- r.door.Shutdown(ctx) }()
	r.until("the cut", func(Stats) bool {
		r.door.mu.Lock()
		defer r.door.mu.Unlock()
		return r.door.cutting
	})
	close(goOn)
	c.mustBeReset()
	if err := <-down; !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown returns %v", err)
	}
}

func TestADrainingNodeGetsNothingNewWhileAnotherIsUp(t *testing.T) {
	r := newRig(t, func(o *Options, _ *Deps) { o.Balance = RoundRobin })
	a, b := newServer(t, "a"), newServer(t, "b")
	r.set(a)
	kept := r.dial()
	kept.mustAsk()
	a.State = Draining
	r.set(a, b)
	for range 4 {
		if who := r.dial().mustAsk(); who != "b" {
			t.Errorf("%q answers", who)
		}
	}
	if who := kept.mustAsk(); who != "a" {
		t.Errorf("%q answers what is kept", who)
	}
	b.State = Draining
	r.set(a, b)
	r.dial().mustAsk()
	s := r.door.Stats()
	if s.of("a").Status != StatusDrain || s.Reasons["leaving"] != 1 || s.Backend.Aborted != 0 {
		t.Errorf("counted %+v", s)
	}
}

func TestWhenAllAreDownTheyAreTriedAnyway(t *testing.T) {
	r := newRig(t, func(_ *Options, d *Deps) { d.HandOver = nil })
	a, me := newServer(t, "a"), newServer(t, "me")
	a.State, me.State, me.Self = Down, Down, true
	r.set(a, me)
	if who := r.dial().mustAsk(); who != "me" {
		t.Errorf("%q answers, want the own node first", who)
	}
	me.die()
	if who := r.dial().mustAsk(); who != "a" {
		t.Errorf("%q answers", who)
	}
	if s := r.door.Stats(); s.Backend.Status != StatusDown || s.Reasons["despair"] != 3 {
		t.Errorf("counted %+v", s)
	}
}

func TestLeastConnEvensOut(t *testing.T) {
	r := newRig(t, nil)
	a, b, c := newServer(t, "a"), newServer(t, "b"), newServer(t, "c")
	b.Weight = 2
	r.set(a, b, c)
	var all []*client
	for range 12 {
		x := r.dial()
		x.mustAsk()
		all = append(all, x)
	}
	s := r.door.Stats()
	if s.of("a").Sessions != 3 || s.of("b").Sessions != 6 || s.of("c").Sessions != 3 {
		t.Errorf("%d, %d, %d connections", s.of("a").Sessions, s.of("b").Sessions, s.of("c").Sessions)
	}
	gone := 0
	for _, x := range all {
		if x.mustAsk() == "b" {
			_ = x.Close()
			gone++
		}
	}
	r.until("they are gone", func(s Stats) bool { return s.of("b").Sessions == 6-gone })
	for range gone {
		if who := r.dial().mustAsk(); who != "b" {
			t.Errorf("%q answers, want the one that has none", who)
		}
	}
}

func TestSourceKeepsAClientAtItsNode(t *testing.T) {
	r := newRig(t, func(o *Options, _ *Deps) { o.Balance = Source })
	a, b, c := newServer(t, "a"), newServer(t, "b"), newServer(t, "c")
	all := map[string]*server{"a": a, "b": b, "c": c}
	r.set(a, b, c)
	first := r.dial().mustAsk()
	for range 5 {
		if who := r.dial().mustAsk(); who != first {
			t.Errorf("%q answers, %q at first", who, first)
		}
	}
	all[first].State = Down
	r.set(a, b, c)
	if who := r.dial().mustAsk(); who == first {
		t.Errorf("%q answers, which is down", who)
	}
	all[first].State = Up
	r.set(a, b, c)
	if who := r.dial().mustAsk(); who != first {
		t.Errorf("%q answers, %q at first", who, first)
	}
}

func TestOverIPv6(t *testing.T) {
	ln, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip(err)
	}
	r := newRig(t, nil)
	a := newServer(t, "a")
	r.set(a)
	served := make(chan error, 1)
	go func() { served <- r.door.Serve(ln) }()
	r.addr = ln.Addr().String()
	c := r.dial()
	c.mustAsk()
	a.mu.Lock()
	if want := netip.MustParseAddrPort(c.LocalAddr().String()); a.clients[0] != want {
		t.Errorf("the node knows of %v, want %v", a.clients[0], want)
	}
	a.mu.Unlock()
	_ = ln.Close()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// Clients come and go while nodes do, listeners do, and somebody looks.
func TestStress(t *testing.T) {
	r := newRig(t, func(o *Options, _ *Deps) { o.MaxConnectionsPerNode, o.Queue = 4, 100 })
	a, b, c := newServer(t, "a"), newServer(t, "b"), newServer(t, "c")
	r.set(a, b, c)
	stop := make(chan struct{})
	var changes, all sync.WaitGroup
	changes.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			list := []Backend{a.Backend, b.Backend, c.Backend}
			list[i%3].State = State(i % 2) // up or draining: nothing is lost
			r.door.SetBackends(list)
			r.door.Stats()
		}
	})
	for range 8 {
		all.Go(func() {
			for range 40 {
				x := r.dial()
				for range 3 {
					if _, err := x.ask(); err != nil {
						t.Error(err)
					}
				}
				_ = x.Close()
			}
		})
	}
	all.Wait()
	close(stop)
	changes.Wait()
	s := r.until("the end", func(s Stats) bool { return s.Frontend.Sessions == 0 })
	const asked = 8 * 40 * 3
	if s.Backend.SessionsTotal != 8*40 || s.Backend.BytesIn != asked*6 || s.Backend.BytesOut != asked*12 || s.Backend.Refused != 0 {
		t.Errorf("counted %+v", s.Backend)
	}
	for _, n := range s.Nodes {
		if n.Sessions != 0 || n.SessionsMax > 4 {
			t.Errorf("counted %+v", n)
		}
	}
}
