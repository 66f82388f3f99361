package store

import (
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cachenode/cachenode/cache"
)

// space knows how much room there is and whether writing is allowed.
type space struct {
	d *disk

	ro      atomic.Bool
	isLow   atomic.Bool               // less free space than the reserve
	index   atomic.Int64              // bytes of the index on disk
	tables  atomic.Int64              // of them in tables
	limit   atomic.Int64              // bytes that segments may take where the file system has less than the quota
	owed    atomic.Int64              // bytes of segments that were claimed and are not in a file yet
	retryAt atomic.Pointer[time.Time] // after an error: when to try again, by the monotonic clock

	mu     sync.Mutex // guards seenAt
	seenAt time.Time
}

// retryAfter is how long nothing is written after an I/O error.
const retryAfter = 5 * time.Second

func (sp *space) init(d *disk) {
	sp.d = d
	sp.measure()
}

var errNoRoom = errors.New("no room on the disk for the index")

// freeUp makes sure that badger can be opened or closed: it drops the oldest
// segments until the free space is the reserve.
func (d *disk) freeUp() error {
	d.space.d = d
	_, tables := (&index{dir: filepath.Join(d.dir, "index")}).size()
	d.space.tables.Store(tables)
	for !d.space.look(0) {
		sg := d.segs.oldest(nil)
		if sg == nil {
			return errNoRoom
		}
		d.unclean = true
		if err := d.segs.remove(sg); err != nil {
			return err
		}
	}
	return nil
}

func (sp *space) low() bool { return sp.isLow.Load() }

// readOnly reports whether nothing may be written now.
func (d *disk) readOnly() bool { return d.space.ro.Load() }

// budget is the space that segments may take: what of the quota the index
// leaves, less what it may grow until it is measured again; or what of the file
// system others leave.
func (d *disk) budget() int64 {
	return min(d.quota-d.space.index.Load()-d.aside-d.memtable-d.memtable/2, d.space.limit.Load())
}

// reserve is the free space that must stay: badger's memory tables, its running
// compactions and one write of ours. Badger writes through memory maps, and a
// disk that is full then is a SIGBUS.
func (d *disk) reserve() int64 {
	if r := int64(d.s.o.Reserve); r > 0 {
		return r
	}
	return 4*d.memtable + min(d.space.tables.Load(), 64<<20) + bufferSize
}

// measure looks at the index and the file system.
func (sp *space) measure() {
	all, tables := sp.d.idx.size()
	sp.index.Store(all)
	sp.tables.Store(tables)
	sp.look(0)
}

// look compares the free space with the reserve and n bytes to be written.
func (sp *space) look(n int64) bool {
	var st unix.Statfs_t
	if err := unix.Statfs(sp.d.dir, &st); err != nil {
		return !sp.isLow.Load()
	}
	free := int64(st.Bavail) * st.Bsize
	low := free-n < sp.d.reserve()
	sp.isLow.Store(low)
	// Old objects give way before the disk is low: one more segment fits.
	spare := free - sp.d.reserve() - sp.d.segs.segSize - sp.d.memtable - bufferSize
	sp.limit.Store(sp.d.segs.bytes.Load() - sp.owed.Load() + spare)
	return !low
}

// measure measures the index again when the last time is long ago.
func (d *disk) measure() {
	d.space.mu.Lock()
	now := time.Now()
	due := now.Sub(d.space.seenAt) > 100*time.Millisecond
	if due {
		d.space.seenAt = now
	}
	d.space.mu.Unlock()
	if due {
		d.space.measure()
	}
}

// checkSpace is asked before n bytes are written.
func (d *disk) checkSpace(n int64) error {
	if d.space.look(n) {
		return nil
	}
	d.setReadOnly("disk is nearly full", nil)
	return cache.ErrFull
}

// failed notes an I/O error: nothing is written for a while.
func (d *disk) failed(what string, err error) {
	if errors.Is(err, errClosed) {
		return
	}
	d.s.n.ioErrors.Add(1)
	d.setReadOnly(what, err)
}

func (d *disk) setReadOnly(what string, err error) {
	again := time.Now().Add(retryAfter)
	d.space.retryAt.Store(&again)
	if d.space.ro.Swap(true) {
		return
	}
	d.log.Error("store is read-only", "dir", d.dir, "why", what, "err", err)
}
