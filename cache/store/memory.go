package store

import (
	"slices"

	"github.com/maypok86/otter/v2"

	"github.com/cachenode/cachenode/cache"
	"github.com/cachenode/cachenode/internal/prefetch"
)

// entry is all that is stored under one key. It is immutable.
type entry struct {
	key      string
	objs     []cache.Object  // vars, when all their bodies are in memory
	one      [1]cache.Object // room for objs
	meta     *cache.Meta     // of the newest
	vars     []*variant
	fromDisk bool // just read from the index
	bare     bool // of some of vars the metadata are not known
	weight   uint32
}

// newEntry builds an entry of vars, which must not be empty.
func newEntry(vars []*variant) *entry {
	e := &entry{key: vars[0].rec.meta.Key, meta: vars[0].rec.meta, vars: vars}
	cost, whole := int64(0), true
	for _, v := range vars {
		cost += v.cost()
		whole = whole && v.whole()
		e.bare = e.bare || v.rec.bare
	}
	e.weight = uint32(min(cost, 1<<31))
	if whole {
		e.objs = e.one[:0]
		for _, v := range vars {
			e.objs = append(e.objs, v)
		}
	}
	return e
}

// prefetch asks the memory for what a hit reads first. It lies in several places,
// and to wait for one after the other takes longer than all else.
func (e *entry) prefetch() {
	prefetch.String(e.key)
	prefetch.Of(e.meta)
	prefetch.Of(e.vars[0])
}

// memory is the memory tier: entries of keys under a budget of bytes. Changes
// to one key are made under the lock of its shard. A nil memory holds nothing.
type memory struct {
	c         *otter.Cache[hash, *entry]
	maxObject int64 // -1: bodies stay out, only what is known of them is here
	capacity  int64
}

func newMemory(capacity, maxObject int64) *memory {
	return &memory{
		maxObject: maxObject,
		capacity:  capacity,
		c: otter.Must(&otter.Options[hash, *entry]{
			MaximumWeight: uint64(capacity),
			Weigher:       func(_ hash, e *entry) uint32 { return e.weight },
		}),
	}
}

// keeps reports whether a body of n bytes may stay in memory.
func (m *memory) keeps(n int64) bool { return m != nil && n <= m.maxObject }

func (m *memory) close() {
	if m != nil {
		m.c.InvalidateAll()
		m.c.CleanUp()
		m.c.StopAllGoroutines()
	}
}

func (m *memory) get(h hash) *entry {
	if m == nil {
		return nil
	}
	e, _ := m.c.GetIfPresent(h)
	return e
}

func (m *memory) set(h hash, e *entry) {
	if m != nil {
		m.c.Set(h, e)
	}
}

func (m *memory) delete(h hash) {
	if m != nil {
		m.c.Invalidate(h)
	}
}

// put makes vars all there is of h. Bodies over the limit stay out of memory.
func (m *memory) put(h hash, vars []*variant) {
	if m == nil {
		return
	}
	if len(vars) == 0 {
		m.c.Invalidate(h)
		return
	}
	if i := slices.IndexFunc(vars, m.tooLong); i >= 0 {
		vars = slices.Clone(vars)
		for i, v := range vars {
			if m.tooLong(v) {
				vars[i] = v.withBody(nil, v.sg)
			}
		}
	}
	m.c.Set(h, newEntry(vars))
}

func (m *memory) tooLong(v *variant) bool {
	return v.body != nil && !m.keeps(int64(len(v.body)))
}

// fill adds the body of a variant that h has without one.
func (m *memory) fill(h hash, v *variant) {
	old := m.get(h)
	if old == nil {
		return
	}
	for i, o := range old.vars {
		if o.rec.id == v.rec.id && o.body == nil {
			if o = o.completed(&v.rec); o.rec.bare {
				return
			}
			vars := slices.Clone(old.vars)
			vars[i] = o.withBody(v.body, v.sg)
			m.c.Set(h, newEntry(vars))
			return
		}
	}
}

// commit adds v to what there is of h, for a store without a disk.
func (m *memory) commit(h hash, v *variant) { m.change(h, changePut, v) }

// update is Update for a store without a disk.
func (m *memory) update(h hash, v *variant) { m.change(h, changeUpdate, v) }

func (m *memory) change(h hash, k changeKind, v *variant) {
	var base []*variant
	if e := m.get(h); e != nil {
		base = e.vars
	}
	m.put(h, apply(base, []*change{{kind: k, v: v}}))
}

// settle makes vars all there is of h, keeping what of them is in memory.
func (m *memory) settle(h hash, vars []*variant) {
	if m == nil {
		return
	}
	if old := m.get(h); old != nil {
		vars = slices.Clone(vars)
		for i, v := range vars {
			vars[i] = old.known(v)
		}
	}
	m.put(h, vars)
}

// known is v with the body and the metadata that e has of it.
func (e *entry) known(v *variant) *variant {
	if v.body != nil {
		return v
	}
	i := slices.IndexFunc(e.vars, func(o *variant) bool { return o.rec.id == v.rec.id })
	if i < 0 {
		return v
	}
	o := e.vars[i]
	if v.rec.bare {
		if v = v.completed(&o.rec); v.rec.bare {
			return v
		}
	}
	if o.body != nil {
		sg := v.sg
		if sg == nil {
			sg = o.sg
		}
		v = v.withBody(o.body, sg)
	}
	return v
}

// relocate tells h of the new places of vars, which the index has.
func (m *memory) relocate(h hash, vars []*variant) {
	old := m.get(h)
	if old == nil {
		return
	}
	moved := slices.Clone(old.vars)
	for i, o := range moved {
		for _, v := range vars {
			if v.rec.id == o.rec.id {
				moved[i] = old.known(v)
			}
		}
	}
	m.c.Set(h, newEntry(moved))
}
