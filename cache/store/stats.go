package store

import (
	"sync/atomic"
	"time"
)

// counters of a store.
type counters struct {
	objects, bytes atomic.Int64 // on disk

	memoryLookups atomic.Uint64 // answered from memory
	diskLookups   atomic.Uint64 // answered with at least one object on disk
	misses        atomic.Uint64
	swapOuts      atomic.Uint64 // bodies written to disk
	swapIns       atomic.Uint64 // bodies read whole from disk
	evictions     atomic.Uint64 // segments
	corrupt       atomic.Uint64 // damaged objects and records
	lost          atomic.Uint64 // changes given up for want of space
	overruns      atomic.Uint64 // objects not stored because the disk was too slow
	ioErrors      atomic.Uint64
}

func (s *Store) now() time.Time { return time.Now() }
