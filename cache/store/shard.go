package store

import (
	"slices"
	"sync"

	"github.com/zeebo/xxh3"

	"github.com/cachenode/cachenode/cache"
)

// hash stands for a primary key, in the index and in memory. Two keys may share
// one, so whoever finds something under it compares the key.
type hash [16]byte

func (s *Store) hash(key string) hash {
	return xxh3.HashString128Seed(key, s.seed).Bytes()
}

const shardCount = 512

// shard holds what is changing of the keys that fall to it.
type shard struct {
	mu      sync.RWMutex      // guards all below, and the order of changes to these keys in the memory tier
	keys    map[hash]*overlay // changes that the index does not have yet
	flights map[hash]*flight  // objects being written
	gen     uint64            // counts changes: a reader that saw another value may not fill the memory tier
}

func (sh *shard) init() {
	sh.keys = map[hash]*overlay{}
	sh.flights = map[hash]*flight{}
}

func (s *Store) shard(h hash) *shard {
	return &s.shards[(uint(h[0])|uint(h[1])<<8)%shardCount]
}

// dirty reports whether the overlay has h.
func (sh *shard) dirty(h hash) bool {
	sh.mu.RLock()
	_, ok := sh.keys[h]
	sh.mu.RUnlock()
	return ok
}

// snapshot returns the changes of h that the index lacks, and whether these are
// all there is. Their bodies are held; letGo ends that.
func (sh *shard) snapshot(h hash) (alone bool, changes []*change, gen uint64) {
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	if p := sh.keys[h]; p != nil {
		for _, c := range p.changes {
			c.v.lease.hold() // as the overlay does, until somebody has mu for himself
		}
		return p.wiped, p.changes, sh.gen
	}
	return false, nil, sh.gen
}

// letGo ends what snapshot began.
func letGo(changes []*change) {
	for _, c := range changes {
		c.v.lease.drop()
	}
}

// flight is the writers of one key that began since its last Delete.
type flight struct {
	key     string
	n       int
	deleted bool // guarded by the shard's mu
}

// takeOff registers a writer of h.
// own is used where there is no flight yet.
func (sh *shard) takeOff(h hash, key string, own *flight) *flight {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	f := sh.flights[h]
	if f == nil {
		f = own
		f.key = key
		sh.flights[h] = f
	}
	f.n++
	return f
}

// land ends what takeOff began.
func (sh *shard) land(h hash, f *flight) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if f.n--; f.n == 0 && sh.flights[h] == f {
		delete(sh.flights, h)
	}
}

// overlay is the list of changes of one key, oldest first, and whether all that
// the index has is void. The list only grows at its end or is replaced, so a
// snapshot of it stays valid.
type overlay struct {
	wiped   bool
	wipes   int // how often it was wiped
	changes []*change
	room    [1]*change // for the first
}

func (p *overlay) add(c *change) {
	if p.changes == nil && p.room[0] == nil {
		p.changes = p.room[:0]
	}
	p.changes = append(p.changes, c)
}

// wipe voids all and returns the changes that were to come. Who takes a change
// off an overlay releases what it holds.
func (p *overlay) wipe() []*change {
	gone := p.changes
	p.wiped = true
	p.wipes++
	p.changes = nil
	return gone
}

// remove takes one change off; false: it was not there any more.
func (p *overlay) remove(c *change) bool {
	n := len(p.changes)
	p.changes = slices.DeleteFunc(slices.Clone(p.changes), func(o *change) bool { return o == c })
	return len(p.changes) < n
}

type changeKind uint8

const (
	changePut    changeKind = iota // v replaces the variant with the same Vary
	changeUpdate                   // v's metadata replaces those of the same id
	changeDrop                     // the variant of the same id goes
)

// change is one change of a key.
type change struct {
	kind changeKind
	v    *variant

	// For the keeper alone.
	frame  []byte // that v's body lies in, until it is placed; nil: none
	loc    place
	apart  int    // length of the metadata behind the body
	sum    uint64 // of a body of one block
	placed bool   // the entry is in its segment
}

// apply returns base after changes. Neither is changed.
func apply(base []*variant, changes []*change) []*variant {
	if len(changes) == 0 {
		return base
	}
	vars := slices.Clone(base)
	for _, c := range changes {
		vars = c.apply(vars)
	}
	return vars[:min(len(vars), cache.MaxVariants)]
}

func (c *change) apply(vars []*variant) []*variant {
	v := c.v
	i := slices.IndexFunc(vars, func(o *variant) bool { return o.rec.id == v.rec.id })
	switch c.kind {
	case changeDrop:
		if i >= 0 {
			vars = slices.Delete(vars, i, i+1)
		}
		return vars
	case changeUpdate:
		if i < 0 {
			return vars
		}
		v = vars[i].withMeta(v.rec.meta) // the body may have moved meanwhile
	}
	vars = slices.DeleteFunc(vars, func(o *variant) bool {
		return o.rec.id == v.rec.id || slices.Equal(o.rec.meta.Vary, v.rec.meta.Vary) ||
			o.rec.meta.Key != v.rec.meta.Key
	})
	return slices.Insert(vars, 0, v)
}
