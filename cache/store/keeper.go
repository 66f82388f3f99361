package store

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/zeebo/xxh3"
	"golang.org/x/sys/unix"

	"github.com/cachenode/cachenode/cache"
)

// keeper is the one goroutine that writes the shared segments and the index.
// It turns the overlays of the shards into records: bodies first.
type keeper struct {
	d *disk

	sg    *segment // open for writing, nil: none
	f     *os.File // of sg, direct where the file system can
	tail  tail     // of sg
	apart []byte   // metadata on their way into tail
	sums  sums     // of a body on its way there

	contents []byte // of sg, without the trailer

	dirty   map[hash][]chan<- answer // keys with changes, and who waits for them
	waiting bool                     // somebody waits for one of them
	order   []hash                   // room for the keys of dirty, in order
	placed  []*change                // their bodies are in tail, or in the file without its being known
	held    int                      // bytes of these bodies
	since   time.Time                // when the oldest unwritten change came

	chance   int64 // bytes that may survive until the next segment is opened
	buffered bool  // it was said that the file system takes no direct writes
}

const (
	// bufferSize is what is written at once; a direct write of it costs a half to
	// a fifth of a buffered one.
	bufferSize = 4 << 20
	// flushAfter bounds how long a committed object may be in memory only; when they
	// are many, they are written after bufferSize.
	flushAfter = 50 * time.Millisecond
	// batchKeys is how many keys go into the index at once.
	batchKeys = 512
	// diskAlign is what direct writes must be aligned to.
	diskAlign = 4096
)

func newKeeper(d *disk) *keeper { return &keeper{d: d, dirty: map[hash][]chan<- answer{}} }

func sumOf(b []byte) uint64 { return xxh3.Hash(b) }

// run works until the store is closed and all is written.
func (k *keeper) run() {
	defer close(k.d.done)
	defer k.seal()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var spare []op
	for {
		select {
		case <-k.d.wake:
		case <-timer.C:
		}
		ops, closed := k.d.take(spare)
		for i := range ops {
			k.handle(&ops[i])
		}
		k.settle(closed)
		clear(ops)
		spare = ops
		if closed {
			return
		}
		k.d.rest(len(k.dirty) > 0)
		if len(k.dirty) > 0 {
			timer.Reset(max(flushAfter-time.Since(k.since), time.Millisecond))
		}
	}
}

func (k *keeper) handle(o *op) {
	switch o.kind {
	case opClaim:
		err := k.makeRoom(0)
		if err != nil {
			k.noRoom()
		}
		o.done <- answer{refused: err != nil}
		return
	case opSync:
		saved := k.flush()
		o.done <- answer{refused: !k.index() || !saved}
		return
	case opEmpty:
		k.empty()
		o.done <- answer{}
		return
	case opWatch:
		k.watch()
		return
	case opKey:
	}
	if len(k.dirty) == 0 {
		k.since = time.Now()
	}
	waiters := k.dirty[o.h]
	if o.done != nil {
		waiters = append(waiters, o.done)
		k.waiting = true
	}
	k.dirty[o.h] = waiters
	if o.c != nil && o.c.kind == changePut {
		k.place(o.h, o.c)
		o.c.v.lease.drop()
	}
	if len(k.dirty) >= batchKeys && len(k.placed) == 0 {
		k.index()
	}
}

// settle writes what is due: all of it when it has waited long enough, else
// what somebody waits for.
func (k *keeper) settle(closed bool) {
	if len(k.dirty) == 0 {
		return
	}
	if closed || k.held >= bufferSize || time.Since(k.since) >= flushAfter {
		k.flush()
		k.index()
		k.since = time.Now()
		return
	}
	if k.waiting {
		k.index()
	}
}

// place appends the body of a new object to the open segment.
func (k *keeper) place(h hash, c *change) {
	v := c.v
	if v.body == nil {
		c.loc, c.placed = v.rec.loc, true
		return
	}
	k.apart = appendApart(k.apart[:0], h, &v.rec, &k.d.line)
	loc, err := k.appendEntry(h, v.rec.id, v.body, k.apart, c.frame, v.lease)
	c.frame = nil
	if err != nil {
		k.abandon(h, c)
		return
	}
	c.loc, c.apart = loc, len(k.apart)
	if len(v.body) <= blockSize {
		c.sum = sumOf(v.body)
	}
	k.placed = append(k.placed, c)
	k.held += len(v.body)
}

// open begins a segment in which an entry of size fits.
func (k *keeper) open(size int64) error {
	k.flush()
	k.index() // what is being evicted below must be seen as it is
	k.seal()
	seq := k.d.segs.nextSeq.Add(1)
	path := k.d.segs.path(seq, segmentSuffix)
	f, direct, err := createDirect(path)
	if err != nil {
		k.d.failed("create", err)
		return cache.ErrFull
	}
	if !direct && !k.buffered {
		k.buffered = true
		k.d.log.Info("the file system takes no direct writes; bodies go through the page cache, at more CPU", "dir", k.d.dir)
	}
	if k.tail.buf == nil {
		if err := k.tail.init(int(min(bufferSize, k.d.segs.segSize/4/diskAlign*diskAlign))); err != nil {
			return errors.Join(err, f.Close(), os.Remove(path))
		}
	}
	grain := int64(entryAlign)
	if direct {
		grain = grainOf(f)
	}
	k.tail.begin(grain)
	k.sg, k.f = newSegment(seq, path, false, k.d.segs.segSize), f
	k.d.segs.add(k.sg)
	k.chance = k.d.segs.segSize / 2
	if err := k.makeRoom(max(size, k.d.segs.segSize)); err != nil {
		k.discard()
		return err
	}
	if k.sg == nil { // given up while survivors were written to it
		return cache.ErrFull
	}
	return nil
}

// discard drops the open segment.
func (k *keeper) discard() {
	k.noRoom()
	if sg := k.sg; sg != nil {
		k.seal()
		k.d.dropSegment(sg)
	}
}

// noRoom notes that no room could be made. Where it is not the disk that is full,
// large objects on their way have claimed all there is, and that passes with them.
func (k *keeper) noRoom() {
	if k.d.space.low() {
		k.d.setReadOnly("disk is nearly full", nil)
	}
}

// createDirect creates a file for direct writing, where that works.
func createDirect(path string) (f *os.File, direct bool, err error) {
	f, err = os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|unix.O_DIRECT, 0o600)
	if !errors.Is(err, unix.EINVAL) {
		return f, err == nil, err
	}
	_ = os.Remove(path) // some file systems create it first
	f, err = os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	return f, false, err
}

// seal ends the open segment.
func (k *keeper) seal() {
	if k.sg == nil {
		return
	}
	k.list()
	if err := k.f.Close(); err != nil {
		k.d.failed("close", err)
	}
	k.sg, k.f, k.contents = nil, nil, k.contents[:0]
	k.tail.begin(k.tail.grain)
}

// list writes the contents to the end of the open segment, which is that of a disk
// block. Where that fails there are none.
func (k *keeper) list() {
	if len(k.contents) == 0 || k.d.readOnly() {
		return
	}
	k.contents = appendTrailer(k.contents)
	gap := -(k.tail.end() + int64(len(k.contents))) & (diskAlign - 1)
	var zero [diskAlign]byte
	if k.write(zero[:gap]) == nil && k.write(k.contents) == nil {
		_ = k.save() // it has told what is wrong
	}
}

// save writes the tail.
func (k *keeper) save() error {
	if !k.tail.unsaved() {
		return nil
	}
	n := k.tail.padded()
	if err := k.d.checkSpace(n); err != nil {
		return err
	}
	end := k.tail.base + n
	if err := k.tail.write(k.f); err != nil {
		k.d.failed("write", err)
		return fmt.Errorf("%w: %w", cache.ErrFull, err)
	}
	if more := end - k.sg.size.Load(); more > 0 {
		k.d.segs.grow(k.sg, more)
	}
	return nil
}

// flush writes all bodies that are in the tail, after which their records may
// be written. False: they are lost.
func (k *keeper) flush() bool {
	if k.sg == nil {
		return true
	}
	if err := k.save(); err != nil {
		k.lose()
		return false
	}
	for _, c := range k.placed {
		c.placed = true
		k.d.s.n.swapOuts.Add(1)
	}
	k.unplace()
	return true
}

func (k *keeper) unplace() {
	clear(k.placed)
	k.placed, k.held = k.placed[:0], 0
}

// lose gives up what could not be written, and the segment with it: its end is
// not known to be good.
func (k *keeper) lose() {
	for _, c := range k.placed {
		k.abandon(k.d.s.hash(c.v.rec.meta.Key), c)
	}
	k.unplace()
	k.contents = k.contents[:0] // nothing more goes into this one
	k.seal()
}

// abandon takes a change off the overlay again: the object is not stored.
func (k *keeper) abandon(h hash, c *change) {
	s := k.d.s
	s.n.lost.Add(1)
	sh := s.shard(h)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.gen++
	s.mem.delete(h)
	if p := sh.keys[h]; p != nil && p.remove(c) {
		k.d.release(c)
	}
}
