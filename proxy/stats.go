package proxy

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cachenode/cachenode/proxy/tunnel"
)

// counters count since the start.
type counters struct {
	requests       atomic.Uint64 // from clients, tunnels included
	originRequests atomic.Int64  // sent to origins and parents
	originErrors   atomic.Int64  // of those, the ones that failed before or in their body
	originBytes    atomic.Int64  // body bytes received from origins
}

// Stats is a snapshot of what the proxy has done and is doing.
type Stats struct {
	Requests       uint64 // from clients, tunnels included
	Active         int    // requests being answered now, tunnels included
	Tunnels        tunnel.Stats
	Fetches        int   // equal misses that others may join now
	OriginRequests int64 // sent to origins and parents
	OriginErrors   int64 // of those, the ones that failed before or in their body
	OriginBytes    int64 // body bytes received from origins
}

// Stats returns a snapshot.
func (p *Proxy) Stats() Stats {
	p.flights.mu.Lock()
	fetches := len(p.flights.by)
	p.flights.mu.Unlock()
	return Stats{
		Requests: p.stats.requests.Load(), Active: p.active.len(), Tunnels: p.tunnels.Stats(), Fetches: fetches,
		OriginRequests: p.stats.originRequests.Load(), OriginErrors: p.stats.originErrors.Load(),
		OriginBytes: p.stats.originBytes.Load(),
	}
}

// ActiveRequest is one request that is being answered.
type ActiveRequest struct {
	ID      string
	Client  string
	Method  string
	URL     string
	Started time.Time
}

// ActiveRequests lists the requests that are being answered, in no order.
func (p *Proxy) ActiveRequests() []ActiveRequest { return p.active.list() }

// active are the requests under way, until they are logged.
type active struct {
	mu   sync.Mutex // guards what follows
	all  map[*activeEntry]struct{}
	none chan struct{} // closed when the last one ends; nil: nobody waits
}

type activeEntry struct{ ActiveRequest }

func (a *active) init() { a.all = map[*activeEntry]struct{}{} }

func (a *active) add(e *activeEntry) {
	a.mu.Lock()
	a.all[e] = struct{}{}
	a.mu.Unlock()
}

func (a *active) remove(e *activeEntry) {
	a.mu.Lock()
	delete(a.all, e)
	if len(a.all) == 0 && a.none != nil {
		close(a.none)
		a.none = nil
	}
	a.mu.Unlock()
}

// wait returns when no request is under way, or with ctx's error.
func (a *active) wait(ctx context.Context) error {
	a.mu.Lock()
	if len(a.all) == 0 {
		a.mu.Unlock()
		return nil
	}
	if a.none == nil {
		a.none = make(chan struct{})
	}
	none := a.none
	a.mu.Unlock()
	select {
	case <-none:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (a *active) len() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.all)
}

func (a *active) list() []ActiveRequest {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make([]ActiveRequest, 0, len(a.all))
	for e := range a.all {
		out = append(out, e.ActiveRequest)
	}
	return out
}
