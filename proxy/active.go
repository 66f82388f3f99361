package proxy

import (
	"context"
	"net/netip"
	"strconv"
	"sync"
	"time"
)

// ActiveRequest is one request that is being answered.
type ActiveRequest struct {
	ID      string // as the access log shows it
	Client  netip.AddrPort
	Method  string
	URL     string
	Started time.Time
}

// ActiveRequests lists the requests that are being answered, in no order.
func (p *Proxy) ActiveRequests() []ActiveRequest { return p.active.list() }

// active are the requests under way, until they are logged, spread over locks
// by their numbers.
type active struct {
	shards [32]activeShard
}

type activeShard struct {
	mu    sync.Mutex // guards all below and the links of the entries
	first *activeEntry
	n     int
	none  chan struct{} // closed when the last one ends; nil: nobody waits
	_     [88]byte      // the next one's lock lies in another cache line
}

// activeEntry is one request in the list. What it says does not change while it
// is there.
type activeEntry struct {
	id      uint64
	client  netip.AddrPort
	method  string
	url     string
	started time.Time

	prev, next *activeEntry
}

func (a *active) shard(e *activeEntry) *activeShard {
	return &a.shards[e.id%uint64(len(a.shards))]
}

func (a *active) add(e *activeEntry) {
	s := a.shard(e)
	s.mu.Lock()
	e.prev, e.next = nil, s.first
	if s.first != nil {
		s.first.prev = e
	}
	s.first = e
	s.n++
	s.mu.Unlock()
}

func (a *active) remove(e *activeEntry) {
	s := a.shard(e)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.next != nil {
		e.next.prev = e.prev
	}
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		s.first = e.next
	}
	e.prev, e.next = nil, nil
	if s.n--; s.n == 0 && s.none != nil {
		close(s.none)
		s.none = nil
	}
}

// wait returns when no request is under way, or with ctx's error. No more may
// be added.
func (a *active) wait(ctx context.Context) error {
	for i := range a.shards {
		if none := a.shards[i].empty(); none != nil {
			select {
			case <-none:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}

// empty returns what closes when the shard is; nil: it is.
func (s *activeShard) empty() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.n > 0 && s.none == nil {
		s.none = make(chan struct{})
	}
	return s.none
}

func (a *active) len() (n int) {
	for i := range a.shards {
		s := &a.shards[i]
		s.mu.Lock()
		n += s.n
		s.mu.Unlock()
	}
	return n
}

func (a *active) list() []ActiveRequest {
	out := make([]ActiveRequest, 0, a.len())
	for i := range a.shards {
		out = a.shards[i].append(out)
	}
	return out
}

func (s *activeShard) append(out []ActiveRequest) []ActiveRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	for e := s.first; e != nil; e = e.next {
		out = append(out, ActiveRequest{
			ID: strconv.FormatUint(e.id, 36), Client: e.client, Method: e.method, URL: e.url, Started: e.started,
		})
	}
	return out
}
