package frontdoor

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"testing"
	"time"

	"github.com/cachenode/cachenode/internal/units"
)

func TestCarriesToANodeThatLearnsTheClient(t *testing.T) {
	r := newRig(t, nil)
	a := newServer(t, "a")
	r.set(a)
	c := r.dial()
	for range 3 {
		if who := c.mustAsk(); who != "a" {
			t.Errorf("%q answers", who)
		}
	}
	a.mu.Lock()
	if want := netip.MustParseAddrPort(c.LocalAddr().String()); len(a.clients) != 1 || a.clients[0] != want {
		t.Errorf("the node knows of %v, want %v", a.clients, want)
	}
	a.mu.Unlock()
	r.until("the counts", func(s Stats) bool { // of a write a moment after it
		n := s.of("a")
		return n.Sessions == 1 && n.SessionsTotal == 1 && n.BytesIn == 18 && n.BytesOut == 36 && n.Status == StatusUp
	})
	_ = c.Close()
	s := r.until("the end", func(s Stats) bool { return s.Frontend.Sessions == 0 })
	for _, row := range []Row{s.Frontend, s.Backend, s.of("a")} {
		if row.Sessions != 0 || row.SessionsMax != 1 || row.SessionsTotal != 1 || row.BytesIn != 18 || row.BytesOut != 36 {
			t.Errorf("counted at the end %+v", row)
		}
	}
}

func TestHandsOverToTheOwnNode(t *testing.T) {
	r := newRig(t, nil)
	r.door.SetBackends([]Backend{{ID: "me", Name: "me", Addr: deadAddr(t), Self: true}})
	c := r.dial()
	if who := c.mustAsk(); who != "self" {
		t.Errorf("%q answers", who)
	}
	s := r.until("the end", func(s Stats) bool { return s.Frontend.Sessions == 0 })
	if n := s.of("me"); n.SessionsTotal != 1 || n.BytesIn != 6 || n.BytesOut != 15 {
		t.Errorf("counted %+v", n)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.own) != 1 || r.own[0] != c.LocalAddr().String() {
		t.Errorf("handed over %v", r.own)
	}
}

func TestANodeThatRefusesIsNotNoticed(t *testing.T) {
	r := newRig(t, func(o *Options, _ *Deps) { o.Balance = RoundRobin })
	a := newServer(t, "a")
	r.door.SetBackends([]Backend{{ID: "x", Name: "x", Addr: deadAddr(t)}, a.Backend})
	for range 4 {
		if who := r.dial().mustAsk(); who != "a" {
			t.Errorf("%q answers", who)
		}
	}
	s := r.door.Stats()
	if x := s.of("x"); x.ConnectErrors == 0 || x.Redispatches != x.ConnectErrors || x.Sessions != 0 {
		t.Errorf("counted %+v", x)
	}
	if s.Backend.Refused != 0 {
		t.Errorf("%d refused", s.Backend.Refused)
	}
}

func TestEveryNodeIsTriedOnceThenTheClientIsReset(t *testing.T) {
	r := newRig(t, nil)
	r.door.SetBackends([]Backend{{ID: "x", Name: "x", Addr: deadAddr(t)}, {ID: "y", Name: "y", Addr: deadAddr(t)}})
	r.mustBeRefused()
	s := r.until("the end", func(s Stats) bool { return s.Frontend.Sessions == 0 })
	if s.of("x").ConnectErrors != 1 || s.of("y").ConnectErrors != 1 || s.Reasons["exhausted"] != 1 || s.Frontend.Refused != 1 {
		t.Errorf("counted %+v", s)
	}
}

func TestWithoutANodeTheClientIsReset(t *testing.T) {
	r := newRig(t, nil)
	r.mustBeRefused()
	if s := r.door.Stats(); s.Reasons["no node"] != 1 {
		t.Errorf("counted %+v", s.Reasons)
	}
}

func TestConnectionsOfADeadNodeAreReset(t *testing.T) {
	for name, end := range map[string]func(r *rig, a, b *server){
		"down":     func(r *rig, a, b *server) { r.silent.Store(a.ID, true); a.State = Down; r.set(a, b) },
		"vanished": func(r *rig, _, b *server) { r.set(b) },
		"killed":   func(r *rig, a, _ *server) { r.door.Kill(a.ID) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			a, b := newServer(t, "a"), newServer(t, "b")
			r.set(a)
			lost := r.dial()
			lost.mustAsk()
			r.set(a, b)
			kept := r.dial()
			if who := kept.mustAsk(); who != "b" {
				t.Fatalf("%q answers", who)
			}
			end(r, a, b)
			lost.mustBeReset()
			if who := kept.mustAsk(); who != "b" {
				t.Errorf("%q answers", who)
			}
			r.until("the end", func(s Stats) bool { return s.Backend.Sessions == 1 })
		})
	}
}

// What the cluster takes for dead may only be busy: while it answers, nothing is
// cut, and nothing new goes there.
func TestConnectionsOfANodeThatAnswersAreKept(t *testing.T) {
	r := newRig(t, nil)
	a, b := newServer(t, "a"), newServer(t, "b")
	r.set(a)
	old := r.dial()
	old.mustAsk()
	a.State = Down
	r.set(a, b)
	r.until("checks", func(s Stats) bool { return s.Nodes[0].CheckStatus == "L7OK" && s.Nodes[0].Status == StatusDown })
	old.mustAsk()
	if who := r.dial().mustAsk(); who != "b" {
		t.Errorf("%q answers", who)
	}
	r.silent.Store(a.ID, true)
	old.mustBeReset()
}

func TestTheListenerComesAndGoes(t *testing.T) {
	r := newRig(t, nil)
	a := newServer(t, "a")
	r.set(a)
	old := r.dial()
	old.mustAsk()
	_ = r.ln.Close()
	old.mustAsk()
	r.serve()
	r.dial().mustAsk()
	old.mustAsk()
}

func TestShutdownWaitsThenCuts(t *testing.T) {
	r := newRig(t, nil)
	a := newServer(t, "a")
	r.set(a)
	ends, stays := r.dial(), r.dial()
	ends.mustAsk()
	stays.mustAsk()
	ctx, cancel := context.WithCancel(context.Background())
	down := make(chan error, 1)
	go func() { down <- r.door.Shutdown(ctx) }()
	r.until("Shutdown", func(Stats) bool {
		r.door.mu.Lock()
		defer r.door.mu.Unlock()
		return r.door.closing
	})
	stays.mustAsk()
	_ = ends.Close()
	r.until("one to end", func(s Stats) bool { return s.Frontend.Sessions == 1 })
	stays.mustAsk()
	cancel()
	stays.mustBeReset()
	if err := <-down; !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown returns %v", err)
	}
	if err := r.door.Shutdown(context.Background()); err != nil {
		t.Errorf("a second Shutdown returns %v", err)
	}
}

func TestShutdownCutsTheOwnNodesConnections(t *testing.T) {
	r := newRig(t, nil)
	r.door.SetBackends([]Backend{{ID: "me", Name: "me", Self: true}})
	c := r.dial()
	r.until("the connection", func(s Stats) bool { return s.Backend.Sessions == 1 })
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := r.door.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown returns %v", err)
	}
	c.mustBeReset()
}

func TestShutdownOfAnIdleDoor(t *testing.T) {
	r := newRig(t, nil)
	if err := r.door.Shutdown(context.Background()); err != nil {
		t.Errorf("Shutdown returns %v", err)
	}
	if err := r.door.Serve(r.ln); err != nil {
		t.Errorf("Serve returns %v", err)
	}
}

func TestHalfClose(t *testing.T) {
	r := newRig(t, nil)
	a := newServer(t, "a")
	r.set(a)
	c := r.dial()
	_, _ = io.WriteString(c, "hello\n")
	_ = c.CloseWrite()
	if got, err := io.ReadAll(c.br); err != nil || string(got) != "a got hello\n" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestIdleLimit(t *testing.T) {
	r := newRig(t, func(o *Options, _ *Deps) { o.IdleTimeout = units.Duration(50 * time.Millisecond) })
	a := newServer(t, "a")
	r.set(a)
	c := r.dial()
	c.mustAsk()
	if _, err := c.br.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("the client sees %v, want the end", err)
	}
}

// Cut ends the connections that there are, and the door takes new ones.
func TestCut(t *testing.T) {
	r := newRig(t, nil)
	a := newServer(t, "a")
	r.set(a)
	c := r.dial()
	c.mustAsk()
	if n := r.door.Carried(); n != 1 {
		t.Errorf("%d connections are carried", n)
	}
	r.door.Cut()
	c.mustBeReset()
	r.until("the end", func(s Stats) bool { return s.Frontend.Sessions == 0 })
	next := r.dial()
	next.mustAsk()
	r.door.SetBackends([]Backend{{ID: "me", Name: "me", Self: true}})
	own := r.dial()
	r.until("the connection", func(s Stats) bool { return s.Backend.Sessions == 1 })
	if n := r.door.Carried(); n != 0 {
		t.Errorf("%d connections are carried, of the own node's", n)
	}
	r.door.Cut()
	own.mustBeReset()
}

// When an address has left the machine, its connections end and no others.
func TestCutAt(t *testing.T) {
	r := newRig(t, nil)
	r.set(newServer(t, "a"))
	c := r.dial()
	c.mustAsk()
	r.door.CutAt(netip.MustParseAddr("127.0.0.2"))
	c.mustAsk()
	r.door.CutAt(netip.MustParseAddr("127.0.0.1"))
	c.mustBeReset()
	r.dial().mustAsk()
}
