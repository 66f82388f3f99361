package store

import "sync/atomic"

// counters of a store.
type counters struct {
	objects, bytes atomic.Int64 // in the index

	memoryHits atomic.Uint64
	diskHits   atomic.Uint64
	misses     atomic.Uint64
	swapOuts   atomic.Uint64
	swapIns    atomic.Uint64
	evictions  atomic.Uint64
	survivors  atomic.Uint64
	corrupt    atomic.Uint64
	missing    atomic.Uint64
	lost       atomic.Uint64
	overruns   atomic.Uint64
	ioErrors   atomic.Uint64
}

// Stats is what a store has and has done since it was opened.
type Stats struct {
	Objects  int64 // responses on disk; about, for a while after a crash
	Bytes    int64 // bytes of their bodies
	Used     int64 // bytes of disk space taken, index included
	Capacity int64 // bytes of disk space that may be taken
	Segments int   // files of bodies

	MemoryObjects  int   // keys in the memory tier
	MemoryBytes    int64 // bytes that they take
	MemoryCapacity int64

	MemoryHits uint64 // look-ups answered from memory
	DiskHits   uint64 // look-ups answered with an object on disk
	Misses     uint64 // look-ups with no answer
	SwapOuts   uint64 // bodies written to disk
	SwapIns    uint64 // bodies read whole from disk into memory
	Evictions  uint64 // segments evicted
	Survivors  uint64 // objects that were kept when their segment was evicted
	Corrupt    uint64 // damaged objects and records that were dropped
	Missing    uint64 // objects dropped because the file of their body was missing or cut off
	Lost       uint64 // commits given up: no space, or an I/O error
	Overruns   uint64 // commits given up because the disk was too slow
	IOErrors   uint64 // failed reads and writes

	Pending  int64 // keys with changes that are not on disk yet
	ReadOnly bool  // nothing is being stored, for want of space or after an error
	Purges   int   // purges that hold but are not swept yet
}

// Stats returns a snapshot. It is cheap.
func (s *Store) Stats() Stats {
	n := &s.n
	st := Stats{
		Objects: max(0, n.objects.Load()), Bytes: max(0, n.bytes.Load()),
		MemoryHits: n.memoryHits.Load(), DiskHits: n.diskHits.Load(), Misses: n.misses.Load(),
		SwapOuts: n.swapOuts.Load(), SwapIns: n.swapIns.Load(),
		Evictions: n.evictions.Load(), Survivors: n.survivors.Load(),
		Corrupt: n.corrupt.Load(), Missing: n.missing.Load(), Lost: n.lost.Load(), Overruns: n.overruns.Load(), IOErrors: n.ioErrors.Load(),
		Pending: s.pending.Load(),
		Purges:  len(*s.purges.list.Load()),
	}
	if s.o.Memory > 0 {
		st.MemoryObjects = s.mem.c.EstimatedSize()
		st.MemoryBytes = int64(s.mem.c.WeightedSize())
		st.MemoryCapacity = s.mem.capacity
	}
	if d := s.disk; d != nil {
		st.Used = d.segs.bytes.Load() + d.space.index.Load() + d.aside
		st.Capacity = d.quota
		st.Segments = d.segs.count()
		st.ReadOnly = d.readOnly()
	}
	return st
}
