package origin

import (
	"strings"
	"sync"
	"sync/atomic"
)

// Counts are how many requests were answered, and how.
type Counts struct {
	Requests    int64 `json:"requests"`
	Full        int64 `json:"full"`         // 200
	Partial     int64 `json:"partial"`      // 206
	NotModified int64 `json:"not_modified"` // 304
	Other       int64 `json:"other"`
	Bytes       int64 `json:"bytes"` // of bodies, as far as they could be sent
}

// Sub is what was added since before.
func (c Counts) Sub(before Counts) Counts {
	return Counts{
		Requests: c.Requests - before.Requests, Full: c.Full - before.Full, Partial: c.Partial - before.Partial,
		NotModified: c.NotModified - before.NotModified, Other: c.Other - before.Other, Bytes: c.Bytes - before.Bytes,
	}
}

// Stats is what /stats answers.
type Stats struct {
	Clock   int64             `json:"clock_ns"` // the origin's time, Unix nanoseconds
	Serial  uint64            `json:"serial"`   // of the last answer
	Classes map[string]Counts `json:"classes"`
}

// counters are the live counts of one class.
type counters struct {
	requests, full, partial, notModified, other, bytes atomic.Int64
}

func (c *counters) answered(status int) {
	c.requests.Add(1)
	switch status {
	case 200:
		c.full.Add(1)
	case 206:
		c.partial.Add(1)
	case 304:
		c.notModified.Add(1)
	default:
		c.other.Add(1)
	}
}

func (c *counters) counts() Counts {
	return Counts{
		Requests: c.requests.Load(), Full: c.full.Load(), Partial: c.partial.Load(),
		NotModified: c.notModified.Load(), Other: c.other.Load(), Bytes: c.bytes.Load(),
	}
}

// maxClasses bounds the classes; what comes after counts as "other".
const maxClasses = 1000

// register has the counters of every class.
type register struct {
	mu      sync.RWMutex // guards classes
	classes map[string]*counters
}

func (r *register) of(id string) *counters {
	class, _, _ := strings.Cut(id, "/")
	r.mu.RLock()
	c := r.classes[class]
	r.mu.RUnlock()
	if c != nil {
		return c
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.classes == nil {
		r.classes = map[string]*counters{}
	}
	if len(r.classes) >= maxClasses {
		class = "other"
	}
	c = r.classes[class]
	if c == nil {
		c = new(counters)
		r.classes[strings.Clone(class)] = c
	}
	return c
}

func (r *register) all() map[string]Counts {
	r.mu.RLock()
	defer r.mu.RUnlock()
	all := make(map[string]Counts, len(r.classes))
	for class, c := range r.classes {
		all[class] = c.counts()
	}
	return all
}
