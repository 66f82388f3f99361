package store

import "github.com/cachenode/cachenode/cache"

// move is a survivor of an evicted segment on its way to its new place.
type move struct {
	h        hash
	id       uint64
	from, to place
	saved    bool
}

// makeRoom evicts the oldest segments until n more bytes fit.
func (k *keeper) makeRoom(n int64) error {
	for k.d.segs.bytes.Load()+n > k.d.budget() {
		sg := k.d.segs.oldest(k.sg)
		if sg == nil {
			return cache.ErrFull
		}
		k.d.s.n.evictions.Add(1)
		k.d.dropSegment(sg)
	}
	return nil
}

func (k *keeper) rescue() error { return nil }
