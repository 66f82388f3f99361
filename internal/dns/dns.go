// Package dns resolves names with a cache that honours the records' TTL, goes
// on with stale answers while the resolver is down, and dials the answers by
// happy eyeballs (RFC 8305). It knows nothing of HTTP.
package dns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Resolver is a caching stub resolver. It is safe for concurrent use.
type Resolver struct {
	o      Options
	now    func() time.Time
	conf   func() *config
	hosts  func() hosts
	health health
	slots  chan struct{} // one for each name being resolved

	// Look-ups outlive the request that began them, so they run under a context
	// of the resolver's own, which Close cancels.
	ctx    context.Context
	cancel context.CancelFunc
	flying sync.WaitGroup

	mu      sync.Mutex // guards cache, flights and closed
	cache   cache
	flights map[string]*flight
	closed  bool

	count struct{ lookups, queries, stale, failures atomic.Uint64 }
}

// New reads resolv.conf and hosts unless o names servers. No goroutine runs
// before the first look-up; Close waits for all. A resolv.conf that is missing
// or names no server is not an error here, for it may be filled in later, when
// a network comes up: until then only look-ups that need a server fail, and say
// so.
func New(o Options) (*Resolver, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	r := &Resolver{
		o:       o,
		now:     time.Now,
		slots:   make(chan struct{}, o.MaxLookups),
		cache:   newCache(o.CacheEntries),
		flights: make(map[string]*flight),
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.conf = r.newConfig()
	r.hosts = r.newHosts()
	return r, nil
}

// Close ends the look-ups under way, which fail, and waits for their
// goroutines. What is cached can still be looked up.
func (r *Resolver) Close() error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.cancel()
	r.flying.Wait()
	return nil
}

// Lookup returns the addresses of host, which may be an address literal. The
// caller must not change them. The error is an *Error.
func (r *Resolver) Lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	r.count.lookups.Add(1)
	name, literal, err := parseHost(host)
	switch {
	case err != nil:
		return nil, &Error{Host: host, Reason: err.Error()}
	case literal.IsValid():
		return []netip.Addr{literal}, nil
	}
	if addrs, ok := special(name); ok {
		if len(addrs) == 0 {
			return nil, &Error{Host: host, Reason: "reserved name that has no address"}
		}
		return addrs, nil
	}
	if addrs := r.hosts()[name]; len(addrs) > 0 {
		return addrs, nil
	}
	a, err := r.lookup(ctx, name)
	if err != nil {
		return nil, err
	}
	if a.err != nil {
		return nil, a.err
	}
	return a.addrs, nil
}

// Servers lists the name servers in use, as address and port. None means that
// only literals, localhost and the hosts file can be looked up.
func (r *Resolver) Servers() []string {
	list := make([]string, 0, 4)
	for _, s := range r.conf().servers {
		list = append(list, s.String())
	}
	return list
}

// Counters are totals since New.
type Counters struct {
	Lookups  uint64 // names asked for, cached or not
	Queries  uint64 // questions sent to servers, repetitions included
	Stale    uint64 // look-ups answered with expired addresses
	Failures uint64 // names that no server would answer for; negative answers are none
	Entries  int    // names cached now
}

// Counters returns the totals.
func (r *Resolver) Counters() Counters {
	r.mu.Lock()
	entries := len(r.cache.byName)
	r.mu.Unlock()
	return Counters{
		Lookups:  r.count.lookups.Load(),
		Queries:  r.count.queries.Load(),
		Stale:    r.count.stale.Load(),
		Failures: r.count.failures.Load(),
		Entries:  entries,
	}
}

// Flush forgets every answer.
func (r *Resolver) Flush() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cache = newCache(r.o.CacheEntries)
}

// Error is a failed resolution.
type Error struct {
	Host    string
	Timeout bool // no server answered in time, as opposed to a negative answer
	Reason  string

	cause error
}

func (e *Error) Error() string { return "resolve " + e.Host + ": " + e.Reason }

// Unwrap returns what the error comes from, such as the caller's own
// context.Canceled; nil if a server's answer is all there is.
func (e *Error) Unwrap() error { return e.cause }

func interrupted(name string, err error) *Error {
	reason := "given up"
	if errors.Is(err, context.DeadlineExceeded) {
		reason = "no answer in time"
	}
	return &Error{Host: name, Timeout: true, Reason: reason, cause: fmt.Errorf("look up %s: %w", name, err)}
}

// clock is now, looked up late, so that tests can change it after New.
func (r *Resolver) clock() time.Time { return r.now() }
