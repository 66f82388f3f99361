package proxy

import (
	"sync/atomic"

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
