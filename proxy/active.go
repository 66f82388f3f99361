package proxy

import (
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cachenode/cachenode/accesslog"
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
	logged  atomic.Bool // somebody logs it, or has

	prev, next *activeEntry
}

// claim reports whether the caller is the one who logs the request.
func (e *activeEntry) claim() bool { return e.logged.CompareAndSwap(false, true) }

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

// settling is how long requests that were cut may take to be logged.
type settling struct {
	step time.Duration
	// steps in which none ends are too many. It is steps that count and not time:
	// a process that was kept from running has not waited.
	steps int
}

// settle waits until no request is under way, and gives up when none ends any
// more. It returns how many are left. No more may be added.
func (a *active) settle(s settling) (left int) {
	left = a.len()
	for idle := 0; left > 0 && idle < s.steps; idle++ {
		a.wait(s.step)
		now := a.len()
		if now < left {
			idle = -1
		}
		left = now
	}
	return left
}

// wait returns when no request is under way, or after d.
func (a *active) wait(d time.Duration) {
	over := time.NewTimer(d)
	defer over.Stop()
	for i := range a.shards {
		if none := a.shards[i].empty(); none != nil {
			select {
			case <-none:
			case <-over.C:
				return
			}
		}
	}
}

// abandon logs the requests that will not end before the log is closed, with
// what is known of them.
func (p *Proxy) abandon() {
	now := p.d.Clock()
	for i := range p.active.shards {
		for _, e := range p.active.shards[i].unlogged(now) {
			p.d.Record(&e)
		}
	}
}

// unlogged claims what nobody logs, and makes its log entries.
func (s *activeShard) unlogged(now time.Time) (list []accesslog.Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for e := s.first; e != nil; e = e.next {
		if !e.claim() {
			continue
		}
		tag := accesslog.TagMiss
		if e.method == http.MethodConnect {
			tag = accesslog.TagTunnel
		}
		list = append(list, accesslog.Entry{
			Time: now, Duration: max(0, now.Sub(e.started)), Client: e.client.Addr().Unmap(), Method: strings.Clone(e.method),
			URL: strings.Clone(e.url), Proto: "HTTP/1.1", RequestID: e.id, Result: accesslog.Result{Tag: tag, Aborted: true},
		})
	}
	return list
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
			// The strings of an entry may be views of a buffer that is used again.
			ID: strconv.FormatUint(e.id, 36), Client: e.client, Method: strings.Clone(e.method), URL: strings.Clone(e.url), Started: e.started,
		})
	}
	return out
}
