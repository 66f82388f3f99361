package election

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cachenode/cachenode/internal/units"
	"github.com/cachenode/cachenode/peer"
)

// cluster is a number of elections on a fake network, in virtual time. Hosts
// that cannot exchange frames for a second look failed to each other, and come
// back two seconds after they can.
type cluster struct {
	t     *testing.T
	nodes []*host
	ctx   context.Context

	mu      sync.Mutex               // guards all below, and what of a host is set by tests
	gateway []bool                   // who reaches it; nil: there is none
	foreign bool                     // a machine outside the cluster has the address
	lost    map[[2]int]bool          // frames from one host to another
	delay   map[[2]int]time.Duration // of packets from one host to another
	most    int                      // holders at the same time, at the most

	steering bool          // hand-overs keep connections; before Start
	linger   time.Duration // 0: the default; before Start
}

// host is a node of the cluster.
type host struct {
	c       *cluster
	index   int
	id      string
	rec     *Recorder
	dir     *peer.Static
	inbox   chan []byte
	e       *Election
	stop    context.CancelFunc
	running atomic.Bool
	done    chan struct{}
	events  chan Event
	hung    atomic.Pointer[chan struct{}] // closed when the process goes on; nil: it runs
	state   peer.State
	prio    uint16
	memory  Memory
	lastOut map[int]time.Time // when another was unreachable first
	failed  map[int]time.Time
}

func mac(i int) net.HardwareAddr { return net.HardwareAddr{2, 0, 0, 0, 0, byte(i)} }

// inCluster runs a scenario of n nodes that see each other.
func inCluster(t *testing.T, n int, scenario func(c *cluster)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		c := &cluster{t: t, ctx: ctx, lost: map[[2]int]bool{}, delay: map[[2]int]time.Duration{}}
		for i := range n {
			h := &host{c: c, index: i, id: fmt.Sprintf("id%d", i), state: peer.Alive, prio: 100,
				inbox: make(chan []byte, 1024), lastOut: map[int]time.Time{}, failed: map[int]time.Time{}}
			h.rec = &Recorder{Lease: DefaultOptions().Lease.D(), Ask: h.ask}
			h.dir = peer.NewStatic(h.id, c.members(h)...)
			c.nodes = append(c.nodes, h)
		}
		var watchers sync.WaitGroup
		watchers.Go(c.gossip)
		watchers.Go(c.count)
		defer func() {
			for _, h := range c.nodes {
				h.Kill()
			}
			cancel()
			watchers.Wait()
		}()
		scenario(c)
	})
}

// Start starts nodes, all if none are given.
func (c *cluster) Start(which ...int) {
	if len(which) == 0 {
		for i := range c.nodes {
			which = append(which, i)
		}
	}
	for _, i := range which {
		c.nodes[i].start()
	}
}

func (h *host) start() {
	o := DefaultOptions()
	h.events, h.done = make(chan Event), make(chan struct{})
	key, err := DeriveKey([]byte("secret"), "test")
	if err != nil {
		h.c.t.Fatal(err)
	}
	out := io.Discard
	if os.Getenv("ELECTION_LOG") != "" {
		out = os.Stderr
	}
	log := slog.New(slog.NewTextHandler(out, nil)).With("node", h.id)
	d := Deps{Log: log, Directory: h.dir, Address: h.rec, Events: h.events, Wire: h, Keys: func() []Key { return []Key{key} }, MAC: mac(h.index), Memory: h.memory}
	if h.c.steering {
		d.Steering = h.rec
	}
	if h.c.linger != 0 {
		o.Linger = units.Duration(h.c.linger)
	}
	h.e = New(o, d)
	ctx, cancel := context.WithCancel(h.c.ctx)
	h.stop = cancel
	h.running.Store(true)
	e := h.e
	go func() {
		defer close(h.done)
		if err := e.Run(ctx); err != nil {
			h.c.t.Error(err)
		}
	}()
}

// Kill ends the process without a word: frames that it sends in its last
// breath are lost, and its kernel keeps the address until the lease ends.
func (h *host) Kill() {
	if !h.running.Swap(false) {
		return
	}
	h.c.mu.Lock()
	for i := range h.c.nodes {
		h.c.lost[[2]int{h.index, i}] = true
	}
	h.c.mu.Unlock()
	held := h.rec.Held()
	h.stop()
	<-h.done
	if held {
		_ = h.rec.Hold("") // nobody was left who could take it off
	}
}

// Hang stops the process where it sends next.
func (h *host) Hang() {
	ch := make(chan struct{})
	h.hung.Store(&ch)
}

// Wake lets it go on.
func (h *host) Wake() { close(*h.hung.Swap(nil)) }

// CutPower ends the machine.
func (h *host) CutPower() {
	h.Kill()
	_ = h.rec.Release("")
}

// members are what a node sees.
func (c *cluster) members(of *host) []peer.Member {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []peer.Member
	for i, h := range c.nodes {
		m := peer.Member{ID: h.id, Name: fmt.Sprintf("n%d", i), State: h.state, Meta: peer.Meta{Priority: h.prio}}
		if at, failed := of.failed[i]; failed {
			m.State, m.Since = peer.Failed, at
		}
		list = append(list, m)
	}
	return list
}

// gossip is the fake membership.
func (c *cluster) gossip() {
	for c.ctx.Err() == nil {
		for i, h := range c.nodes {
			if !h.running.Load() {
				continue
			}
			for j, other := range c.nodes {
				c.see(h, j, i == j || other.running.Load() && c.reach(i, j) && c.reach(j, i))
			}
			h.dir.Set(c.members(h)...)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// see moves a member in a node's view with delay.
func (c *cluster) see(h *host, j int, reached bool) {
	_, failed := h.failed[j]
	if reached == !failed {
		delete(h.lastOut, j)
		return
	}
	since, ok := h.lastOut[j]
	if !ok {
		h.lastOut[j] = time.Now()
		return
	}
	switch wait := time.Since(since); {
	case !failed && wait >= time.Second:
		h.failed[j] = time.Now()
		delete(h.lastOut, j)
	case failed && wait >= 2*time.Second:
		delete(h.failed, j)
		delete(h.lastOut, j)
	}
}

// Holders are the nodes that have the address now.
func (c *cluster) Holders() (list []int) {
	for i, h := range c.nodes {
		if h.rec.Held() {
			list = append(list, i)
		}
	}
	return list
}

// count watches how many hold the address at the same time.
func (c *cluster) count() {
	for c.ctx.Err() == nil {
		n := len(c.Holders())
		c.mu.Lock()
		c.most = max(c.most, n)
		c.mu.Unlock()
		time.Sleep(2 * time.Millisecond)
	}
}

// Most is the most that held the address at the same time since the last call.
func (c *cluster) Most() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.most
	c.most = 0
	return n
}

// WaitHolders waits until n nodes hold the address, and says which and how long
// that took.
func (c *cluster) WaitHolders(n int) (list []int, took time.Duration) {
	c.t.Helper()
	start := time.Now()
	for time.Since(start) < time.Minute {
		if list = c.Holders(); len(list) == n {
			return list, time.Since(start)
		}
		time.Sleep(2 * time.Millisecond)
	}
	c.t.Fatalf("want %d holders, have %v after a minute", n, list)
	return nil, 0
}

// WaitHolder waits until exactly the given node holds the address.
func (c *cluster) WaitHolder(i int) time.Duration {
	c.t.Helper()
	start := time.Now()
	for time.Since(start) < time.Minute {
		if list := c.Holders(); len(list) == 1 && list[0] == i {
			return time.Since(start)
		}
		time.Sleep(2 * time.Millisecond)
	}
	c.t.Fatalf("want holder %d, have %v after a minute", i, c.Holders())
	return 0
}

// Stay watches for a while that the holders stay the same.
func (c *cluster) Stay(d time.Duration) {
	c.t.Helper()
	before := fmt.Sprint(c.Holders())
	for start := time.Now(); time.Since(start) < d; time.Sleep(2 * time.Millisecond) {
		if now := fmt.Sprint(c.Holders()); now != before {
			c.t.Fatalf("holders changed from %s to %s after %v", before, now, time.Since(start))
		}
	}
}

// Drain changes a node's state, as all see it.
func (c *cluster) Drain(i int, s peer.State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes[i].state = s
}

// Foreign gives the address to a machine outside the cluster.
func (c *cluster) Foreign(has bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.foreign = has
}

func stranger() net.HardwareAddr { return net.HardwareAddr{6, 6, 6, 6, 6, 6} }

// Gateway says which nodes reach the gateway, beginning with node 0.
func (c *cluster) Gateway(reached ...bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gateway = reached
}
