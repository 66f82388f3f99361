package store

import (
	"context"
	"encoding/binary"
	"sync/atomic"
	"time"
)

// presence tells which keys the index may have, so that a miss does not ask
// badger: no means no, yes means perhaps. The keeper adds a key before the index
// gets it; what is deleted stays until the next rebuild.
type presence struct {
	now  atomic.Pointer[keySet] // nil: nothing is known, every key may be there
	next atomic.Pointer[keySet] // being filled to take its place; nil: none is
}

// has reports whether the index may have h.
func (p *presence) has(h hash) bool {
	set := p.now.Load()
	return set == nil || set.has(h)
}

func (p *presence) add(h hash) {
	for _, set := range []*keySet{p.now.Load(), p.next.Load()} {
		if set != nil {
			set.add(h)
		}
	}
}

// full reports that a rebuild would pay.
func (p *presence) full() bool {
	set := p.now.Load()
	return set == nil || set.n.Load() > set.room
}

// keySet is a Bloom filter of 64-bit blocks: a key sets four bits of one word, so
// that a look-up touches one cache line. With 16 bits for each key less than one
// in a hundred is found that was not added.
type keySet struct {
	words []atomic.Uint64
	n     atomic.Int64 // about how many keys have been added
	room  int64
}

const minKeySet = 1 << 16

func newKeySet(keys int64) *keySet {
	keys = max(keys, minKeySet)
	return &keySet{words: make([]atomic.Uint64, keys/4), room: keys}
}

// bits places h, which is as good as random.
func (s *keySet) bits(h hash) (word *atomic.Uint64, mask uint64) {
	at := binary.LittleEndian.Uint64(h[:8])
	which := binary.LittleEndian.Uint32(h[8:])
	for range 4 {
		mask |= 1 << (which & 63)
		which >>= 6
	}
	return &s.words[at%uint64(len(s.words))], mask
}

func (s *keySet) has(h hash) bool {
	word, mask := s.bits(h)
	return word.Load()&mask == mask
}

func (s *keySet) add(h hash) {
	word, mask := s.bits(h)
	if word.Or(mask)&mask != mask {
		s.n.Add(1)
	}
}

// learn makes a new set of what the index has now. The error is ctx's or the
// index's; what was known before still holds then.
func (d *disk) learn(ctx context.Context) error {
	p := &d.idx.known
	next := newKeySet(2 * d.s.n.objects.Load())
	p.next.Store(next)
	defer p.next.Store(nil)
	// What the keeper had under way without next must be there for the scan.
	if err := d.settle(ctx); err != nil {
		return err
	}
	for after := []byte(nil); ; {
		last, err := d.idx.hashes(after, keysChunk, next.add)
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if last == nil {
			break
		}
		after = last
	}
	p.now.Store(next)
	return nil
}

// runLearn learns what the index has, at the start and when much of what was
// known has been deleted.
func (d *disk) runLearn(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for {
		if d.idx.known.full() && !d.readOnly() {
			if err := d.learn(ctx); err != nil && ctx.Err() == nil {
				d.log.Debug("the keys of the index are not known yet", "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
