package store

import (
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

// index writes the records of all dirty keys whose bodies are written.
func (k *keeper) index() {
	b := k.d.idx.newBatch()
	defer b.discard()
	if err := k.d.checkSpace(0); err != nil {
		k.refuse()
		return
	}
	done := make([]keyChange, 0, len(k.dirty))
	for h := range k.dirty {
		kc := k.prepare(h)
		if err := b.put(h, kc.after); err != nil {
			k.d.failed("write index", err)
			k.refuse()
			return
		}
		done = append(done, kc)
	}
	if err := b.commit(); err != nil {
		k.d.failed("write index", err)
		k.refuse()
		return
	}
	for i := range done {
		k.finish(&done[i])
	}
	k.d.measure()
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
	kc.after = apply(base, located(kc.changes, k.d.segs))
	return kc
}

// unwritten reports whether c is a new object whose body is not in its segment.
func (c *change) unwritten() bool { return c.kind == changePut && !c.placed }

// located gives new objects the places that the keeper found for them.
func located(changes []*change, segs *segments) []*change {
	out := make([]*change, len(changes))
	for i, c := range changes {
		out[i] = c
		if c.kind != changePut || c.v.body == nil {
			continue
		}
		v := *c.v
		v.rec.loc = c.loc
		v.sg = segs.get(c.loc.seg)
		if len(v.body) <= blockSize {
			v.rec.sum = sumOf(v.body)
		}
		out[i] = &change{kind: c.kind, v: &v}
	}
	return out
}

// finish takes off the overlay what the index has now, gives it to the memory
// tier and answers who waited.
func (k *keeper) finish(kc *keyChange) {
	s, sh := k.d.s, k.d.s.shard(kc.h)
	for _, c := range kc.changes {
		if c.kind == changePut && c.v.body != nil {
			k.d.room.Release(c.v.charge())
		}
	}
	sh.mu.Lock()
	if p := sh.keys[kc.h]; p != nil && p.wipes == kc.wipes {
		p.wiped = false
		p.changes = p.changes[len(kc.changes):]
		if len(p.changes) == 0 {
			delete(sh.keys, kc.h)
			s.pending.Add(-1)
			s.mem.settle(kc.h, kc.after)
		}
	}
	left := sh.keys[kc.h] != nil
	sh.mu.Unlock()

	k.account(kc)
	for _, done := range k.dirty[kc.h] {
		done <- len(kc.before) > 0
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
}

// refuse gives up all changes: the index cannot take them. Deletions stay in
// the overlay, so they hold while the process lives, and are tried again.
func (k *keeper) refuse() {
	for h, waiters := range k.dirty {
		s, sh := k.d.s, k.d.s.shard(h)
		sh.mu.Lock()
		p := sh.keys[h]
		var gone []*change
		if p != nil {
			gone, p.changes = p.changes, nil
			if !p.wiped {
				delete(sh.keys, h)
				s.pending.Add(-1)
			}
		}
		sh.gen++
		s.mem.delete(h)
		keep := p != nil && p.wiped
		sh.mu.Unlock()
		for _, c := range gone {
			k.forget(c)
		}
		for _, done := range waiters {
			done <- true
		}
		if keep {
			k.dirty[h] = nil
		} else {
			delete(k.dirty, h)
		}
	}
	clear(k.placed)
	k.placed = k.placed[:0]
}

// forget frees what a change that was given up holds.
func (k *keeper) forget(c *change) {
	k.d.s.n.lost.Add(1)
	switch {
	case c.kind != changePut:
	case c.v.body != nil:
		k.d.room.Release(c.v.charge())
	default:
		k.d.dropSegment(c.v.sg)
	}
}

// remove takes one change off.
func (p *overlay) remove(c *change) {
	p.changes = slices.DeleteFunc(slices.Clone(p.changes), func(o *change) bool { return o == c })
}
