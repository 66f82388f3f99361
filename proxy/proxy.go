// Package proxy is the life of one request, from accepted to answered: who may
// ask, what the store says, one fetch for many equal misses, delivery, the log
// entry. It knows neither sockets' listeners nor the cluster.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cachenode/cachenode/accesslog"
	"github.com/cachenode/cachenode/acl"
	"github.com/cachenode/cachenode/cache"
	"github.com/cachenode/cachenode/proxy/tunnel"
	"github.com/cachenode/cachenode/proxy/upstream"
)

// Deps are what a Proxy works with. All are required but those that may be nil.
type Deps struct {
	Node   string // pseudonym in Via, Cache-Status and Proxy-Status
	Log    *slog.Logger
	Store  cache.Store
	Policy *cache.Policy
	Access *acl.List
	Dialer upstream.Dialer
	// ParentDialer connects to parents, which the operator named and the
	// destination guard need not judge; nil: Dialer.
	ParentDialer upstream.Dialer
	// Lookup resolves a name for access rules about destination networks; nil:
	// they see only literal addresses.
	Lookup   func(ctx context.Context, host string) ([]netip.Addr, error)
	Siblings Siblings               // asked on a miss; nil: none
	Manager  http.Handler           // squid's manager pages; nil: none
	Digest   http.Handler           // this node's digest, for siblings; nil: none
	Outdated func(keys []string)    // told what an unsafe request made invalid; must not wait; nil: nobody is
	Ready    func() error           // why this node wants no new clients; nil: it always wants them
	Record   func(*accesslog.Entry) // called exactly once per request; must keep neither the entry nor its strings
	Clock    func() time.Time       // nil: time.Now
}

// Proxy answers forward-proxy requests. It is an http.Handler.
type Proxy struct {
	o       Options
	d       Deps
	live    atomic.Pointer[rules]
	origin  *upstream.Client
	tunnels *tunnel.Tunnels
	flights flights
	via     [2]string // our Via member for a message received as HTTP/1.0, 1.1
	page    *pages
	stats   counters
	wall    bool                            // the clock is that of the machine
	short   bool                            // the short lane is open
	peek    func(key string) []cache.Object // what the store knows at once
	damaged damaged
	hot     *hot // nil without siblings

	fetch    sync.WaitGroup // fetches under way
	active   active
	settling settling
}

// rules are what a reload may exchange; one request sees one set throughout.
type rules struct {
	policy *cache.Policy
	access *acl.List
	short  bool // access needs neither a user nor addresses
	steady bool // access.Steady
}

// New checks o and builds a Proxy. It starts nothing; Shutdown frees it.
func New(o Options, d Deps) (*Proxy, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	wall := d.Clock == nil
	if wall {
		d.Clock = time.Now
	}
	p := &Proxy{o: o, d: d, wall: wall, page: newPages(d.Node), settling: settling{step: 500 * time.Millisecond, steps: 20}}
	p.live.Store(p.newRules(d.Policy, d.Access))
	p.short = !o.Headers.SquidCompat
	p.peek = d.Store.Lookup
	if s, ok := d.Store.(cache.Peeker); ok {
		p.peek = s.Peek
	}
	for i := range p.via {
		p.via[i] = fmt.Sprintf("1.%d %s (cachenode)", i, d.Node)
	}
	origin, err := upstream.New(o.Upstream, upstream.Deps{Dialer: d.Dialer, ParentDialer: d.ParentDialer, Log: d.Log})
	if err != nil {
		return nil, err
	}
	p.origin = origin
	p.tunnels, err = tunnel.New(o.Tunnel, tunnel.Deps{
		Dial: origin.Dial, RoundTrip: origin.Do, Log: d.Log,
		Head: func(h http.Header) { p.addVia(h, 1) },
	})
	if err != nil {
		return nil, err
	}
	p.flights.init(o.Fill)
	if d.Siblings != nil {
		p.hot = new(hot)
	}
	return p, nil
}

// Run watches the parents until ctx ends.
func (p *Proxy) Run(ctx context.Context) error { return p.origin.Run(ctx) }

// SetPolicy exchanges the caching policy for requests that begin from now on.
func (p *Proxy) SetPolicy(c *cache.Policy) {
	p.exchange(func(r *rules) *rules { return p.newRules(c, r.access) })
}

// SetAccess exchanges the access rules for requests that begin from now on.
func (p *Proxy) SetAccess(l *acl.List) {
	p.exchange(func(r *rules) *rules { return p.newRules(r.policy, l) })
}

func (p *Proxy) exchange(next func(*rules) *rules) {
	for {
		old := p.live.Load()
		if p.live.CompareAndSwap(old, next(old)) {
			return
		}
	}
}

func (p *Proxy) newRules(c *cache.Policy, l *acl.List) *rules {
	return &rules{policy: c, access: l, short: l.Realm() == "" && (p.d.Lookup == nil || !l.WantsAddrs()), steady: l.Steady()}
}

// Shutdown waits for tunnels and fetches until ctx ends, then ends them, and
// closes the connections to origins. The server must not hand in requests any
// more. When it returns, every request has been logged: those that were cut have as
// long as they need, and one that is stuck is logged for it. The error is ctx's
// when something had to be cut.
func (p *Proxy) Shutdown(ctx context.Context) error {
	err := p.tunnels.Shutdown(ctx)
	idle := make(chan struct{})
	go func() {
		p.fetch.Wait()
		close(idle)
	}()
	select {
	case <-idle:
	case <-ctx.Done():
		err = errors.Join(err, ctx.Err())
	}
	p.flights.cancelAll()
	<-idle
	if left := p.active.settle(p.settling); left > 0 {
		p.abandon()
		err = errors.Join(err, fmt.Errorf("%d requests are stuck", left))
	}
	return errors.Join(err, p.origin.Close())
}

// Cut ends the tunnels that are open, and goes on.
func (p *Proxy) Cut() { p.tunnels.Cut() }

// ServeHTTP implements http.Handler. It logs each request but probes exactly
// once, and panics with http.ErrAbortHandler to cut a response short.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p.probe(w, r) {
		return
	}
	x := p.begin(w, r)
	defer x.end()
	x.serve()
	x.served = true
}
