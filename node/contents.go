package node

import "github.com/cachenode/cachenode/internal/metrics"

// cacheStats are the numbers of the store.
func (n *Node) cacheStats() metrics.CacheStats {
	s := n.store.Stats()
	return metrics.CacheStats{
		Objects: s.Objects, Bytes: s.Used, Capacity: s.Capacity,
		MemObjects: int64(s.MemoryObjects), MemBytes: s.MemoryBytes, MemCapacity: s.MemoryCapacity,
		Evictions: s.Evictions, Corrupt: s.Corrupt, Missing: s.Missing, Writes: s.SwapOuts, Reads: s.SwapIns, Removed: s.Evictions,
		ReadOnly: s.ReadOnly,
	}
}
