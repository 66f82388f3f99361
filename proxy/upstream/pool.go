package upstream

import (
	"context"
	"slices"
	"sync"
	"time"
)

// hostKey names connections that are interchangeable.
type hostKey struct {
	parent string // name of the parent on the way, empty for direct
	addr   string // host:port; empty where one connection to the parent serves all
	tls    bool
}

// pool keeps idle connections and bounds the open ones per host.
type pool struct {
	maxPerHost, maxIdlePerHost, maxIdle int
	idleTimeout                         time.Duration

	mu     sync.Mutex // guards what follows
	hosts  map[hostKey]*host
	idle   int
	closed bool
}

// host is what the pool knows of one hostKey.
type host struct {
	idle    []*conn // the one used last at the end
	open    int     // idle ones and permits to dial included
	waiting []chan *conn
}

func newPool(o *Options) *pool {
	return &pool{
		maxPerHost: o.MaxConnsPerHost, maxIdlePerHost: o.MaxIdlePerHost, maxIdle: o.MaxIdle,
		idleTimeout: o.IdleTimeout.D(), hosts: make(map[hostKey]*host),
	}
}

// settled is the time after which an origin that would close a connection
// behind its first response has done so.
const settled = time.Second

// kept returns an idle connection, nil if there is none that may be used.
func (p *pool) kept(key hostKey, w want) *conn {
	for {
		c := p.pop(key)
		if c == nil {
			return nil
		}
		idle := time.Since(c.idleSince)
		if idle < p.idleTimeout && (w == wantAny || c.proven || idle > settled) && c.wake() {
			return c
		}
		p.discard(c)
	}
}

func (p *pool) pop(key hostKey) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.hosts[key]
	if h == nil || p.closed || len(h.idle) == 0 {
		return nil
	}
	n := len(h.idle) - 1
	c := h.idle[n]
	h.idle[n], h.idle = nil, h.idle[:n]
	p.idle--
	return c
}

// permit allows to dial one connection, which forget gives back. Where the host
// has as many as it may, it waits, and may get a connection instead.
func (p *pool) permit(ctx context.Context, key hostKey) (*conn, error) {
	wait, err := p.admit(key)
	if wait == nil || err != nil {
		return nil, err
	}
	return p.wait(ctx, key, wait)
}

// admit takes a place, or returns where to wait for one.
func (p *pool) admit(key hostKey) (wait chan *conn, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errClosed
	}
	h := p.hosts[key]
	if h == nil {
		h = &host{}
		p.hosts[key] = h
	}
	if p.maxPerHost == 0 || h.open < p.maxPerHost || key.parent != "" { // a parent stands for many origins
		h.open++
		return nil, nil
	}
	wait = make(chan *conn, 1) // the giver never waits
	h.waiting = append(h.waiting, wait)
	return wait, nil
}

func (p *pool) wait(ctx context.Context, key hostKey, wait chan *conn) (*conn, error) {
	select {
	case c, ok := <-wait:
		if !ok {
			return nil, errClosed
		}
		return c, nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	if h := p.hosts[key]; h != nil {
		if i := slices.Index(h.waiting, wait); i >= 0 {
			h.waiting = slices.Delete(h.waiting, i, i+1)
			p.mu.Unlock()
			return nil, errNoConnFree
		}
	}
	p.mu.Unlock()
	switch c, ok := <-wait; { // it was given something at the last moment
	case !ok:
	case c != nil:
		p.put(c)
	default:
		p.forget(key)
	}
	return nil, errNoConnFree
}

// put gives back a connection that may be used again.
func (p *pool) put(c *conn) {
	if !c.rest() || !p.keep(c) {
		p.discard(c)
	}
}

func (p *pool) keep(c *conn) bool {
	c.idleSince = time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.hosts[c.key]
	if h == nil || p.closed {
		return false
	}
	if len(h.waiting) > 0 {
		h.hand(c)
		return true
	}
	if p.idleTimeout <= 0 || p.idle >= p.maxIdle || len(h.idle) >= p.maxIdlePerHost {
		return false
	}
	h.idle = append(h.idle, c)
	p.idle++
	return true
}

// hand serves who waits longest, with a connection or with a permit.
func (h *host) hand(c *conn) {
	h.waiting[0] <- c
	h.waiting = slices.Delete(h.waiting, 0, 1)
}

// discard closes a connection and gives its place back.
func (p *pool) discard(c *conn) {
	c.close()
	p.forget(c.key)
}

// forget gives back the place of a connection that is gone, or that is no
// longer the pool's, or that was never made.
func (p *pool) forget(key hostKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.hosts[key]
	if h == nil {
		return
	}
	if len(h.waiting) > 0 {
		h.hand(nil)
		return
	}
	if h.open--; h.open == 0 {
		delete(p.hosts, key)
	}
}

// drop closes the host's idle connections.
func (p *pool) drop(key hostKey) {
	p.mu.Lock()
	var idle []*conn
	if h := p.hosts[key]; h != nil {
		idle, h.idle = h.idle, nil
		p.idle -= len(idle)
	}
	p.mu.Unlock()
	for _, c := range idle {
		p.discard(c)
	}
}

// expire closes the connections that have been idle since before t.
func (p *pool) expire(t time.Time) {
	var old []*conn
	p.mu.Lock()
	for _, h := range p.hosts {
		n := 0
		for n < len(h.idle) && h.idle[n].idleSince.Before(t) {
			n++
		}
		old = append(old, h.idle[:n]...)
		h.idle = slices.Delete(h.idle, 0, n)
		p.idle -= n
	}
	p.mu.Unlock()
	for _, c := range old {
		p.discard(c)
	}
}

// close ends the idle connections and all waiting; connections in use are
// closed when they are given back.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	var idle []*conn
	for _, h := range p.hosts {
		idle = append(idle, h.idle...)
		h.idle = nil
		for _, w := range h.waiting {
			close(w)
		}
		h.waiting = nil
	}
	p.idle = 0
	p.mu.Unlock()
	for _, c := range idle {
		p.discard(c)
	}
}

// counts returns the idle and all open connections.
func (p *pool) counts() (idle, open int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, h := range p.hosts {
		open += h.open
	}
	return p.idle, open
}
