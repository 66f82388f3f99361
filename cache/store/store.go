// Package store keeps the cache's objects in append-only segment files under an
// exact quota, where each is and what it is selected by in a badger index, and the
// most useful small objects whole in memory. It decides nothing about HTTP; package
// cache does.
//
// Layout of the data directory:
//
//	store.lock            held by the process that has the store open
//	index/                badger: one value per key with the records of its variants
//	segments/0…0.seg      a segment holds many small objects, bodies and metadata
//	segments/0…0.obj      or the body of one large one, whose metadata the index has
//	segments/state        format, hash seed, start counter, last known totals
//	segments/purges       purges that are not swept yet
//
// The way of a small object: Commit puts it into the pending overlay of its
// shard, from where it is served at once; one keeper goroutine appends its body
// and metadata to the open segment, then writes its record, then hands it to the
// memory tier and takes it off the overlay. So a record never points to what the
// kernel does not have, and no request waits for badger. Updated metadata go into
// the record, as a segment is never changed.
package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cachenode/cachenode/cache"
)

// Store is a cache.Store in two tiers. It is safe for concurrent use.
type Store struct {
	o   Options
	log *slog.Logger
	now func() time.Time

	shards  [shardCount]shard
	pending atomic.Int64 // keys in all overlays
	mem     *memory      // nil: no memory tier
	disk    *disk        // nil: no disk tier
	purges  *purgeList
	ids     idSource
	leases  leases
	// building counts the memory of bodies that are being written.
	building atomic.Int64
	seed     uint64 // of the key hash
	n        counters

	closeOnce sync.Once
	closeErr  error
}

var (
	_ cache.Store  = (*Store)(nil)
	_ cache.Peeker = (*Store)(nil)
)

// indexMemory is what a store without a memory tier takes for what it knows of
// the objects that it was asked for last, in bytes: to read that from the index
// costs more than to read a small body from its segment.
const indexMemory = 16 << 20

// New opens the store in o.Dir, creating it when it is not there. A damaged or
// foreign store is set aside and an empty one takes its place. The error is a
// *LockedError when another process has the directory, a *DirError when it
// cannot be written.
func New(o Options, log *slog.Logger) (*Store, error) { return open(o, log, time.Now) }

func open(o Options, log *slog.Logger, now func() time.Time) (*Store, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	s := &Store{o: o, log: log, now: now, purges: newPurgeList()}
	for i := range s.shards {
		s.shards[i].init()
	}
	if o.Memory > 0 {
		s.mem = newMemory(int64(o.Memory), o.memoryMaxObject())
	} else if o.Disk > 0 {
		s.mem = newMemory(indexMemory, -1)
	}
	if o.Disk > 0 {
		d, err := openDisk(s)
		if errors.Is(err, errNoRoom) {
			log.Error("disk tier is off until the next start", "dir", o.Dir, "err", err)
			if o.Memory == 0 {
				s.mem.close()
				s.mem = nil
			}
			return s, nil
		}
		if err != nil {
			s.mem.close()
			return nil, fmt.Errorf("open store %s: %w", o.Dir, err)
		}
		s.disk = d
	}
	return s, nil
}

// Run does the work behind: sweeping, scrubbing and watching the space. It
// returns when ctx is done.
func (s *Store) Run(ctx context.Context) error {
	if s.disk == nil {
		<-ctx.Done()
		return nil
	}
	return s.disk.run(ctx)
}

// Close writes out what is pending and closes the store. Objects that readers
// still hold stay readable.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		if s.disk != nil {
			s.closeErr = s.disk.close()
		}
		s.mem.close()
	})
	return s.closeErr
}

// Lookup implements cache.Store. The slice is shared: it must not be changed.
func (s *Store) Lookup(key string) []cache.Object {
	h := s.hash(key)
	if e := s.settled(h); e != nil && e.objs != nil && e.key == key {
		s.n.memoryHits.Add(1)
		return e.objs
	}
	return s.lookupSlow(h, key)
}

// Peek implements cache.Peeker: it knows the keys that the memory tier has,
// wherever their bodies are, and which nothing is changing.
func (s *Store) Peek(key string) []cache.Object {
	h := s.hash(key)
	e := s.settled(h)
	if e == nil {
		return nil
	}
	e.prefetch()
	switch {
	case e.key != key || e.bare:
		return nil
	case e.objs != nil:
		s.n.memoryHits.Add(1)
		return e.objs
	}
	objs, gone := s.open(h, e.vars)
	if gone { // for Lookup to clear up
		for _, o := range objs {
			o.Release()
		}
		return nil
	}
	s.count(objs)
	return objs
}

// settled is what the memory tier has of h, nil when there may be more to know.
func (s *Store) settled(h hash) *entry {
	if s.purges.active() || s.pending.Load() != 0 && s.shard(h).dirty(h) {
		return nil
	}
	return s.mem.get(h)
}

// lookupSlow merges the overlay with what the tiers have.
func (s *Store) lookupSlow(h hash, key string) []cache.Object {
	objs, gone := s.merged(h, key)
	if gone {
		// The memory tier or the index lags behind an eviction, or a crash left a
		// record that points to nothing.
		for _, o := range objs {
			o.Release()
		}
		s.forget(h)
		s.disk.sweepWanted.Store(true)
		objs, _ = s.merged(h, key)
	}
	s.count(objs)
	return objs
}

// count counts a look-up.
func (s *Store) count(objs []cache.Object) {
	if len(objs) == 0 {
		s.n.misses.Add(1)
		return
	}
	for _, o := range objs {
		if o.Tier() == cache.TierDisk {
			s.n.diskHits.Add(1)
			return
		}
	}
	s.n.memoryHits.Add(1)
}

// merged opens what there is of key. gone says that a variant of which the tiers
// know was not there.
func (s *Store) merged(h hash, key string) (objs []cache.Object, gone bool) {
	sh := s.shard(h)
	alone, changes, gen := sh.snapshot(h)
	defer letGo(changes)
	var e *entry
	var base []*variant
	if !alone {
		if e = s.base(h, key); e != nil {
			base = e.vars
		}
	}
	objs, gone = s.open(h, s.visible(key, apply(base, changes)))
	if e != nil && len(changes) == 0 && len(objs) == len(base) {
		s.learnt(h, e, objs, gen)
	}
	return objs, gone && len(base) > 0
}

// learnt offers the memory tier what a look-up had to read: objs are of all of e.
func (s *Store) learnt(h hash, e *entry, objs []cache.Object, gen uint64) {
	if e.bare {
		vars := make([]*variant, len(objs))
		for i, o := range objs {
			vars[i] = variantOf(o)
		}
		e = newEntry(vars)
	} else if !e.fromDisk {
		return
	}
	s.publish(h, e, gen)
}

// visible leaves out variants of other keys with the same hash, and purged ones.
func (s *Store) visible(key string, vars []*variant) []*variant {
	hidden := func(v *variant) bool {
		return v.rec.meta.Key != key || s.purges.matches(key, v.rec.id)
	}
	if !slices.ContainsFunc(vars, hidden) {
		return vars
	}
	return slices.DeleteFunc(slices.Clone(vars), hidden)
}

// base returns what is known of key apart from the overlay.
func (s *Store) base(h hash, key string) *entry {
	if e := s.mem.get(h); e != nil {
		if e.key != key {
			return nil // another key of the same hash
		}
		return e
	}
	if s.disk == nil {
		return nil
	}
	e, err := s.disk.load(h)
	if err != nil || e == nil || e.key != key {
		return nil
	}
	return e
}

// open makes objects of variants. gone says that the entry of one was not there.
func (s *Store) open(h hash, vars []*variant) (objs []cache.Object, gone bool) {
	for _, v := range vars {
		if v.lease != nil {
			v.lease.hold()
			objs = append(objs, leasedObject{v})
			continue
		}
		if v.whole() {
			objs = append(objs, v)
			continue
		}
		sg := s.disk.segs.pin(v.rec.loc.seg)
		if sg != nil && !sg.holds(&v.rec) {
			s.disk.segs.unpin(sg)
			sg = nil
		}
		if sg == nil {
			gone = true
			continue
		}
		o := &diskObject{s: s, h: h, v: v, sg: sg}
		if v.rec.bare && o.complete(len(vars) == 1) != nil {
			s.disk.segs.unpin(sg)
			continue
		}
		if len(vars) == 1 { // no slice beside it
			o.one[0] = o
			return o.one[:], false
		}
		objs = append(objs, o)
	}
	return objs, gone
}

// publish offers an entry to the memory tier unless the key changed since gen.
func (s *Store) publish(h hash, e *entry, gen uint64) {
	if s.mem == nil {
		return
	}
	sh := s.shard(h)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.gen == gen && sh.keys[h] == nil {
		s.mem.set(h, e)
	}
}

// forget drops what the memory tier has of h.
func (s *Store) forget(h hash) {
	sh := s.shard(h)
	sh.mu.Lock()
	sh.gen++
	s.mem.delete(h)
	sh.mu.Unlock()
}

// Create implements cache.Store.
func (s *Store) Create(m *cache.Meta) (cache.Writer, error) {
	if s.mem == nil && s.disk == nil {
		return nil, cache.ErrFull
	}
	size := metaSize(m)
	if m.Length > s.maxObject() || size > maxMeta {
		return nil, cache.ErrTooLarge
	}
	if s.disk != nil && s.disk.readOnly() {
		return nil, cache.ErrFull
	}
	return newWriter(s, m, size), nil
}

// maxObject is the longest body that can be kept.
func (s *Store) maxObject() int64 {
	if s.disk == nil {
		return s.mem.maxObject
	}
	return s.disk.maxObject
}

// commit makes v visible; its body is nil when it lies in a segment already, and may
// lie in a frame.
func (s *Store) commit(h hash, v *variant, f *flight, frame []byte) error {
	sh := s.shard(h)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if f.deleted || s.purges.matches(v.rec.meta.Key, v.rec.id) {
		return errOvertaken
	}
	sh.gen++
	if s.disk == nil {
		s.mem.commit(h, v)
		return nil
	}
	p := s.overlay(sh, h)
	c := &change{kind: changePut, v: v, frame: frame}
	v.lease.hold() // for the overlay
	p.add(c)
	v.lease.hold() // for the op
	err := s.disk.enqueue(op{h: h, c: c})
	if err != nil {
		v.lease.drop()
	}
	return err
}

// overlay returns the overlay of h; sh.mu is held.
func (s *Store) overlay(sh *shard, h hash) *overlay {
	p := sh.keys[h]
	if p == nil {
		p = &overlay{}
		sh.keys[h] = p
		s.pending.Add(1)
	}
	return p
}

// Update implements cache.Store.
func (s *Store) Update(o cache.Object, m *cache.Meta) error {
	v := variantOf(o)
	if v == nil {
		return fmt.Errorf("update: not an object of this store: %T", o)
	}
	if metaSize(m) > maxMeta {
		return cache.ErrTooLarge
	}
	if m.Length != v.rec.meta.Length || m.Key != v.rec.meta.Key {
		return errors.New("update: key and length of a stored object cannot change")
	}
	nv := v.withMeta(m)
	if nv.lease != nil {
		nv.body, nv.lease = nil, nil // an update has no use for it
	}
	h := s.hash(m.Key)
	sh := s.shard(h)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.gen++
	if s.disk == nil {
		s.mem.update(h, nv)
		return nil
	}
	if s.disk.readOnly() {
		return cache.ErrFull
	}
	c := &change{kind: changeUpdate, v: nv}
	s.overlay(sh, h).add(c)
	return s.disk.enqueue(op{h: h, c: c})
}

// Delete implements cache.Store. It returns when the deletion would survive
// the death of the process.
func (s *Store) Delete(key string) bool {
	h := s.hash(key)
	known, pending := s.hide(h, key)
	if s.disk == nil {
		return known
	}
	if !known && !pending {
		if e, err := s.disk.load(h); err == nil && e == nil {
			return false
		}
	}
	done := make(chan answer, 1)
	if s.wipe(h, done) == nil {
		a := <-done
		if !a.refused {
			return known || a.known
		}
	}
	s.purgeLater(purge{kind: purgeURL, pattern: key})
	return true
}

// hide takes key out of the memory tier and stops what is in flight.
func (s *Store) hide(h hash, key string) (known, pending bool) {
	sh := s.shard(h)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.gen++
	if f := sh.flights[h]; f != nil {
		f.deleted = true
		delete(sh.flights, h)
	}
	if e := s.mem.get(h); e != nil && e.key == key {
		known = len(e.vars) > 0
	}
	s.mem.delete(h)
	if p := sh.keys[h]; p != nil {
		pending = true
		known = known || len(p.changes) > 0
	}
	return known, pending
}

// wipe voids all that is stored of h; done is answered when the index knows.
func (s *Store) wipe(h hash, done chan<- answer) error {
	sh := s.shard(h)
	sh.mu.Lock()
	p := s.overlay(sh, h)
	gone := p.wipe()
	sh.gen++
	s.mem.delete(h)
	err := s.disk.enqueue(op{h: h, done: done})
	sh.mu.Unlock()
	for _, c := range gone {
		s.disk.release(c)
		s.disk.dropOwn(c)
	}
	return err
}

// drop removes one damaged object.
func (s *Store) drop(h hash, v *variant) {
	s.n.corrupt.Add(1)
	sh := s.shard(h)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.gen++
	s.mem.delete(h)
	c := &change{kind: changeDrop, v: v}
	s.overlay(sh, h).add(c)
	if err := s.disk.enqueue(op{h: h, c: c}); err != nil {
		s.log.Warn("damaged object stays in the index", "key", v.rec.meta.Key, "err", err)
	}
}
