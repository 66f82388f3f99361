// Package sibling finds out which of the other caches has an object: it asks
// them by ICP, looks into the digests they publish, and remembers who is slow
// or silent, so that only the first silence costs anything. It fetches no
// object, and who the siblings are it is told.
package sibling

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/cachenode/cachenode/icp"
)

// Sibling is another cache that may be asked.
type Sibling struct {
	ID   string // does not change while it lives
	Name string // for logs and metrics
	// ICP is where it answers queries, and sends its own from. Not valid: it is
	// not asked.
	ICP netip.AddrPort
	// Proxy is where hits are fetched from, host:port.
	Proxy string
	// Digest is the version of the digest that it publishes; 0: none.
	Digest uint64
}

// Found is a sibling that has, by all we know, what was asked for.
type Found struct {
	Sibling
	ByDigest bool // nobody asked it
}

// Outcome is how a fetch from a sibling ended.
type Outcome uint8

// The outcomes.
const (
	Served   Outcome = iota // a response that is used
	FalseHit                // it did not have it, or not what this request selects
	Refused                 // it answered with an error, or with something we would not accept
	Slow                    // it did not answer in time
	Failed                  // the connection failed
	outcomes
)

var outcomeNames = [outcomes]string{"hit", "false_hit", "refused", "timeout", "error"}

// String is the outcome as the metrics call it.
func (o Outcome) String() string { return outcomeNames[o] }

// Deps are what a Finder works with.
type Deps struct {
	// Siblings returns those who may be asked. It is called for each miss, and
	// what it returned is not changed any more.
	Siblings func() []Sibling
	// ICP asks; nil: nobody is asked.
	ICP Asker
	// FetchDigest asks a sibling for what its Digest answers to who has a version;
	// 0: none. Nil: no digests are fetched.
	FetchDigest func(ctx context.Context, s Sibling, have uint64) (io.ReadCloser, error)
	// Digest is that of this node; nil: there is none.
	Digest *Digest
	Log    *slog.Logger     // nil discards
	Clock  func() time.Time // nil: time.Now
}

// Asker is an icp.Endpoint.
type Asker interface {
	Query(ctx context.Context, url string, to []netip.AddrPort, wait time.Duration) icp.Outcome
	Probe(url string, to ...netip.AddrPort)
}

// Finder chooses whom to ask and judges the answers. It is safe for concurrent
// use.
type Finder struct {
	o Options
	d Deps

	mu    sync.Mutex // guards what follows
	peers map[string]*peer
}

// peer is what is known of one sibling.
type peer struct {
	name    string
	health  health
	digests digests
	counts  counts
}

// counts of what became of asking one sibling.
type counts struct {
	answers  [5]uint64 // by answerIndex
	timeouts uint64
	fetches  [outcomes]uint64
}

// New checks o and builds a Finder. It starts nothing.
func New(o Options, d Deps) (*Finder, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	if d.Clock == nil {
		d.Clock = time.Now
	}
	return &Finder{o: o, d: d, peers: map[string]*peer{}}, nil
}

// Find returns a sibling that says that it has url, a cache key, or whose digest
// says so. It takes no longer than the options allow, and no time at all when
// there is nobody to ask.
func (f *Finder) Find(ctx context.Context, url string) (Found, bool) {
	if !icp.Askable(url) {
		return Found{}, false
	}
	r := f.choose(url)
	if r.found != nil {
		return Found{Sibling: *r.found, ByDigest: true}, true
	}
	if len(r.ask) == 0 {
		return Found{}, false
	}
	got := f.d.ICP.Query(ctx, url, r.ask, r.wait)
	if len(got.Silent) > 0 {
		f.silent(got.Silent)
	}
	for _, s := range r.siblings {
		if got.Hit.IsValid() && s.ICP == got.Hit {
			return Found{Sibling: s}, true
		}
	}
	return Found{}, false
}

// round is whom a miss concerns.
type round struct {
	siblings []Sibling
	ask      []netip.AddrPort
	wait     time.Duration
	found    *Sibling // by digest alone
}

// choose decides whom to ask, and for how long to wait.
func (f *Finder) choose(url string) round {
	r := round{siblings: f.d.Siblings()}
	if len(r.siblings) == 0 {
		return r
	}
	now := f.d.Clock()
	var mean time.Duration
	f.mu.Lock()
	defer f.mu.Unlock()
	sum := f.sum(url)
	for i := range r.siblings {
		s := &r.siblings[i]
		p := f.peer(s)
		if !p.health.usable(now) {
			continue
		}
		switch has := p.has(sum); {
		case f.o.Lookup == LookupDigest:
			if has == yes && r.found == nil {
				r.found = s
			}
			continue
		case f.d.ICP == nil || !s.ICP.IsValid():
			continue
		case has == no && f.o.Lookup == LookupBoth && len(r.siblings) >= f.o.DigestFrom:
			continue
		}
		r.ask = append(r.ask, s.ICP)
		mean += p.health.patience()
	}
	if len(r.ask) > 0 {
		mean /= time.Duration(len(r.ask))
		r.wait = min(max(mean, f.o.MinWait.D()), f.o.MaxWait.D())
	}
	return r
}

// answer of a digest.
type answer uint8

const (
	unknown answer = iota
	no
	yes
)

func (p *peer) has(sum uint64) answer {
	switch {
	case p.digests.filter == nil:
		return unknown
	case p.digests.filter.Has(sum):
		return yes
	}
	return no
}

// sum is what digests know of url; of no interest where they do not count. mu
// is held.
func (f *Finder) sum(url string) uint64 {
	if f.o.Lookup == LookupICP {
		return 0
	}
	return Sum(url)
}

// peer returns what is known of s. mu is held.
func (f *Finder) peer(s *Sibling) *peer {
	p := f.peers[s.ID]
	if p == nil {
		p = &peer{name: s.Name}
		f.peers[s.ID] = p
	}
	return p
}

// at finds the siblings with these addresses and calls fn for each. mu is not
// held.
func (f *Finder) at(addrs []netip.AddrPort, fn func(s *Sibling, p *peer)) {
	list := f.d.Siblings()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, addr := range addrs {
		for i := range list {
			if list[i].ICP == addr {
				fn(&list[i], f.peer(&list[i]))
			}
		}
	}
}

// silent notes who did not answer.
func (f *Finder) silent(addrs []netip.AddrPort) {
	now := f.d.Clock()
	f.at(addrs, func(_ *Sibling, p *peer) {
		p.counts.timeouts++
		p.health.silence(now)
	})
}

// Observe is told of each reply, late ones included; it is for icp.Deps.
func (f *Finder) Observe(r icp.Reply) {
	f.at([]netip.AddrPort{r.From}, func(s *Sibling, p *peer) {
		p.counts.answers[answerIndex(r.Opcode)]++
		if p.health.answered(r.Opcode, r.RTT) {
			f.d.Log.Info("sibling answers again", "sibling", s.Name, "icp", s.ICP, "rtt", r.RTT)
		}
	})
}

// Done is told how a fetch from a sibling ended.
func (f *Finder) Done(who Found, how Outcome) {
	now := f.d.Clock()
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.peer(&who.Sibling)
	p.counts.fetches[how]++
	p.health.fetched(how, now)
}

// Knows reports whether a datagram from addr is a sibling's; it is for icp.Deps.
func (f *Finder) Knows(addr netip.AddrPort) bool {
	for _, s := range f.d.Siblings() {
		if s.ICP == addr {
			return true
		}
	}
	return false
}

// IsSibling reports whether addr is that of a sibling's proxy or of its ICP.
func (f *Finder) IsSibling(addr netip.Addr) bool {
	addr = addr.Unmap()
	for _, s := range f.d.Siblings() {
		if s.ICP.Addr() == addr {
			return true
		}
		if at, err := netip.ParseAddrPort(s.Proxy); err == nil && at.Addr().Unmap() == addr {
			return true
		}
	}
	return false
}

// Stored is told of each key that has come into the store of this node.
func (f *Finder) Stored(key string) {
	if f.d.Digest != nil {
		f.d.Digest.Add(key)
	}
}

func answerIndex(o icp.Opcode) int {
	switch o {
	case icp.OpHit:
		return 0
	case icp.OpMiss:
		return 1
	case icp.OpMissNoFetch:
		return 2
	case icp.OpDenied:
		return 3
	}
	return 4
}

var answerNames = [5]string{"icp_hit", "icp_miss", "icp_miss_nofetch", "icp_denied", "icp_err"}

// PeerStats is what became of asking one sibling.
type PeerStats struct {
	Name     string
	RTT      time.Duration     // of ICP, smoothed; 0 when not known
	Usable   bool              // it is asked now
	Requests map[string]uint64 // by result: icp_hit, icp_timeout …, and of the fetches: hit, false_hit …
	Digest   int               // bytes that its digest takes here
}

// Stats returns a snapshot, one entry for each sibling known.
func (f *Finder) Stats() []PeerStats {
	now := f.d.Clock()
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []PeerStats
	for _, p := range f.peers {
		s := PeerStats{Name: p.name, RTT: p.health.rtt, Usable: p.health.usable(now), Requests: map[string]uint64{}, Digest: p.digests.filter.Size()}
		for i, name := range answerNames {
			s.Requests[name] = p.counts.answers[i]
		}
		s.Requests["icp_timeout"] = p.counts.timeouts
		for i, name := range outcomeNames {
			s.Requests[name] = p.counts.fetches[i]
		}
		all = append(all, s)
	}
	return all
}

// String names the sibling for people.
func (s Sibling) String() string { return fmt.Sprintf("%s (%s)", s.Name, s.Proxy) }
