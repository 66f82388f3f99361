package proxy

import (
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/cachenode/cachenode/cache"
	"github.com/cachenode/cachenode/internal/leash"
	"github.com/cachenode/cachenode/proxy/upstream"
)

// flight is one fetch and everybody who waits for it. It runs on the goroutine of
// the client that began it until the body has to be waited for, then, or from the
// start where there is no such client to wait, on one of its own. That belongs to
// Proxy.fetch and outlives the client when it is worth it.
type flight struct {
	p     *Proxy
	fill  fill
	name  flightName // zero: nobody else may join
	epoch uint64     // of its key when it began
	ctx   leash.Leash
	infos chan interim // informational responses for whoever began it; nil: they go to hints
	head  event        // outcome is there
	done  event        // the fetch has ended
	outcome
	body  spool
	hints hints // for the client on whose goroutine it runs

	// For the flight's goroutine alone.
	request http.Request // to the origin
	in      intake
	pieces  merge
	through *through // the body, for whoever began the fetch; nil: it goes into body

	readers int  // guarded by flights.mu: exchanges that use it
	behind  bool // guarded by flights.mu: it refreshes a stored response, readers or not
	left    bool // guarded by flights.mu: who began it does not use it any more
	ended   bool // guarded by flights.mu: its goroutine is through
	slot    bool // guarded by flights.mu: it holds one of background, for a client that left
}

// outcome is what a fetch found, fixed when head closes.
type outcome struct {
	err       error
	status    int
	header    http.Header    // what to relay: less hop-by-hop fields
	length    int64          // of the body, -1 when not known
	trailer   http.Header    // complete when the body has ended
	meta      *cache.Meta    // how to serve others from it; nil: it is this client's alone
	validated bool           // meta is the stored response, found still good
	found     bool           // meta is a stored response that needed no fetch
	borrowed  bool           // a sibling has it
	stored    bool           // it goes into the store, or what it freshened did
	why       cache.Reason   // of storing or not
	route     upstream.Route // where it was fetched
}

// interim is an informational response.
type interim struct {
	code   int
	header http.Header
}

// flightName is what makes fetches equal.
type flightName struct {
	key     string
	variant string // of the response to validate, empty on a miss
}

// epochSlots is how many keys' invalidations are told apart.
const epochSlots = 4096

// flights are the fetches that others may join.
type flights struct {
	mu         sync.Mutex // guards the next three
	by         map[flightName]*flight
	all        map[*flight]struct{} // also those that nobody may join
	over       bool                 // every fetch is to end
	maxWaiters int
	background chan struct{} // a slot for each refresh behind clients
	alone      [4096]atomic.Uint64
	epochs     [epochSlots]atomic.Uint64 // how often keys of this hash were invalidated
	purges     atomic.Uint64
	landings   [epochSlots]atomic.Uint64 // how often something was stored for keys of this hash
	outdated   [epochSlots]atomic.Int64  // when responses for keys of this hash were found to be so, Unix nanoseconds
}

func (f *flights) init(o FillOptions) {
	f.by = map[flightName]*flight{}
	f.all = map[*flight]struct{}{}
	f.maxWaiters = o.MaxWaiters
	f.background = make(chan struct{}, o.MaxBackground)
}

// join returns the flight for f, and whether it was there before; nil when too
// many wait for it already. One that was not there is to be started by whoever
// called.
func (p *Proxy) join(f fill) (fl *flight, joined bool) {
	name := f.name()
	p.flights.mu.Lock()
	defer p.flights.mu.Unlock()
	if f.alone || name.key == "" {
		return p.launch(f, flightName{}), false
	}
	if fl = p.flights.by[name]; fl != nil {
		if fl.readers >= p.flights.maxWaiters {
			return nil, false
		}
		fl.readers++
		return fl, true
	}
	fl = p.launch(f, name)
	p.flights.by[name] = fl
	return fl, false
}

// launch makes a flight with one reader, which owns f.base from now on. flights.mu
// is held.
func (p *Proxy) launch(f fill, name flightName) *flight {
	fl := &flight{p: p, fill: f, name: name, epoch: p.flights.epoch(f.req.Key), readers: 1}
	fl.body.size, fl.body.owner = int(p.o.Fill.Buffer), fl
	fl.in.fl = fl
	p.flights.all[fl] = struct{}{}
	if p.flights.over {
		fl.ctx.Cancel()
	}
	p.fetch.Add(1)
	return fl
}

// start makes the fetch on a goroutine of its own.
func (fl *flight) start() { go fl.run() }

// cancelAll ends all fetches, those that begin later too.
func (f *flights) cancelAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over = true
	for fl := range f.all {
		fl.ctx.Cancel()
	}
}

// wait blocks until the outcome is there or ctx ends, and hands informational
// responses to inform meanwhile, unless that is nil.
func (fl *flight) wait(ctx context.Context, inform func(int, http.Header)) error {
	infos := fl.infos
	if inform == nil {
		infos = nil
	}
	for head := fl.head.wait(); ; {
		select {
		case i := <-infos:
			inform(i.code, i.header)
		case <-head:
			for {
				select {
				case i := <-infos:
					inform(i.code, i.header)
				default:
					return nil
				}
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// abandon is leave for the exchange that began the flight, once.
func (fl *flight) abandon() {
	fs := &fl.p.flights
	fs.mu.Lock()
	left := fl.left
	fl.left = true
	fs.mu.Unlock()
	if !left {
		fl.leave()
	}
}

// leave ends one exchange's use of the flight. The last one to leave ends the
// fetch, unless completing it is worth it.
func (fl *flight) leave() {
	fs := &fl.p.flights
	fs.mu.Lock()
	fl.readers--
	fl.reconsider()
	free := fl.readers == 0 && fl.ended
	fs.mu.Unlock()
	if free {
		fl.free()
	}
	if fl.fill.body != nil {
		<-fl.done.wait()
		fl.fill.body.stop() // it must not be read after the handler returned
	}
}

// stayBehind keeps the fetch going when its client has left; it is to be called
// by the one who began it.
func (fl *flight) stayBehind() {
	fl.p.flights.mu.Lock()
	fl.behind = true
	fl.p.flights.mu.Unlock()
}

// review reconsiders a fetch about which something new is known.
func (fl *flight) review() {
	fl.p.flights.mu.Lock()
	fl.reconsider()
	fl.p.flights.mu.Unlock()
}

// reconsider ends a fetch that nobody reads and that is not worth completing.
// flights.mu is held.
func (fl *flight) reconsider() {
	if fl.readers == 0 && !fl.ended && (!fl.worthCompleting() || !fl.takeSlot()) {
		fl.forget()
		fl.ctx.Cancel()
	}
}

// takeSlot counts the flight among those that go on for nobody; false when
// there are enough of them. flights.mu is held.
func (fl *flight) takeSlot() bool {
	if fl.behind || fl.slot {
		return true
	}
	select {
	case fl.p.flights.background <- struct{}{}:
		fl.slot = true
	default:
	}
	return fl.slot
}

// land ends the flight's own use of itself.
func (fl *flight) land() {
	fs := &fl.p.flights
	fs.mu.Lock()
	fl.ended = true
	fl.forget()
	delete(fs.all, fl)
	free, slot := fl.readers == 0, fl.slot
	fs.mu.Unlock()
	if slot {
		<-fs.background
	}
	fl.ctx.Cancel()
	fl.done.happen()
	if free {
		fl.free()
	}
	fl.p.fetch.Done()
}

// close keeps others from joining.
func (fl *flight) close() {
	fl.p.flights.mu.Lock()
	fl.forget()
	fl.p.flights.mu.Unlock()
}

// forget is close while flights.mu is held.
func (fl *flight) forget() {
	if fl.p.flights.by[fl.name] == fl {
		delete(fl.p.flights.by, fl.name)
	}
}

// free gives back what the flight holds; nobody reads from it any more.
func (fl *flight) free() {
	if fl.body.w != nil {
		fl.body.w.Close()
	}
	if fl.fill.base != nil {
		fl.fill.base.Release()
	}
}

// worthCompleting decides whether a fetch that nobody waits for goes on: it
// will be stored, and little enough of it is missing or it was begun for the
// store alone. flights.mu is held.
func (fl *flight) worthCompleting() bool {
	if !fl.head.happened() {
		return fl.behind
	}
	if fl.err != nil || !fl.stored || fl.fill.body != nil {
		return false
	}
	fl.body.mu.Lock()
	got, lost := fl.body.end, fl.body.lost
	fl.body.mu.Unlock()
	o := &fl.p.o.Fill
	switch {
	case lost:
		return false
	case fl.behind:
		return true
	case fl.length < 0:
		return false
	}
	return fl.length-got <= int64(o.CompleteMissing) && o.CompleteMissing > 0 ||
		o.CompletePercent > 0 && got >= fl.length/100*int64(o.CompletePercent)
}

// epoch changes whenever key is invalidated, by a collision for nothing: that
// costs one response that is not stored.
func (f *flights) epoch(key string) uint64 {
	return f.epochs[epochSlot(key)].Load() + f.purges.Load()
}

// sighting says what a request saw of the store: whatever has landed since then,
// it does not know of.
type sighting struct {
	made     bool
	landings uint64
}

// look is to be called before the store is looked at.
func (f *flights) look(key string) sighting {
	return sighting{true, f.landings[epochSlot(key)].Load()}
}

// fresh reports that nothing for key has been stored since s was made.
func (f *flights) fresh(key string, s sighting) bool { return s == f.look(key) }

// landed notes that something was stored for key.
func (f *flights) landed(key string) { f.landings[epochSlot(key)].Add(1) }

func epochSlot(key string) uint64 { return xxh3.HashString(key) % epochSlots }

// Unshare keeps the fetches under way from being stored, and from being joined
// by requests that come later: what they fetch may have been purged meanwhile.
// A purge calls it before, for those that would be stored behind it, and after,
// for those that began during it.
func (p *Proxy) Unshare() {
	f := &p.flights
	f.purges.Add(1)
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.by)
}

// outdate notes that what there is of key up to now is not what its origin
// answers any more, wherever it is kept.
func (f *flights) outdate(key string, now time.Time) {
	f.outdated[epochSlot(key)].Store(now.UnixNano())
}

// isOutdated reports whether a response for key that its origin made at this
// time is known not to hold any more; by a collision of one that does.
func (f *flights) isOutdated(key string, made time.Time) bool {
	return made.UnixNano() <= f.outdated[epochSlot(key)].Load()
}

// drop keeps every flight of key from being stored, and from being joined by
// requests that come after the key was invalidated.
func (f *flights) drop(key string) {
	f.epochs[epochSlot(key)].Add(1)
	f.mu.Lock()
	defer f.mu.Unlock()
	for name := range f.by {
		if name.key == key {
			delete(f.by, name)
		}
	}
}

// wasAlone reports whether the last response for key could not be shared, so
// that requests for it had better not queue behind each other in vain. It is a
// hint: a collision costs one fetch.
func (f *flights) wasAlone(key string) bool {
	h := xxh3.HashString(key)
	return f.alone[h%uint64(len(f.alone))].Load() == h
}

// remember notes for wasAlone how a fetch turned out, and lets nobody join one
// that cannot be shared.
func (f *flights) remember(fl *flight) {
	h := xxh3.HashString(fl.fill.req.Key)
	slot := &f.alone[h%uint64(len(f.alone))]
	if fl.stored {
		slot.CompareAndSwap(h, 0)
		return
	}
	slot.Store(h)
	fl.close()
}

// errAbandoned is the error of a body whose fetch was cancelled.
var errAbandoned = io.ErrClosedPipe
