package store

import (
	"sync"
	"sync/atomic"
)

// lease is memory for a body that stays in memory only until it has been written:
// it is used again when the last of those who hold it has let go. Such are the
// writer until Close, the change while it is in its overlay, the op that brings it
// to the keeper, and each object that a look-up has made of it until Release. What
// the memory tier keeps is never leased. A nil lease is that of memory that the
// garbage collector sees to.
type lease struct {
	b    []byte
	refs atomic.Int32
	from *leases
	size int // which of the pools
}

// hold is for who knows that somebody holds the lease.
func (l *lease) hold() {
	if l != nil {
		l.refs.Add(1)
	}
}

// drop ends what take or hold began. Who has dropped a lease must not look at the
// memory any more.
func (l *lease) drop() {
	if l == nil {
		return
	}
	switch n := l.refs.Add(-1); {
	case n == 0:
		l.from.put(l)
	case n < 0:
		panic("store: a body was let go twice") // others' bodies could get into it
	}
}

// leaseSizes are how much memory is leased at a time; between them at most a
// third is wasted.
var leaseSizes = [...]int{
	4 << 10, 6 << 10, 8 << 10, 12 << 10, 16 << 10, 24 << 10, 32 << 10, 48 << 10, 64 << 10, 96 << 10, exactUpTo + 8<<10,
}

// leases are bodies to be used again. The garbage collector takes what nobody
// wants for a while.
type leases struct {
	pools [len(leaseSizes)]sync.Pool
	// onPut, for tests, sees what comes back before it can be used again.
	onPut func(b []byte)
}

// leaseFrom is the length below which a body is not worth a lease.
const leaseFrom = 2 << 10

// take returns a lease of at least n bytes, held once; nil when n is more than is
// leased. What stands in it is somebody else's.
func (ls *leases) take(n int64) *lease {
	for i, size := range leaseSizes {
		if n > int64(size) {
			continue
		}
		l, ok := ls.pools[i].Get().(*lease)
		if !ok {
			l = &lease{b: make([]byte, size), from: ls, size: i}
		}
		l.refs.Store(1)
		return l
	}
	return nil
}

func (ls *leases) put(l *lease) {
	if ls.onPut != nil {
		ls.onPut(l.b)
	}
	ls.pools[l.size].Put(l)
}

// leasedObject is a stored response whose body is leased, as long as it waits to
// be written.
type leasedObject struct{ *variant }

// Release implements cache.Object.
func (o leasedObject) Release() { o.lease.drop() }
