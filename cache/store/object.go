package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/cachenode/cachenode/cache"
)

// variant is one stored response as the store knows it. It is immutable. With
// a body it is the cache.Object of the memory tier itself.
type variant struct {
	rec   record
	body  []byte   // the whole body, nil when it is on disk only
	lease *lease   // what body lies in, nil: it is this variant's own
	sg    *segment // where the hit is counted; nil while it has no place
}

var _ cache.Object = (*variant)(nil)

// Meta implements cache.Object.
func (v *variant) Meta() *cache.Meta { return v.rec.meta }

// Tier implements cache.Object.
func (v *variant) Tier() cache.Tier { return cache.TierMemory }

// Bytes implements cache.Object.
func (v *variant) Bytes() []byte {
	v.touch()
	return v.body
}

// ReadAt implements io.ReaderAt.
func (v *variant) ReadAt(p []byte, off int64) (int, error) {
	v.touch()
	return readAt(v.body, p, off)
}

// Verify implements cache.Object.
func (v *variant) Verify() error { return nil }

// Release implements cache.Object.
func (v *variant) Release() {}

// touch notes a hit for the second chance at eviction.
func (v *variant) touch() {
	if v.sg != nil {
		v.sg.hit(v.rec.loc.off)
	}
}

// withMeta is v with other metadata than those in its entry.
func (v *variant) withMeta(m *cache.Meta) *variant {
	nv := *v
	nv.rec.meta, nv.rec.size = m, metaSize(m)
	nv.rec.apart, nv.rec.bare = 0, false
	return &nv
}

// completed is v, if it is bare, with the metadata of r, a record of the same
// response, when those are the ones in the entry.
func (v *variant) completed(r *record) *variant {
	if !v.rec.bare || r.bare || r.apart != v.rec.apart {
		return v
	}
	nv := *v
	nv.rec.meta, nv.rec.size, nv.rec.bare = r.meta, r.size, false
	return &nv
}

// whole reports that all of v is in memory.
func (v *variant) whole() bool { return v.body != nil && !v.rec.bare }

// at is v in another place, without a body that is leased.
func (v *variant) at(loc place, sg *segment) *variant {
	nv := *v
	nv.rec.loc, nv.sg = loc, sg
	if v.lease != nil {
		nv.body, nv.lease = nil, nil
	}
	return &nv
}

// withBody is v with its body in memory.
func (v *variant) withBody(b []byte, sg *segment) *variant {
	nv := *v
	nv.body, nv.lease, nv.sg = b, nil, sg
	return &nv
}

// cost is the memory that v takes. The metadata count twice: once more for what
// a server keeps beside them.
func (v *variant) cost() int64 {
	return int64(cap(v.body)) + 2*int64(v.rec.size) + variantOverhead
}

// variantOverhead is what the structs, the slices and the tables around one
// variant take beside its bytes, measured.
const variantOverhead = 900

// variantOf returns the variant behind an object of this package.
func variantOf(o cache.Object) *variant {
	switch o := o.(type) {
	case *variant:
		return o
	case leasedObject:
		return o.variant
	case *diskObject:
		return o.v
	}
	return nil
}

// diskObject is an object whose body is in a segment, pinned.
type diskObject struct {
	s  *Store
	h  hash
	v  *variant
	sg *segment

	one [1]cache.Object // itself, for Lookup to return

	mu      sync.Mutex // guards all below
	read    []byte     // the whole body as it came with the metadata, not checked; nil: it did not
	body    []byte     // the whole body, once Verify has checked it
	reading bool       // r is in use
	r       bodyReader
	at      int64 // when the file was changed last, before r began to read it; 0: not known
	sound   bool  // all of the body was and is as it was written
}

var _ cache.InFile = (*diskObject)(nil)

// Meta implements cache.Object.
func (o *diskObject) Meta() *cache.Meta { return o.v.rec.meta }

// Tier implements cache.Object.
func (o *diskObject) Tier() cache.Tier { return cache.TierDisk }

// Bytes implements cache.Object: small bodies are there after Verify, those of one
// block in the reader's memory.
func (o *diskObject) Bytes() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.body == nil && o.reading && o.r.blocks() == 1 && o.r.has(0) {
		return o.r.buf
	}
	return o.body
}

// ReadAt implements io.ReaderAt.
func (o *diskObject) ReadAt(p []byte, off int64) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.body != nil {
		return readAt(o.body, p, off)
	}
	n, err := o.reader().ReadAt(p, off)
	if o.r.sound() {
		o.sg.sound.set(&o.v.rec, o.at)
	}
	return n, o.check(err)
}

// complete reads the metadata, and a short body with them when it is wanted too. An
// object whose metadata cannot be read is dropped. It is called before anybody else
// has the object.
func (o *diskObject) complete(withBody bool) error {
	r, body, err := o.v.rec.complete(o.sg, o.h, &o.s.disk.line, withBody)
	if err != nil {
		return o.s.unreadable(o.h, o.v, err)
	}
	o.v, o.read = o.v.completed(&r), body
	return nil
}

// File implements cache.InFile. It knows what Verify found.
func (o *diskObject) File() (*os.File, int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.sound || o.v.rec.meta.Length > groupSize {
		return nil, 0
	}
	return o.sg.f, o.v.rec.loc.off + headerSize
}

// Verify implements cache.Object. A small body that the memory tier may keep is
// read whole and offered to it, and one that came with its metadata is checked whole.
// Of another one it checks every block until that was done once since the start, up
// to checkWhole; of a longer one the first.
func (o *diskObject) Verify() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.body != nil {
		return nil
	}
	again := o.sg.hit(o.v.rec.loc.off)
	if o.read != nil || o.s.wantsWhole(o.v.rec.meta.Length, again) {
		return o.check(o.load())
	}
	r := o.reader()
	if o.sound = o.sg.sound.has(&o.v.rec, o.at); o.sound {
		return nil
	}
	blocks := r.blocks()
	if o.v.rec.meta.Length > checkWhole {
		blocks = 1
	}
	if err := r.checkBlocks(blocks); err != nil {
		return o.check(err)
	}
	if r.sound() {
		o.sg.sound.set(&o.v.rec, o.at)
		o.sound = o.sg.sound.has(&o.v.rec, o.at)
	}
	return nil
}

// load gets the whole body and offers it to the memory tier.
func (o *diskObject) load() error {
	b := o.read
	if b == nil {
		b = make([]byte, o.v.rec.meta.Length)
		if _, err := o.reader().ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	} else if sumOf(b) != o.v.rec.sum {
		return fmt.Errorf("%w: body", cache.ErrCorrupt)
	}
	o.body = b
	if o.s.mem.keeps(o.v.rec.meta.Length) {
		o.s.n.swapIns.Add(1)
		o.s.promote(o.h, o.v.withBody(b, o.sg))
	}
	return nil
}

// Release implements cache.Object.
func (o *diskObject) Release() {
	o.mu.Lock()
	if o.reading {
		o.r.close()
		o.reading = false
	}
	o.mu.Unlock()
	o.s.disk.segs.unpin(o.sg)
}

func (o *diskObject) reader() *bodyReader {
	if !o.reading {
		o.sg.hit(o.v.rec.loc.off)
		o.r.init(o.sg, &o.v.rec)
		o.reading, o.at = true, 0
		if o.v.rec.meta.Length > blockSize {
			o.at = changedAt(o.sg.f)
		}
	}
	return &o.r
}

// check drops the object when err says that it is damaged or unreadable.
func (o *diskObject) check(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	return o.s.unreadable(o.h, o.v, err)
}

// unreadable drops v, which err says is damaged or cannot be read.
func (s *Store) unreadable(h hash, v *variant, err error) error {
	if !errors.Is(err, cache.ErrCorrupt) {
		s.disk.failed("read", err)
		err = errors.Join(cache.ErrCorrupt, err)
	}
	s.drop(h, v)
	return err
}

// checkWhole is the body length up to which damage anywhere makes a miss rather
// than a response that breaks off.
const checkWhole = 4 << 20

// promoteAtOnce is the body length up to which the first disk hit fills the
// memory tier; longer bodies must be hit twice, so that reading much data once
// does not go through the memory.
const promoteAtOnce = 64 << 10

// wantsWhole reports whether a body of n bytes on disk is to be read into memory.
func (s *Store) wantsWhole(n int64, again bool) bool {
	return s.mem.keeps(n) && (again || n <= promoteAtOnce)
}

// promote gives the memory tier the body of a variant that it knows, which it
// keeps.
func (s *Store) promote(h hash, v *variant) {
	sh := s.shard(h)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.keys[h] == nil {
		s.mem.fill(h, v)
	}
}

// readAt is io.ReaderAt over b.
func readAt(b, p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("negative offset")
	}
	if off >= int64(len(b)) {
		return 0, io.EOF
	}
	n := copy(p, b[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
