package store

import (
	"testing"
	"time"

	"github.com/cachenode/cachenode/cache"
)

// inMemory is the memory tier with one entry.
func inMemory(t *testing.T, h hash, vars ...*variant) *memory {
	t.Helper()
	m := newMemory(1<<20, 1<<10)
	t.Cleanup(m.close)
	m.put(h, vars)
	return m
}

// wantWhole fails the test unless h has one variant with body and metadata.
func wantWhole(t *testing.T, m *memory, h hash, seg uint64) {
	t.Helper()
	e := m.get(h)
	if e == nil || e.bare || len(e.objs) != 1 || string(e.objs[0].Bytes()) != "body" || e.objs[0].Meta().Header == nil || e.vars[0].rec.loc.seg != seg {
		t.Errorf("the memory tier has %+v", e)
	}
}

// A body without its metadata is no object, however the two come together.
func TestMemoryServesNoBareVariant(t *testing.T) {
	h := hash{1}
	whole := sample(1).withBody([]byte("body"), nil)
	whole.rec.apart = 99
	index := bare(sample(1)) // as it is read from there

	if e := newEntry([]*variant{index.withBody([]byte("body"), nil)}); e.objs != nil || !e.bare {
		t.Error("a bare variant with a body is an object")
	}

	m := inMemory(t, h, index)
	m.fill(h, whole)
	wantWhole(t, m, h, 7)

	m = inMemory(t, h, whole)
	m.settle(h, []*variant{index})
	wantWhole(t, m, h, 7)

	m = inMemory(t, h, whole)
	m.relocate(h, []*variant{index.at(place{seg: 8}, nil)})
	wantWhole(t, m, h, 8)

	// Other metadata than those in the entry are not those of a bare record.
	updated := whole.withMeta(&cache.Meta{Key: whole.rec.meta.Key, Received: time.Unix(9, 0)})
	m = inMemory(t, h, updated)
	m.settle(h, []*variant{index})
	if e := m.get(h); !e.bare || e.objs != nil {
		t.Errorf("the memory tier has %+v", e)
	}
	m = inMemory(t, h, index)
	m.fill(h, updated)
	if e := m.get(h); !e.bare || e.objs != nil {
		t.Errorf("the memory tier has %+v", e)
	}

	// What was updated in the index meanwhile takes the place of what is in memory.
	m = inMemory(t, h, index)
	m.relocate(h, []*variant{sample(1).at(place{seg: 8}, nil)})
	if e := m.get(h); e.bare || e.vars[0].rec.loc.seg != 8 {
		t.Errorf("the memory tier has %+v", e)
	}
}
