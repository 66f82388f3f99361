package store

import (
	"bytes"
	"slices"
)

// keyChange is what one key's overlay makes of the index.
type keyChange struct {
	h       hash
	wipes   int
	changes []*change // those that went in
	before  []*variant
	after   []*variant
}

// index writes the records of all dirty keys whose bodies are written. False:
// it cannot, and they are given up.
func (k *keeper) index() bool {
	if len(k.dirty) == 0 {
		return true
	}
	if err := k.d.checkSpace(0); err != nil {
		k.refuse()
		return false
	}
	b := k.d.idx.newBatch()
	defer b.discard()
	done := make([]keyChange, 0, len(k.dirty))
	for _, h := range k.inOrder() {
		kc := k.prepare(h)
		if err := b.put(h, kc.after); err != nil {
			k.d.failed("write index", err)
			k.refuse()
			return false
		}
		done = append(done, kc)
	}
	if err := b.commit(); err != nil {
		k.d.failed("write index", err)
		k.refuse()
		return false
	}
	for i := range done {
		k.finish(&done[i])
	}
	k.waiting = false
	k.d.measure()
	return true
}

// inOrder is the dirty keys as the index orders them: one after the other they are
// put into its table at two thirds of what they cost at random.
func (k *keeper) inOrder() []hash {
	k.order = k.order[:0]
	for h := range k.dirty {
		k.order = append(k.order, h)
	}
	slices.SortFunc(k.order, func(a, b hash) int { return bytes.Compare(a[:], b[:]) })
	return k.order
}

// prepare computes what the index is to have of h.
func (k *keeper) prepare(h hash) keyChange {
	sh := k.d.s.shard(h)
	kc := keyChange{h: h}
	sh.mu.RLock()
	p := sh.keys[h]
	wiped := false
	if p != nil {
		kc.wipes, wiped = p.wipes, p.wiped
		kc.changes = p.changes
	}
	sh.mu.RUnlock()
	if i := slices.IndexFunc(kc.changes, (*change).unwritten); i >= 0 {
		kc.changes = kc.changes[:i]
	}
	if e, err := k.d.load(h); err == nil && e != nil {
		kc.before = e.vars
	}
	var base []*variant
	if !wiped {
		base = kc.before
	}
	if len(base) == 0 && len(kc.changes) == 1 && kc.changes[0].kind == changePut {
		kc.after = k.alive([]*variant{kc.changes[0].located(k.d.segs)}) // a new key, as most are
		return kc
	}
	kc.after = k.alive(apply(base, located(kc.changes, k.d.segs)))
	return kc
}

// alive is vars less what is purged, was evicted or is lost.
func (k *keeper) alive(vars []*variant) []*variant {
	dead := func(v *variant) bool {
		return k.d.segs.fate(&v.rec) != fateKept || k.d.s.purges.matches(v.rec.meta.Key, v.rec.id)
	}
	if !slices.ContainsFunc(vars, dead) {
		return vars
	}
	return slices.DeleteFunc(slices.Clone(vars), dead)
}

// unwritten reports whether c is a new object whose body is not in its segment.
func (c *change) unwritten() bool { return c.kind == changePut && !c.placed }

// located gives new objects the places that the keeper found for them.
func located(changes []*change, segs *segments) []*change {
	out := make([]*change, len(changes))
	for i, c := range changes {
		out[i] = c
		if c.kind == changePut && c.v.body != nil {
			out[i] = &change{kind: c.kind, v: c.located(segs)}
		}
	}
	return out
}

// located is the new object that c puts, in the place that the keeper found for it.
func (c *change) located(segs *segments) *variant {
	if c.v.body == nil {
		return c.v
	}
	v := c.v.at(c.loc, segs.get(c.loc.seg))
	v.rec.sum, v.rec.apart = c.sum, c.apart
	return v
}

// finish takes off the overlay what the index has now, gives it to the memory
// tier and answers who waited.
func (k *keeper) finish(kc *keyChange) {
	s, sh := k.d.s, k.d.s.shard(kc.h)
	sh.mu.Lock()
	sh.gen++
	if p := sh.keys[kc.h]; p != nil && p.wipes == kc.wipes {
		for _, c := range kc.changes {
			k.d.release(c)
		}
		p.wiped = false
		p.changes = p.changes[len(kc.changes):]
		if len(p.changes) == 0 {
			delete(sh.keys, kc.h)
			s.pending.Add(-1)
		}
		s.mem.settle(kc.h, kc.after) // changes that are left build upon it
	}
	left := sh.keys[kc.h] != nil
	sh.mu.Unlock()

	k.account(kc)
	for _, done := range k.dirty[kc.h] {
		done <- answer{known: len(kc.before) > 0}
	}
	if left {
		k.dirty[kc.h] = nil
	} else {
		delete(k.dirty, kc.h)
	}
}

// account counts, and removes the segments of large objects that are gone.
func (k *keeper) account(kc *keyChange) {
	n := &k.d.s.n
	for _, v := range kc.before {
		n.objects.Add(-1)
		n.bytes.Add(-v.rec.meta.Length)
		kept := slices.ContainsFunc(kc.after, func(o *variant) bool { return o.rec.loc == v.rec.loc })
		if sg := k.d.segs.get(v.rec.loc.seg); !kept && sg != nil && sg.own {
			k.d.dropSegment(sg)
		}
	}
	for _, v := range kc.after {
		n.objects.Add(1)
		n.bytes.Add(v.rec.meta.Length)
	}
	for _, c := range kc.changes { // put and replaced before the index knew
		if c.kind == changePut && !slices.ContainsFunc(kc.after, func(o *variant) bool { return o.rec.id == c.v.rec.id }) {
			k.d.dropOwn(c)
		}
	}
}

// release frees the room that the body of a change took while it was pending, and
// lets the body go.
func (d *disk) release(c *change) {
	if c.kind == changePut && c.v.body != nil {
		d.room.Release(c.v.charge())
		c.v.lease.drop()
	}
}

// dropOwn removes the segment of a large object that is not going to be stored.
func (d *disk) dropOwn(c *change) {
	if c.kind == changePut && c.v.body == nil {
		d.dropSegment(c.v.sg)
	}
}

// refuse gives up all changes: the index cannot take them. Who waits for a
// deletion is told, and makes it hold in another way; until then, and until the
// next look at the key, the overlay stays wiped.
func (k *keeper) refuse() {
	for h, waiters := range k.dirty {
		s, sh := k.d.s, k.d.s.shard(h)
		sh.mu.Lock()
		var gone []*change
		if p := sh.keys[h]; p != nil {
			gone, p.changes = p.changes, nil
			if !p.wiped {
				delete(sh.keys, h)
				s.pending.Add(-1)
			}
		}
		sh.gen++
		s.mem.delete(h)
		sh.mu.Unlock()
		for _, c := range gone {
			k.d.s.n.lost.Add(1)
			k.d.release(c)
			k.d.dropOwn(c)
		}
		for _, done := range waiters {
			done <- answer{refused: true}
		}
	}
	clear(k.dirty)
	k.waiting = false
	k.unplace()
}
