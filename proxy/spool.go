package proxy

import (
	"cmp"
	"context"
	"errors"
	"io"
	"sync"

	"github.com/cachenode/cachenode/cache"
)

// spool carries one body from its fetch to any number of readers while it
// arrives. What the store takes is read back from the store's writer, so a slow
// reader never holds up a fetch that is stored. What the store does not take
// goes through a ring of fixed size, and there the slowest reader sets the pace.
type spool struct {
	w     cache.Writer          // nil: nothing of this body is stored
	size  int                   // of the ring
	owner interface{ review() } // told once when w takes no more, nil: nobody cares

	mu      sync.Mutex // guards what follows
	changed chan struct{}
	lost    bool   // w takes no more; changed by the fetch only
	kept    int64  // bytes that w holds
	from    int64  // the ring holds the bytes from here to end
	end     int64  // bytes written
	shown   int64  // bytes readers may see, at most end
	ring    []byte // made when w has not taken something
	readers []*spoolReader
	done    bool
	err     error // final; nil after a whole body

	first struct { // room for the first reader, as most bodies have one only
		spoolReader
		in [1]*spoolReader
	}
}

// source is a body to read from. A read may return fewer bytes than asked for;
// it blocks until there are some.
type source interface {
	ReadAt(p []byte, off int64) (int, error)
}

// spoolReader is one reader's place in a spool.
type spoolReader struct {
	s     *spool
	ctx   context.Context // of the request it reads for: ends its waiting
	off   int64           // guarded by s.mu: everything before it may be forgotten
	idle  pusher          // told before it waits with something read since it last did; nil: nobody
	moved bool            // something was read since then
}

// pusher sends on what it has kept back so far.
type pusher interface{ push() }

// fit makes the ring no larger than a body of n bytes, if its length is known.
func (s *spool) fit(n int64) {
	if n > 0 {
		s.size = int(min(n, int64(s.size)))
	}
}

// write appends p. Readers see it at once, or with hold only after finish. It
// blocks while the ring is full.
func (s *spool) write(ctx context.Context, p []byte, hold bool) error {
	for len(p) > 0 {
		n := s.keep(p)
		s.mu.Lock()
		if n == 0 {
			var err error
			if n, err = s.buffer(ctx, p); err != nil {
				s.mu.Unlock()
				return err
			}
		}
		p = p[n:]
		s.end += int64(n)
		if !hold || len(p) > 0 {
			s.shown = s.end
			s.wake()
		}
		s.mu.Unlock()
	}
	return nil
}

// room is where the store wants the next n bytes, or the first of them; nil
// when they are to be written.
func (s *spool) room(n int64) []byte {
	if !s.intact() {
		return nil
	}
	return s.w.Reserve(int(min(n, maxRoom)))
}

// maxRoom bounds what is read at once, so that readers follow closely.
const maxRoom = 256 << 10

// advance appends n bytes that were put into room; it is write without a copy.
func (s *spool) advance(n int, hold bool) {
	s.w.Advance(n)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept += int64(n)
	s.from, s.end = s.kept, s.kept
	if !hold {
		s.shown = s.end
		s.wake()
	}
}

// keep gives p to the store's writer and returns how much of it that took.
func (s *spool) keep(p []byte) int {
	if !s.intact() {
		return 0
	}
	n, err := s.w.Write(p)
	s.mu.Lock()
	s.kept += int64(n)
	s.from = s.kept
	s.lost = err != nil || n < len(p)
	s.mu.Unlock()
	if s.lost && s.owner != nil {
		s.owner.review()
	}
	return n
}

// buffer puts some of p into the ring, once there is room. mu is held, so that
// nobody reads what is being overwritten.
func (s *spool) buffer(ctx context.Context, p []byte) (int, error) {
	if s.ring == nil {
		s.ring = make([]byte, s.size)
	}
	for {
		if room := s.low() + int64(s.size) - s.end; room > 0 {
			at := int(s.end % int64(s.size))
			n := copy(s.ring[at:min(s.size, at+int(min(room, int64(len(p)))))], p)
			s.from = max(s.from, s.end+int64(n)-int64(s.size))
			return n, nil
		}
		if err := s.wait(ctx); err != nil {
			return 0, err
		}
	}
}

// low is the lowest offset of the ring that a reader still wants. Without
// readers nothing is forgotten: the first is on its way, or else the fetch is
// cancelled. mu is held.
func (s *spool) low() int64 {
	if len(s.readers) == 0 {
		return s.from
	}
	low := s.end
	for _, r := range s.readers {
		low = min(low, max(r.off, s.kept))
	}
	return low
}

// intact reports whether the store's writer has taken every byte.
func (s *spool) intact() bool { return s.w != nil && !s.lost }

// finish ends the body, once; err nil means that it is whole.
func (s *spool) finish(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done {
		return
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // to readers EOF is the proper end
	}
	s.done, s.err = true, err
	if err == nil {
		s.shown = s.end
	}
	s.wake()
}

// whole reports whether the body has ended properly.
func (s *spool) whole() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.done && s.err == nil
}

// attach adds a reader that begins at off, and fails when bytes from there on
// have been forgotten.
func (s *spool) attach(ctx context.Context, off int64) *spoolReader {
	s.mu.Lock()
	defer s.mu.Unlock()
	if off < s.from && (off >= s.kept || s.kept < s.from) {
		return nil
	}
	r := s.newReader()
	*r = spoolReader{s: s, ctx: ctx, off: off, moved: true}
	s.readers = append(s.readers, r)
	s.wake() // a fetch that waits for its first reader
	return r
}

// newReader is room for one more; mu is held.
func (s *spool) newReader() *spoolReader {
	if s.first.s != nil {
		return new(spoolReader)
	}
	s.readers = s.first.in[:0]
	return &s.first.spoolReader
}

// detach ends a reader.
func (r *spoolReader) detach() {
	s := r.s
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, o := range s.readers {
		if o == r {
			s.readers = append(s.readers[:i], s.readers[i+1:]...)
			break
		}
	}
	s.wake()
}

// ReadAt blocks until there are bytes at off, the body ends (io.EOF), its
// fetch fails, or the reader's request does. Reading at off gives up all bytes
// before it.
func (r *spoolReader) ReadAt(p []byte, off int64) (int, error) {
	s := r.s
	s.mu.Lock()
	kept, err := r.await(off)
	if err != nil {
		s.mu.Unlock()
		return 0, err
	}
	if kept > 0 {
		s.mu.Unlock()
		return s.w.ReadAt(p[:min(int64(len(p)), kept)], off)
	}
	n := s.fromRing(p, off)
	s.mu.Unlock()
	if n == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	return n, nil
}

// View blocks as ReadAt does and returns the bytes at off where they lie, which
// is to be read only, and good until detach; nil when they must be read by ReadAt.
func (r *spoolReader) View(off int64) ([]byte, error) {
	s := r.s
	s.mu.Lock()
	kept, err := r.await(off)
	s.mu.Unlock()
	if err != nil || kept == 0 {
		return nil, err
	}
	b := s.w.Bytes(off)
	return b[:min(int64(len(b)), kept)], nil
}

// await waits until there are bytes at off, and returns how many of them the
// store's writer has; 0: they are in the ring. s.mu is held.
func (r *spoolReader) await(off int64) (kept int64, err error) {
	s := r.s
	if off > r.off {
		r.off = off
		if s.ring != nil {
			s.wake()
		}
	}
	for off >= s.shown {
		if s.done {
			return 0, cmp.Or(s.err, io.EOF)
		}
		if r.moved && r.idle != nil {
			r.moved = false
			s.mu.Unlock()
			r.idle.push()
			s.mu.Lock()
			continue
		}
		if err := s.wait(r.ctx); err != nil {
			return 0, err
		}
	}
	r.moved = true
	return max(0, min(s.shown, s.kept)-off), nil
}

// fromRing copies what the ring has at off; 0 when that is forgotten. mu is held.
func (s *spool) fromRing(p []byte, off int64) int {
	if off < s.from {
		return 0
	}
	at := int(off % int64(s.size))
	return copy(p, s.ring[at:min(s.size, at+int(s.shown-off))])
}

// wait gives mu up until something changes or ctx ends. mu is held.
func (s *spool) wait(ctx context.Context) error {
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	changed := s.changed
	s.mu.Unlock()
	defer s.mu.Lock()
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// wake ends all waits. mu is held.
func (s *spool) wake() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}
