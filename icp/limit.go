package icp

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxSources bounds the siblings whose rate is known; there are never so many,
// as only those who are known get this far.
const maxSources = 4096

// limits bound how many queries are answered.
type limits struct {
	all       *rate.Limiter // nil: no limit
	perSource int

	mu      sync.Mutex // guards sources
	sources map[netip.Addr]*rate.Limiter
}

func newLimits(o *Options) *limits {
	l := &limits{perSource: o.MaxRatePerSibling, sources: map[netip.Addr]*rate.Limiter{}}
	if o.MaxRate > 0 {
		l.all = newLimiter(o.MaxRate)
	}
	return l
}

// newLimiter lets a quarter of a second's worth through at once.
func newLimiter(perSecond int) *rate.Limiter {
	return rate.NewLimiter(rate.Limit(perSecond), max(1, perSecond/4))
}

func (l *limits) allow(from netip.Addr, now time.Time) bool {
	if l.perSource > 0 && !l.source(from).AllowN(now, 1) {
		return false
	}
	return l.all == nil || l.all.AllowN(now, 1)
}

func (l *limits) source(from netip.Addr) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	one := l.sources[from]
	if one == nil {
		if len(l.sources) >= maxSources {
			clear(l.sources)
		}
		one = newLimiter(l.perSource)
		l.sources[from] = one
	}
	return one
}
