package store

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
	"golang.org/x/sys/unix"

	"github.com/cachenode/cachenode/cache"
)

// disk is the disk tier: the index, the segments, and the keeper that writes
// both.
type disk struct {
	s   *Store
	log *slog.Logger

	dir       string
	quota     int64
	memtable  int64
	aside     int64 // bytes of a damaged index that was set aside
	large     int64 // bodies above it get a segment of their own
	maxObject int64

	lock    *os.File
	state   *stateFile
	idx     *index
	unclean bool // the last process did not close the store, or segments are not as it left them
	segs    *segments
	line    timeline
	space   space

	sweepWanted atomic.Bool   // records may point to segments that are gone
	sweepNow    chan struct{} // 1: do not wait for the next time

	room *semaphore.Weighted // bytes of committed bodies that are not written

	mu      sync.Mutex // guards all below but the channels
	ops     []op
	pending int64 // bytes of bodies that come with ops
	timed   bool  // the keeper will look at ops soon without being told
	closed  bool
	wake    chan struct{} // 1: there is something that cannot wait, or the end

	done chan struct{} // the keeper has returned
}

// op asks the keeper for something.
type op struct {
	kind opKind
	h    hash
	c    *change       // new in the overlay of h
	done chan<- answer // has room for the answer; nil: nobody waits
}

type opKind uint8

const (
	opKey   opKind = iota // bring h of the index up to date with its overlay
	opClaim               // make room for what large objects have claimed
	opSync                // write everything
	opEmpty               // drop all segments
	opWatch               // look at the disk
)

// answer is what became of an op.
type answer struct {
	known   bool // the index had objects of the key
	refused bool // nothing can be written now
}

func openDisk(s *Store) (_ *disk, err error) {
	o := s.o
	d := &disk{
		s: s, log: s.log, dir: o.Dir,
		wake: make(chan struct{}, 1), sweepNow: make(chan struct{}, 1),
		done: make(chan struct{}),
		room: semaphore.NewWeighted(maxPending),
	}
	if err := makeDirs(o.Dir); err != nil {
		return nil, err
	}
	if d.lock, err = lockDir(o.Dir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = d.lock.Close()
		}
	}()
	if err := d.size(o); err != nil {
		return nil, err
	}
	if err := d.openFiles(); err != nil {
		return nil, err
	}
	d.space.init(d)
	if d.unclean || d.s.purges.active() {
		d.sweepWanted.Store(true)
	}
	k := newKeeper(d)
	go k.run()
	return d, nil
}

// size derives the limits from the quota and the file system.
func (d *disk) size(o Options) error {
	d.quota = int64(o.Disk)
	var st unix.Statfs_t
	if err := unix.Statfs(o.Dir, &st); err != nil {
		return &DirError{Dir: o.Dir, Err: err}
	}
	d.quota = min(d.quota, int64(st.Blocks)*st.Bsize)
	d.memtable = min(max(d.quota/128, minMemtable), 8<<20)
	d.large = min(max(d.quota>>16, 1<<20), 8<<20, o.segmentSize(d.quota)/4)
	d.maxObject = o.maxObject(d.quota)
	return nil
}

func makeDirs(dir string) error {
	for _, sub := range []string{"index", "segments"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return &DirError{Dir: dir, Err: err}
		}
	}
	return nil
}

// lockDir takes the directory for this process.
func lockDir(dir string) (*os.File, error) {
	path := filepath.Join(dir, "store.lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, &DirError{Dir: dir, Err: err}
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		holder, _ := os.ReadFile(path) // 0 when nobody has written it yet
		_ = f.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, &DirError{Dir: dir, Err: err}
		}
		pid, _ := strconv.Atoi(strings.TrimSpace(string(holder)))
		return nil, &LockedError{Dir: dir, PID: pid}
	}
	if err := writePID(f); err != nil && !errors.Is(err, unix.ENOSPC) {
		_ = f.Close()
		return nil, &DirError{Dir: dir, Err: err}
	}
	return f, nil
}

func writePID(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt(fmt.Appendln(nil, os.Getpid()), 0)
	return err
}

// openFiles opens state, index and segments. What cannot be opened is set
// aside, and all begins anew.
func (d *disk) openFiles() error {
	err := d.tryOpen()
	if err == nil || !isDamage(err) {
		return err
	}
	d.log.Error("stored objects are damaged and set aside; starting empty", "dir", d.dir, "err", err)
	_ = d.state.f.Close() // nothing in it counts any more
	if err := d.setAside(); err != nil {
		return err
	}
	return d.tryOpen()
}

// damageError is a reason to begin with an empty store.
type damageError struct{ err error }

func (e *damageError) Error() string { return e.err.Error() }
func (e *damageError) Unwrap() error { return e.err }

func isDamage(err error) bool {
	var de *damageError
	return errors.As(err, &de)
}

func (d *disk) tryOpen() (err error) {
	segDir := filepath.Join(d.dir, "segments")
	if d.state, err = openState(filepath.Join(segDir, "state")); err != nil {
		return err
	}
	st, err := d.state.start()
	if err != nil {
		return err
	}
	if st.Boot == 1 && holdsObjects(d.dir) {
		return &damageError{errors.New("state file is missing or empty, and the keys of what is stored with it")}
	}
	d.s.seed = st.Seed
	d.line = resume(d.s.now(), st.Noted)
	d.s.ids.start(st.Boot)
	d.s.n.objects.Store(st.Objects)
	d.s.n.bytes.Store(st.Bytes)
	if err := d.s.purges.open(filepath.Join(segDir, "purges"), d.s.log); err != nil {
		return err
	}
	if d.segs, err = openSegments(segDir, d.s.o.segmentSize(d.quota), st.Boot); err != nil {
		return &DirError{Dir: d.dir, Err: err}
	}
	lossless := st.Census == unknownCensus || st.Census == takeCensus(segDir)
	if d.unclean = !st.Clean || !lossless; !d.unclean {
		d.segs.allFound()
	}
	if err := d.freeUp(); err != nil {
		return errors.Join(err, d.state.opened()) // this start gives up, it does not die
	}
	if d.idx, err = openIndex(filepath.Join(d.dir, "index"), d.memtable, min(max(d.quota>>14, 1<<20), 16<<20), d.line); err != nil {
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) {
			return &DirError{Dir: d.dir, Err: err}
		}
		return &damageError{err}
	}
	if st.Boot == 1 { // whatever badger has is of another seed
		d.idx.known.now.Store(newKeySet(0))
	}
	d.aside = asideSize(d.dir)
	return d.state.opened()
}

// holdsObjects reports whether an earlier start has left anything in dir.
func holdsObjects(dir string) bool {
	for _, pattern := range []string{"index/*.sst", "segments/*" + segmentSuffix, "segments/*" + ownSuffix} {
		if found, _ := filepath.Glob(filepath.Join(dir, pattern)); len(found) > 0 { // the pattern is well-formed
			return true
		}
	}
	return false
}

// asideSize is the space that what was set aside takes.
func asideSize(dir string) (n int64) {
	aside, _ := filepath.Glob(filepath.Join(dir, asidePattern)) // the pattern is well-formed
	for _, path := range aside {
		all, _ := (&index{dir: path}).size()
		n += all
	}
	return n
}

const asidePattern = "damaged-*"

// setAside keeps a damaged index for a look at it and drops the segments, which
// are of no use without it. Of several damaged ones only the last is kept.
func (d *disk) setAside() error {
	older, err := filepath.Glob(filepath.Join(d.dir, asidePattern))
	if err != nil {
		return err
	}
	for _, path := range older {
		if err := os.RemoveAll(path); err != nil {
			return &DirError{Dir: d.dir, Err: err}
		}
	}
	aside := filepath.Join(d.dir, "damaged-"+d.s.now().UTC().Format("20060102T150405Z"))
	if err := os.Rename(filepath.Join(d.dir, "index"), aside); err != nil {
		return &DirError{Dir: d.dir, Err: err}
	}
	if err := os.RemoveAll(filepath.Join(d.dir, "segments")); err != nil {
		return &DirError{Dir: d.dir, Err: err}
	}
	return makeDirs(d.dir)
}

const (
	// wakeOps and wakeBytes are how many new objects, and bytes of them, wait for
	// the keeper before it is woken for them: each time costs a switch to it.
	wakeOps   = 64
	wakeBytes = 1 << 20
)

// enqueue hands an op to the keeper.
func (d *disk) enqueue(o op) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return errClosed
	}
	d.ops = append(d.ops, o)
	if o.c != nil {
		d.pending += int64(len(o.c.v.body))
	}
	if d.timed && o.kind == opKey && o.done == nil && len(d.ops) < wakeOps && d.pending < wakeBytes {
		return nil
	}
	d.wakeKeeper()
	return nil
}

// wakeKeeper has the keeper look at ops now. It does not wait.
func (d *disk) wakeKeeper() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// take returns the ops that have come since the last call.
func (d *disk) take(spare []op) (ops []op, closed bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	ops, d.ops, d.pending = d.ops, spare[:0], 0
	return ops, d.closed
}

// rest tells that the keeper goes to sleep. Timed says that it will take what has
// come when flushAfter is over.
func (d *disk) rest(timed bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timed = timed; !timed && len(d.ops) > 0 {
		d.wakeKeeper() // for what came while it was thought to look soon
	}
}

// claim accounts for n bytes of a large object, making room when there is none.
func (d *disk) claim(n int64) error {
	if d.readOnly() {
		return cache.ErrFull
	}
	if d.segs.bytes.Add(n) <= d.budget() && !d.space.low() {
		return nil
	}
	done := make(chan answer, 1)
	if err := d.enqueue(op{kind: opClaim, done: done}); err != nil || (<-done).refused {
		d.segs.bytes.Add(-n)
		return cache.ErrFull
	}
	return nil
}

// adopt makes the finished file of a large object a segment.
func (d *disk) adopt(sp *spill) (*segment, error) {
	info, err := sp.f.Stat()
	if err != nil {
		return nil, err
	}
	seq := d.segs.nextSeq.Add(1)
	path := d.segs.path(seq, ownSuffix)
	if err := os.Rename(sp.path, path); err != nil {
		d.failed("rename", err)
		return nil, cache.ErrFull
	}
	sg := newSegment(seq, path, true, info.Size())
	sp.finished = true
	sp.settle()
	d.segs.grow(sg, allocated(info))
	d.segs.add(sg)
	return sg, nil
}

// dropSegment removes a segment that nothing refers to any more.
func (d *disk) dropSegment(sg *segment) {
	if err := d.segs.remove(sg); err != nil {
		d.failed("remove", err)
	}
}

func (d *disk) load(h hash) (*entry, error) {
	e, err := d.idx.load(h)
	if err != nil {
		d.s.n.corrupt.Add(1)
		d.log.Warn("index record is damaged", "err", err)
	}
	return e, err
}

// close stops the keeper when it has written all that is pending.
//
// On a disk that is full badger is left as a kill would leave it: to close it
// takes space, and the want of it would be fatal.
func (d *disk) close() error {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.wakeKeeper()
	<-d.done
	err := d.freeUp()
	switch {
	case err == nil:
		err = d.idx.close()
	case errors.Is(err, errNoRoom):
		d.log.Warn("the disk has no room to close the index; the next start recovers it", "dir", d.dir)
		err = nil
	}
	d.segs.close()
	return errors.Join(err, d.state.stop(d), d.s.purges.close(), d.lock.Close())
}
