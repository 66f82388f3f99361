package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/cachenode/cachenode/cache"
)

// writer takes one body: in memory while it is small, then into a file of its
// own.
type writer struct {
	s    *Store
	h    hash
	id   uint64
	f    *flight
	own  flight // what f points to when this writer was the first
	hint int64  // expected length, -1 when it is not known
	meta *cache.Meta
	size int // metaSize of meta

	mu     sync.RWMutex // guards all below against ReadAt
	body   []byte       // while spill is nil
	lease  *lease       // what body lies in, or lay in, until Close; nil: in no leased memory
	frame  []byte       // the same with the room around body; nil: there is none
	spill  *spill
	length int64
	held   int64 // bytes of memory, counted in building of the store

	err  error // final
	done bool  // committed
}

var _ cache.Writer = (*writer)(nil)

func newWriter(s *Store, m *cache.Meta, size int) *writer {
	h := s.hash(m.Key)
	// The flight comes before the id: a purge that comes between finds the
	// flight, one that comes before has the lower id.
	w := &writer{s: s, h: h, hint: m.Length, meta: m, size: size}
	w.f = s.shard(h).takeOff(h, m.Key, &w.own)
	w.id = s.ids.next()
	return w
}

// Write implements io.Writer.
func (w *writer) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	if w.done {
		return 0, errors.New("write after commit")
	}
	if w.length+int64(len(p)) > w.s.maxObject() {
		w.err = cache.ErrTooLarge
		return 0, w.err
	}
	if w.spill == nil && w.outgrows(len(p)) {
		if w.err = w.spillOver(); w.err != nil {
			return 0, w.err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.spill != nil {
		var n int
		n, w.err = w.spill.write(p)
		w.length += int64(n)
		return n, w.err
	}
	w.grow(len(p))
	w.body = append(w.body, p...)
	w.length += int64(len(p))
	return len(p), nil
}

// outgrows reports whether n more bytes are too many to be kept in memory.
func (w *writer) outgrows(n int) bool {
	return w.length+int64(n) > w.most()
}

// most is the longest body that is kept in memory while it is written. Where
// bodies on their way take much memory, one that would need more goes to its file.
func (w *writer) most() int64 {
	if w.s.disk == nil {
		return w.s.maxObject()
	}
	if w.s.pressed() {
		return min(w.s.disk.large, max(int64(cap(w.body)), exactUpTo))
	}
	return w.s.disk.large
}

// minBuilding is the memory that bodies on their way may have before more of them
// go to files, where half of the memory tier is less.
const minBuilding = 32 << 20

// pressed reports that bodies on their way take much memory.
func (s *Store) pressed() bool {
	return s.building.Load() > max(int64(s.o.Memory/2), minBuilding)
}

// hold counts n bytes as what w holds now.
func (w *writer) hold(n int) {
	w.s.building.Add(int64(n) - w.held)
	w.held = int64(n)
}

// Reserve implements cache.Writer. There is room only for bodies of announced
// length that are kept in memory.
func (w *writer) Reserve(n int) []byte {
	n = int(min(int64(n), w.s.maxObject()-w.length, w.most()-w.length))
	if n <= 0 || w.err != nil || w.done || w.spill != nil || w.hint < 0 {
		return nil
	}
	if len(w.body) == cap(w.body) {
		w.mu.Lock()
		w.grow(min(n, reserveStep))
		w.mu.Unlock()
	}
	return w.body[len(w.body):min(len(w.body)+n, cap(w.body))]
}

// Advance implements cache.Writer.
func (w *writer) Advance(k int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.body = w.body[:len(w.body)+k]
	w.length += int64(k)
}

// Bytes implements cache.Writer.
func (w *writer) Bytes(off int64) []byte {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.spill != nil || off < 0 || off >= int64(len(w.body)) {
		return nil
	}
	return w.body[off:]
}

const (
	// exactUpTo is the expected length up to which memory is taken at once; more
	// is taken as it comes, whatever an origin has announced.
	exactUpTo = 128 << 10
	// reserveStep is what is taken first of a longer one.
	reserveStep = 16 << 10
)

func (w *writer) grow(n int) {
	need := len(w.body) + n
	if need <= cap(w.body) {
		return
	}
	size := max(need, 2*cap(w.body), 4096)
	if w.hint >= int64(need) && (w.hint <= exactUpTo || int64(size) > w.hint) {
		size = int(w.hint)
	}
	w.body = append(w.memory(size), w.body...)
	w.hold(cap(w.body))
}

// memory is room for a body of size bytes, in a frame where the keeper has a use for
// one. It is leased when the body is not going to stay in memory.
func (w *writer) memory(size int) []byte {
	if w.s.disk == nil || int64(size) != w.hint || w.frame != nil {
		return make([]byte, 0, size)
	}
	room := frameSize(w.hint, w.size)
	if !w.s.mem.keeps(w.hint) && w.hint >= leaseFrom {
		if w.lease = w.s.leases.take(room); w.lease != nil {
			w.frame = w.lease.b
			return inFrame(w.frame, size)
		}
	}
	if size < frameFrom {
		return make([]byte, 0, size)
	}
	w.frame = make([]byte, room)
	return inFrame(w.frame, size)
}

// leased reports whether the body lies in leased memory.
func (w *writer) leased() bool {
	return w.lease != nil && frames(w.frame, w.body)
}

// spillOver moves the body to a file.
func (w *writer) spillOver() error {
	sp, err := w.s.disk.newSpill(w.id)
	if err != nil {
		return err
	}
	if _, err := sp.write(w.body); err != nil {
		sp.abort()
		return err
	}
	w.mu.Lock()
	w.spill, w.body, w.frame = sp, nil, nil
	w.hold(cap(sp.buf))
	w.mu.Unlock()
	return nil
}

// ReadAt implements io.ReaderAt.
func (w *writer) ReadAt(p []byte, off int64) (int, error) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.spill != nil {
		return w.spill.readAt(p, off)
	}
	return readAt(w.body, p, off)
}

// Commit implements cache.Writer.
func (w *writer) Commit(m *cache.Meta) error {
	switch {
	case w.err != nil:
		return w.err
	case w.done:
		return errors.New("commit after commit")
	case m.Length != w.length:
		return fmt.Errorf("commit: length is %d, but %d bytes were written", m.Length, w.length)
	}
	if m != w.meta {
		if w.s.hash(m.Key) != w.h {
			return fmt.Errorf("commit: key is not the one of Create")
		}
		if w.meta, w.size = m, metaSize(m); w.size > maxMeta {
			return cache.ErrTooLarge
		}
	}
	w.err = w.commit(m)
	w.done = true
	if errors.Is(w.err, errOvertaken) {
		w.err = nil
	}
	return w.err
}

func (w *writer) commit(m *cache.Meta) error {
	v := &variant{rec: record{id: w.id, meta: m, size: w.size}}
	if w.spill != nil {
		if err := w.flush(); err != nil {
			return err
		}
		if err := w.spill.finish(w.h, v); err != nil {
			return err
		}
		err := w.s.commit(w.h, v, w.f, nil)
		if err != nil {
			w.s.disk.dropSegment(v.sg)
		}
		return err
	}
	if v.body = w.settled(); w.leased() {
		v.lease = w.lease
	}
	if w.s.disk == nil {
		return w.s.commit(w.h, v, w.f, nil)
	}
	if err := w.s.disk.waitRoom(v.charge()); err != nil {
		return err
	}
	err := w.s.commit(w.h, v, w.f, w.frame)
	if err != nil {
		w.s.disk.room.Release(v.charge())
	}
	return err
}

// flush brings the rest of a large body to its file, under those who read it.
func (w *writer) flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.spill.buf) == 0 {
		return nil
	}
	return w.spill.flush()
}

// settled is the body in a slice that wastes little.
func (w *writer) settled() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.body == nil {
		w.body = []byte{}
	}
	if spare := cap(w.body) - len(w.body); spare > len(w.body)/8+512 {
		b := make([]byte, len(w.body))
		copy(b, w.body)
		w.body = b
	}
	return w.body
}

// Close implements cache.Writer.
func (w *writer) Close() {
	if w.spill != nil {
		w.spill.close()
	}
	w.hold(0)
	w.lease.drop()
	w.lease = nil
	w.s.shard(w.h).land(w.h, w.f)
}

// charge is what a change of v counts against the bound of pending bytes.
func (v *variant) charge() int64 {
	return min(int64(len(v.body))+2048, maxPending)
}

const (
	// maxPending bounds the bytes of committed bodies that wait to be written.
	maxPending = 12 << 20
	// maxStall bounds the wait of a Commit for a slow disk. An object that
	// would have to wait longer is not stored.
	maxStall = 40 * time.Millisecond
)

// waitRoom waits until n more bytes may be pending.
func (d *disk) waitRoom(n int64) error {
	if d.room.TryAcquire(n) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), maxStall)
	defer cancel()
	if d.room.Acquire(ctx, n) != nil {
		d.s.n.overruns.Add(1)
		return cache.ErrFull
	}
	return nil
}

// spill is a large body on its way into a segment of its own.
type spill struct {
	d    *disk
	f    *os.File
	path string
	sums sums

	buf      []byte // not written yet; begins at body offset flushed
	flushed  int64  // body bytes in the file, a multiple of the block size
	reserved int64  // bytes accounted
	finished bool   // the segment has taken over the file and its accounting
}

// spillBuffer is what is written at once of a large body. Like the block size,
// which it is a multiple of, it divides the group size.
const spillBuffer = 4 * blockSize

// newSpill creates the file of a large object.
func (d *disk) newSpill(id uint64) (*spill, error) {
	path := d.segs.path(id, partSuffix)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		d.failed("create", err)
		return nil, cache.ErrFull
	}
	size := spillBuffer
	if d.s.pressed() {
		size = blockSize
	}
	return &spill{d: d, f: f, path: path, sums: sums{id: id}, buf: make([]byte, 0, size)}, nil
}

func (sp *spill) write(p []byte) (n int, err error) {
	for len(p) > 0 {
		k := min(len(p), cap(sp.buf)-len(sp.buf))
		sp.buf = append(sp.buf, p[:k]...)
		n, p = n+k, p[k:]
		if len(sp.buf) == cap(sp.buf) {
			if err := sp.flush(); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// flush writes the buffer and, at the end of a group, its sums.
func (sp *spill) flush() error {
	if err := sp.reserve(int64(len(sp.buf)) + 8*(groupBlocks+1)); err != nil {
		return err
	}
	if err := sp.writeAt(sp.buf, fileOffset(sp.flushed)); err != nil {
		return err
	}
	sp.sums.addAll(sp.buf)
	end := fileOffset(sp.flushed) + int64(len(sp.buf))
	sp.flushed += int64(len(sp.buf))
	sp.d.space.owed.Add(-int64(len(sp.buf)))
	sp.buf = sp.buf[:0]
	if sp.sums.full() {
		return sp.writeAt(sp.sums.take(), end)
	}
	return nil
}

func (sp *spill) writeAt(p []byte, off int64) error {
	if _, err := sp.f.WriteAt(p, off); err != nil {
		sp.d.failed("write", err)
		return cache.ErrFull
	}
	return nil
}

// spillStep is how much space a large object asks for at a time.
const spillStep = 4 << 20

// reserve accounts for n more bytes, ahead of the file.
func (sp *spill) reserve(n int64) error {
	if sp.flushed+n <= sp.reserved {
		return nil
	}
	step := max(spillStep, n)
	if err := sp.d.claim(step); err != nil {
		return err
	}
	sp.reserved += step
	sp.d.space.owed.Add(step)
	return nil
}

// settle ends the accounting of what was claimed.
func (sp *spill) settle() {
	sp.d.segs.bytes.Add(-sp.reserved)
	sp.d.space.owed.Add(sp.flushed - sp.reserved)
}

func (sp *spill) readAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, errors.New("negative offset")
	}
	for n < len(p) && off < sp.flushed {
		end := min(sp.flushed, off+int64(len(p)-n), (off/groupSize+1)*groupSize)
		k, err := sp.f.ReadAt(p[n:n+int(end-off)], fileOffset(off))
		n += k
		off += int64(k)
		if err != nil {
			return n, err
		}
	}
	if n == len(p) {
		return n, nil
	}
	k, err := readAt(sp.buf, p[n:], off-sp.flushed)
	return n + k, err
}

// finish completes the file, to which all has been flushed, and makes it a
// segment; v gets its place. It changes nothing that readAt looks at.
func (sp *spill) finish(h hash, v *variant) error {
	length := v.rec.meta.Length
	if length <= blockSize {
		b := make([]byte, length)
		if _, err := sp.f.ReadAt(b, headerSize); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		v.rec.sum = sumOf(b)
	} else if len(sp.sums.b) > 0 {
		if err := sp.writeAt(sp.sums.take(), fileOffset((length-1)/groupSize*groupSize)+length-(length-1)/groupSize*groupSize); err != nil {
			return err
		}
	}
	if err := sp.writeAt(header{h: h, id: v.rec.id, length: length}.append(nil), 0); err != nil {
		return err
	}
	sg, err := sp.d.adopt(sp)
	if err != nil {
		return err
	}
	v.sg = sg
	v.rec.loc = place{seg: sg.seq}
	return nil
}

// abort drops the file.
func (sp *spill) abort() { sp.close() }

// close frees the file and, unless it has become a segment, drops it.
func (sp *spill) close() {
	_ = sp.f.Close() // what matters has been written or is dropped
	if !sp.finished {
		sp.settle()
		_ = os.Remove(sp.path) // a leftover goes at the next start
	}
}
