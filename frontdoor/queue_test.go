package frontdoor

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/cachenode/cachenode/internal/units"
)

// queued waits until n connections do.
func (r *rig) queued(n int) Stats {
	r.t.Helper()
	return r.until("the queue", func(s Stats) bool { return s.Backend.Queued == n })
}

func TestAFullNodeIsWaitedFor(t *testing.T) {
	for name, limit := range map[string]func(o *Options){
		"per node": func(o *Options) { o.MaxConnectionsPerNode = 1 },
		"in all":   func(o *Options) { o.MaxConnections = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(o *Options, _ *Deps) { limit(o) })
			a := newServer(t, "a")
			r.set(a)
			first := r.dial()
			first.mustAsk()
			second := r.dial()
			_, _ = io.WriteString(second, "hello\n") // stays unread while it waits
			s := r.queued(1)
			if s.Backend.Sessions != 1 || s.Backend.QueuedMax != 1 || s.Frontend.Sessions != 2 {
				t.Errorf("counted %+v", s)
			}
			_ = first.Close()
			if line, err := second.br.ReadString('\n'); line != "a got hello\n" {
				t.Errorf("got %q, %v", line, err)
			}
			second.mustAsk()
			if s := r.queued(0); s.Backend.Refused != 0 || s.Backend.SessionsMax != 1 {
				t.Errorf("counted %+v", s)
			}
		})
	}
}

func TestTheQueueIsInOrder(t *testing.T) {
	r := newRig(t, func(o *Options, _ *Deps) { o.MaxConnections = 1 })
	a := newServer(t, "a")
	r.set(a)
	var all []*client
	for i := range 5 {
		all = append(all, r.dial())
		r.until("its arrival", func(s Stats) bool { return s.Frontend.Sessions == i+1 })
	}
	for i, c := range all {
		c.mustAsk() // with nobody before it any more
		if s := r.door.Stats(); s.Backend.Queued != len(all)-1-i {
			t.Errorf("%d wait behind connection %d", s.Backend.Queued, i)
		}
		_ = c.Close()
	}
}

func TestAFullQueueRefuses(t *testing.T) {
	r := newRig(t, func(o *Options, _ *Deps) { o.MaxConnections, o.Queue = 1, 1 })
	a := newServer(t, "a")
	r.set(a)
	r.dial().mustAsk()
	r.dial()
	r.queued(1)
	r.mustBeRefused()
	if s := r.door.Stats(); s.Reasons["queue full"] != 1 || s.Frontend.Refused != 1 {
		t.Errorf("counted %+v", s)
	}
}

func TestWithoutAQueueTheClientIsReset(t *testing.T) {
	r := newRig(t, func(o *Options, _ *Deps) { o.MaxConnectionsPerNode, o.Queue = 1, 0 })
	a := newServer(t, "a")
	r.set(a)
	r.dial().mustAsk()
	r.mustBeRefused()
}

func TestTheWaitHasAnEnd(t *testing.T) {
	r := newRig(t, func(o *Options, _ *Deps) {
		o.MaxConnections, o.QueueTimeout = 1, units.Duration(20*time.Millisecond)
	})
	a := newServer(t, "a")
	r.set(a)
	first := r.dial()
	first.mustAsk()
	r.mustBeRefused()
	first.mustAsk()
	if s := r.door.Stats(); s.Reasons["queue timeout"] != 1 || s.Backend.Queued != 0 {
		t.Errorf("counted %+v", s)
	}
}

func TestAClientThatLeavesTheQueueFreesItsPlace(t *testing.T) {
	for name, leave := range map[string]func(c *client){
		"closes":                  func(c *client) { _ = c.Close() },
		"resets":                  func(c *client) { _ = c.SetLinger(0); _ = c.Close() },
		"closes behind a request": func(c *client) { _, _ = io.WriteString(c, "hello\n"); _ = c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(o *Options, _ *Deps) { o.MaxConnections, o.Queue = 1, 1 })
			a := newServer(t, "a")
			r.set(a)
			first := r.dial()
			first.mustAsk()
			leaves := r.dial()
			r.queued(1)
			leave(leaves)
			if s := r.queued(0); s.Reasons["queue left"] != 1 || s.Backend.Refused != 0 {
				t.Errorf("counted %+v", s)
			}
			stays := r.dial()
			r.queued(1)
			_ = first.Close()
			stays.mustAsk()
		})
	}
}

func TestANewNodeEndsTheWait(t *testing.T) {
	r := newRig(t, func(o *Options, _ *Deps) { o.MaxConnectionsPerNode = 1 })
	a, b := newServer(t, "a"), newServer(t, "b")
	r.set(a)
	r.dial().mustAsk()
	c := r.dial()
	r.queued(1)
	r.set(a, b)
	if who := c.mustAsk(); who != "b" {
		t.Errorf("%q answers", who)
	}
}

func TestTheLastNodeThatGoesEndsTheWait(t *testing.T) {
	r := newRig(t, func(o *Options, _ *Deps) { o.MaxConnectionsPerNode = 1 })
	a := newServer(t, "a")
	r.set(a)
	r.dial().mustAsk()
	c := r.dial()
	r.queued(1)
	r.set()
	c.mustBeReset()
}

func TestShutdownEndsTheWait(t *testing.T) {
	r := newRig(t, func(o *Options, _ *Deps) { o.MaxConnections = 1 })
	a := newServer(t, "a")
	r.set(a)
	r.dial().mustAsk()
	c := r.dial()
	r.queued(1)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = r.door.Shutdown(ctx)
	c.mustBeReset()
	if s := r.door.Stats(); s.Reasons["closing"] != 1 || s.Frontend.Sessions != 0 {
		t.Errorf("counted %+v", s)
	}
}

// A connection that gets a node just before it would wait for one goes on at once,
// and whoever gave it the node wakes it only then: its reads must not feel that.
func TestAWakeThatComesLateIsNotFelt(t *testing.T) {
	for name, why := range map[string]Reason{"goes on": ByLeastConn, "waits again": Full} {
		d, err := New(DefaultOptions(), Deps{})
		if err != nil {
			t.Fatal(err)
		}
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		client, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		nc, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		c := newConn(nc.(*net.TCPConn))
		c.node, c.why = &node{}, ByLeastConn
		if _, why := d.wait(c); !why.placed() {
			t.Errorf("%s: %v", name, why)
		}
		c.why = why
		c.asleep = why.waits()
		d.wake([]*conn{c})
		_, _ = io.WriteString(client, "x")
		if n, err := nc.Read(make([]byte, 1)); n != 1 || err != nil {
			t.Errorf("%s: read %d bytes, %v", name, n, err)
		}
	}
}
