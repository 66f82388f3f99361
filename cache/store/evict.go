package store

import (
	"errors"
	"io"
	"os"

	"github.com/cachenode/cachenode/cache"
)

// found is an entry met in a segment.
type found struct {
	header
	off int64
}

// walkWindow is how much of a segment is read at a time to find its entries.
const walkWindow = 256 << 10

// walk calls fn for each entry of a pinned segment, in the order of the file.
// It ends at the first bytes that are no entry.
func walk(sg *segment, fn func(found) bool) error {
	window := make([]byte, 0, walkWindow)
	start := int64(0) // of the window
	for off := int64(0); ; {
		if off < start || off+headerSize > start+int64(len(window)) {
			n, err := sg.ReadAt(window[:cap(window)], off)
			if err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			window, start = window[:n], off
			if n < headerSize {
				return nil
			}
		}
		e, err := parseHeader(window[off-start:])
		if err != nil {
			return nil
		}
		if !fn(found{header: e, off: off}) {
			return nil
		}
		off += e.size()
	}
}

// maxEvictions bounds the segments that one need for room may cost.
const maxEvictions = 64

// makeRoom evicts the oldest segments until n more bytes fit into the quota and
// on the disk.
func (k *keeper) makeRoom(n int64) error {
	for range maxEvictions {
		room := k.d.space.look(n + k.d.memtable)
		if room && k.d.segs.bytes.Load()+n <= k.d.budget() {
			return nil
		}
		sg := k.d.segs.oldest(k.sg)
		if sg == nil {
			break
		}
		k.evict(sg, room)
	}
	return cache.ErrFull
}

// evict removes a segment. Objects that were hit since they were written get a
// second chance, when chance says so and as far as there is room for them.
func (k *keeper) evict(sg *segment, chance bool) {
	k.d.s.n.evictions.Add(1)
	if k.d.space.look(0) {
		if sg.own {
			if chance && sg.wasHit(0) && k.renew(sg) {
				return
			}
			chance = false
		}
		k.vacate(sg, chance)
	} else {
		k.d.sweepWanted.Store(true) // the index cannot be written now
	}
	k.d.dropSegment(sg)
}

// vacate saves the survivors of sg and takes the others off the index.
func (k *keeper) vacate(sg *segment, chance bool) {
	if k.d.segs.pin(sg.seq) == nil {
		return
	}
	defer k.d.segs.unpin(sg)
	var keys []hash
	moves := map[place]place{}
	err := each(sg, func(h hash, off int64) {
		keys = append(keys, h)
		if chance && sg.wasHit(off) {
			if to, ok := k.survive(sg, h, off); ok {
				moves[place{sg.seq, off}] = to
			}
		}
	})
	if err != nil {
		k.d.failed("read", err)
	}
	if len(moves) > 0 && !k.flush() {
		clear(moves)
	}
	k.relocate(keys, sg, moves)
}

// survive appends an entry to the open segment again.
func (k *keeper) survive(sg *segment, h hash, off int64) (place, bool) {
	v := k.find(h, place{sg.seq, off})
	if v == nil {
		return place{}, false
	}
	size := header{length: v.rec.meta.Length, apart: v.rec.apart}.size()
	if k.sg == nil || size > k.chance || !k.fits(size) {
		return place{}, false
	}
	body, apart, err := readEntry(sg, h, &v.rec)
	if err != nil {
		k.d.s.n.corrupt.Add(1)
		return place{}, false
	}
	to, err := k.appendEntry(h, v.rec.id, body, apart, nil, nil)
	if err != nil {
		return place{}, false
	}
	k.chance -= size
	k.d.s.n.survivors.Add(1)
	return to, true
}

// readEntry reads the body of r, and its metadata where they are apart.
func readEntry(sg *segment, h hash, rec *record) (body, apart []byte, err error) {
	body = make([]byte, rec.meta.Length)
	r := newBodyReader(sg, rec)
	defer r.close()
	if _, err := r.ReadAt(body, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	if rec.apart > 0 {
		apart, err = readApart(sg, h, rec)
	}
	return body, apart, err
}

// find returns the variant that is at loc, nil when it has been replaced,
// deleted or purged.
func (k *keeper) find(h hash, loc place) *variant {
	e, err := k.d.load(h)
	if err != nil || e == nil {
		return nil
	}
	for _, v := range e.vars {
		if v.rec.loc == loc && !k.d.s.purges.matches(e.key, v.rec.id) {
			return v
		}
	}
	return nil
}

// relocate changes the records that point into sg: to their new places, or out
// of the index.
func (k *keeper) relocate(keys []hash, sg *segment, moves map[place]place) {
	if err := k.d.checkSpace(0); err != nil {
		k.d.sweepWanted.Store(true)
		return
	}
	for len(keys) > 0 {
		n := min(len(keys), batchKeys)
		if err := k.relocateSome(keys[:n], sg, moves); err != nil {
			k.d.failed("write index", err)
			k.d.sweepWanted.Store(true)
			return
		}
		keys = keys[n:]
	}
}

func (k *keeper) relocateSome(keys []hash, sg *segment, moves map[place]place) error {
	b := k.d.idx.newBatch()
	defer b.discard()
	done := make(map[hash]keyChange, len(keys))
	for _, h := range keys {
		if _, again := done[h]; again {
			continue
		}
		e, err := k.d.load(h)
		if err != nil || e == nil {
			continue
		}
		kc := keyChange{h: h, before: e.vars, after: k.moved(e.vars, sg, moves)}
		if kc.after == nil {
			continue
		}
		if err := b.put(h, kc.after); err != nil {
			return err
		}
		done[h] = kc
	}
	if err := b.commit(); err != nil {
		return err
	}
	for h, kc := range done {
		k.account(&kc)
		k.d.s.moved(h, kc.after)
	}
	return nil
}

// moved is vars with the new places, less those that stay behind in sg; nil
// when none of vars is there.
func (k *keeper) moved(vars []*variant, sg *segment, moves map[place]place) []*variant {
	after, touched := make([]*variant, 0, len(vars)), false
	for _, v := range vars {
		if v.rec.loc.seg != sg.seq {
			after = append(after, v)
			continue
		}
		touched = true
		if to, ok := moves[v.rec.loc]; ok {
			after = append(after, v.at(to, k.d.segs.get(to.seg)))
		}
	}
	if !touched {
		return nil
	}
	return after
}

// moved tells the memory tier of new places.
func (s *Store) moved(h hash, vars []*variant) {
	sh := s.shard(h)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.gen++
	s.mem.relocate(h, vars)
}

// renew gives a large object its second chance: a new name at the young end.
func (k *keeper) renew(sg *segment) bool {
	var e found
	if k.d.segs.pin(sg.seq) == nil {
		return false
	}
	err := walk(sg, func(f found) bool { e = f; return false })
	k.d.segs.unpin(sg)
	if err != nil || e.length == 0 || k.find(e.h, place{seg: sg.seq}) == nil {
		return false
	}
	seq := k.d.segs.nextSeq.Add(1)
	young := newSegment(seq, k.d.segs.path(seq, ownSuffix), true, sg.gran*int64(len(sg.hits)*64))
	if err := os.Link(sg.path, young.path); err != nil {
		return false
	}
	k.d.segs.add(young)
	if err := k.relocateSome([]hash{e.h}, sg, map[place]place{{seg: sg.seq}: {seg: seq}}); err != nil {
		k.d.failed("write index", err)
		k.d.dropSegment(young)
		return false
	}
	k.d.dropSegment(sg) // account has done so when it was the last record
	k.d.segs.grow(young, sg.size.Load())
	k.d.s.n.survivors.Add(1)
	return true
}
