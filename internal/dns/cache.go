package dns

import (
	"net/netip"
	"time"
)

// answer is what is known of a name.
type answer struct {
	addrs []netip.Addr
	err   *Error // a negative answer, or a failure
	ttl   time.Duration
	// failed says that no server gave an answer, neither good nor bad.
	failed bool
	// nothing says that the name does not exist, as opposed to one that has no
	// address.
	nothing bool
}

// entry is a cached answer. The entries form a ring in the order of their use.
type entry struct {
	name       string
	answer     answer
	expires    time.Time
	prefetch   time.Time // from here on it is refreshed if it is used
	usable     time.Time // until here it may be served stale
	retry      time.Time // no refresh before, because one has failed
	hits       int       // since the answer came
	prev, next *entry
}

// cache holds a bounded number of entries and drops those used least recently.
// It is not safe for concurrent use.
type cache struct {
	limit  int
	byName map[string]*entry
	root   *entry // root.next was used last
}

func newCache(limit int) cache {
	root := &entry{}
	root.prev, root.next = root, root
	return cache{limit: limit, byName: make(map[string]*entry), root: root}
}

func (c *cache) get(name string) *entry {
	e := c.byName[name]
	if e != nil && c.root.next != e {
		e.unlink()
		c.push(e)
	}
	return e
}

func (c *cache) put(e *entry) {
	if old := c.byName[e.name]; old != nil {
		old.unlink()
	} else if len(c.byName) >= c.limit {
		oldest := c.root.prev
		oldest.unlink()
		delete(c.byName, oldest.name)
	}
	c.byName[e.name] = e
	c.push(e)
}

func (c *cache) push(e *entry) {
	e.prev, e.next = c.root, c.root.next
	e.prev.next, e.next.prev = e, e
}

func (e *entry) unlink() { e.prev.next, e.next.prev = e.next, e.prev }

// freshness says what a cached entry is good for.
type freshness uint8

const (
	absent   freshness = iota // ask, and wait for the answer
	fresh                     // serve it
	expiring                  // serve it, and ask behind
	stale                     // ask; serve it if the answer is late
	failing                   // serve it, and ask behind: the last attempt failed
	resting                   // serve it: the last attempt failed just now
)

const (
	prefetchShare = 10              // the last tenth of the TTL
	prefetchHits  = 3               // since the answer came
	prefetchTTL   = 5 * time.Second // below it prefetching is not worth it
	failureTTL    = time.Second     // how long a failure is not tried again
	staleRest     = 10 * time.Second
)

func (e *entry) freshness(now time.Time) freshness {
	switch {
	case e == nil:
		return absent
	case now.Before(e.expires):
		if e.hits >= prefetchHits && !now.Before(e.prefetch) && !now.Before(e.retry) {
			return expiring
		}
		return fresh
	case len(e.answer.addrs) == 0 || !now.Before(e.usable):
		return absent
	case now.Before(e.retry):
		return resting
	case !e.retry.IsZero():
		return failing
	}
	return stale
}

// newEntry dates an answer. Its times follow from the answer's TTL, which is
// clamped by the options.
func newEntry(name string, a answer, o *Options, now time.Time) *entry {
	switch {
	case a.failed:
		a.ttl = failureTTL
	case a.err != nil:
		a.ttl = min(max(a.ttl, 0), o.NegativeTTL.D())
	default:
		a.ttl = min(max(a.ttl, o.MinTTL.D()), o.MaxTTL.D())
	}
	e := &entry{name: name, answer: a, expires: now.Add(a.ttl)}
	e.usable = e.expires.Add(o.Stale.D())
	e.prefetch = e.expires
	if o.Prefetch && a.err == nil && a.ttl >= prefetchTTL {
		e.prefetch = e.expires.Add(-a.ttl / prefetchShare)
	}
	return e
}
