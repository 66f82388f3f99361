package icp

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Reply is one sibling's answer to a query of ours.
type Reply struct {
	From   netip.AddrPort
	Opcode Opcode
	RTT    time.Duration
}

// Outcome is what came of a query.
type Outcome struct {
	Hit    netip.AddrPort   // who answered HIT first; not valid: nobody in time
	Silent []netip.AddrPort // when nobody had it: those who did not answer in time
}

const (
	// lateness is how long after a query its replies are still told to Observe:
	// only so can it be seen that a sibling is slow, and not dead.
	lateness = 2 * time.Second
	// maxInFlight bounds the table of queries under way; more are not asked.
	maxInFlight = 1 << 16
)

// inFlight are the queries whose replies are believed.
type inFlight struct {
	mu  sync.Mutex // guards what follows, and the answered of each question
	all map[uint32]*question
}

// question is one query to some siblings.
type question struct {
	url      string
	to       []netip.AddrPort
	answered []bool // by the index in to
	sent     time.Time
	replies  chan Reply // has room for all, so that nobody waits
}

func (t *inFlight) init() { t.all = map[uint32]*question{} }

// add gives q a number that nobody can guess; 0 means that there are too many.
func (t *inFlight) add(q *question) uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.all) >= maxInFlight {
		return 0
	}
	for {
		n := rand.Uint32()
		if _, taken := t.all[n]; !taken && n != 0 { // squid takes 0 for a sign of an old cache
			t.all[n] = q
			return n
		}
	}
}

// match returns the question that a reply belongs to, or why there is none.
func (t *inFlight) match(from netip.AddrPort, m Message) (*question, dropReason) {
	t.mu.Lock()
	defer t.mu.Unlock()
	q := t.all[m.Number]
	if q == nil {
		return nil, dropNumber
	}
	i := slices.Index(q.to, from)
	switch {
	case i < 0:
		return nil, dropSource
	case m.URL != q.url && (m.Opcode != OpErr || m.URL != ""):
		return nil, dropURL
	case q.answered[i]:
		return nil, dropDuplicate
	}
	q.answered[i] = true
	if !slices.Contains(q.answered, false) {
		delete(t.all, m.Number)
	}
	return q, 0
}

// unanswered lists who has not answered q.
func (t *inFlight) unanswered(q *question) []netip.AddrPort {
	t.mu.Lock()
	defer t.mu.Unlock()
	var silent []netip.AddrPort
	for i, done := range q.answered {
		if !done {
			silent = append(silent, q.to[i])
		}
	}
	return silent
}

// sweep forgets old questions until done is closed.
func (t *inFlight) sweep(done <-chan struct{}) {
	tick := time.NewTicker(lateness / 4)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case now := <-tick.C:
			t.expire(now.Add(-lateness))
		}
	}
}

func (t *inFlight) expire(before time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for n, q := range t.all {
		if q.sent.Before(before) {
			delete(t.all, n)
		}
	}
}

func (e *Endpoint) takeReply(from netip.AddrPort, m Message, malformed error, now time.Time) {
	if malformed != nil {
		e.drop(dropMalformed)
		return
	}
	q, why := e.asked.match(from, m)
	if q == nil {
		e.drop(why)
		return
	}
	r := Reply{From: from, Opcode: m.Opcode, RTT: now.Sub(q.sent)}
	q.replies <- r
	if e.d.Observe != nil {
		e.d.Observe(r)
	}
}

// Query asks all of to about url at once. It returns at the first HIT, when all
// have answered otherwise, after wait, or when ctx ends. url must be Askable; to
// is kept.
func (e *Endpoint) Query(ctx context.Context, url string, to []netip.AddrPort, wait time.Duration) Outcome {
	q := e.ask(url, to)
	if q == nil {
		return Outcome{}
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for range to {
		select {
		case r := <-q.replies:
			if r.Opcode == OpHit {
				e.n.used.Add(1)
				return Outcome{Hit: r.From}
			}
		case <-timer.C:
			e.n.timeouts.Add(1)
			return Outcome{Silent: e.asked.unanswered(q)}
		case <-ctx.Done():
			return Outcome{}
		}
	}
	return Outcome{}
}

// Probe asks without waiting; Observe hears of the replies.
func (e *Endpoint) Probe(url string, to ...netip.AddrPort) { e.ask(url, to) }

// ask sends a query; nil when too many are under way.
func (e *Endpoint) ask(url string, to []netip.AddrPort) *question {
	q := &question{
		url: url, to: to, answered: make([]bool, len(to)), sent: time.Now(), replies: make(chan Reply, len(to)),
	}
	n := e.asked.add(q)
	if n == 0 {
		return nil
	}
	b := Append(make([]byte, 0, querySize+len(url)+1), &Message{Opcode: OpQuery, Number: n, URL: url})
	for _, addr := range to {
		if c := e.socketFor(addr); c != nil {
			e.send(c, addr, OpQuery, b)
		} else {
			e.n.sendFail.Add(1)
		}
	}
	return q
}
