package election

import (
	"context"
	"time"

	"github.com/cachenode/cachenode/peer"
)

// ask is the ARP of the fake network.
func (h *host) ask() Probe {
	p := Probe{}
	for i, other := range h.c.nodes {
		if i != h.index && other.rec.Held() && h.c.reach(h.index, i) && h.c.reach(i, h.index) {
			p.Owner = mac(i)
		}
	}
	h.c.mu.Lock()
	defer h.c.mu.Unlock()
	if h.c.foreign {
		p.Owner = stranger()
	}
	if h.c.gateway != nil {
		p.Gateway = GatewaySilent
		if h.c.gateway[h.index] {
			p.Gateway = GatewayAnswers
		}
	}
	return p
}

// Send implements Wire. It hangs while the process does.
func (h *host) Send(to *peer.Member, b []byte) {
	if hung := h.hung.Load(); hung != nil {
		<-*hung // a mutex would not do: time stands still for those who wait for one
	}
	for i, other := range h.c.nodes {
		if other.id == to.ID && other.running.Load() && h.c.reach(h.index, i) {
			h.c.deliver(h.index, i, append([]byte(nil), b...))
		}
	}
}

func (c *cluster) deliver(from, to int, b []byte) {
	put := func() {
		select {
		case c.nodes[to].inbox <- b:
		default:
		}
	}
	c.mu.Lock()
	d := c.delay[[2]int{from, to}]
	c.mu.Unlock()
	if d == 0 {
		put()
		return
	}
	time.AfterFunc(d, put)
}

// Delay has packets from one host to another arrive later.
func (c *cluster) Delay(from, to int, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.delay[[2]int{from, to}] = d
}

// Receive implements Wire.
func (h *host) Receive(ctx context.Context, _ []byte) ([]byte, error) {
	select {
	case b := <-h.inbox:
		return b, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (c *cluster) reach(from, to int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.lost[[2]int{from, to}]
}

// Lose drops the frames from one host to another.
func (c *cluster) Lose(from, to int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost[[2]int{from, to}] = true
}

// Partition cuts the given nodes off from all others.
func (c *cluster) Partition(group ...int) {
	in := map[int]bool{}
	for _, i := range group {
		in[i] = true
	}
	for i := range c.nodes {
		for j := range c.nodes {
			if in[i] != in[j] {
				c.Lose(i, j)
			}
		}
	}
}

// Heal ends all partitions.
func (c *cluster) Heal() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.lost)
}
