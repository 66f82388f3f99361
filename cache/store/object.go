package store

import (
	"errors"
	"io"
	"sync"

	"github.com/cachenode/cachenode/cache"
)

// variant is one stored response as the store knows it. It is immutable. With
// a body it is the cache.Object of the memory tier itself.
type variant struct {
	rec  record
	body []byte   // the whole body, nil when it is on disk only
	sg   *segment // where the hit is counted; nil while it has no place
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

// withMeta is v with other metadata.
func (v *variant) withMeta(m *cache.Meta) *variant {
	nv := *v
	nv.rec.meta = m
	return &nv
}

// at is v in another place.
func (v *variant) at(loc place, sg *segment) *variant {
	nv := *v
	nv.rec.loc, nv.sg = loc, sg
	return &nv
}

// withBody is v with its body in memory.
func (v *variant) withBody(b []byte, sg *segment) *variant {
	nv := *v
	nv.body, nv.sg = b, sg
	return &nv
}

// cost is the memory that v takes.
func (v *variant) cost() int64 {
	return int64(cap(v.body)) + int64(metaSize(v.rec.meta)) + variantOverhead
}

// variantOverhead is what the structs, the slices and the tables around one
// variant take beside its bytes, measured.
const variantOverhead = 900

// variantOf returns the variant behind an object of this package.
func variantOf(o cache.Object) *variant {
	switch o := o.(type) {
	case *variant:
		return o
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

	mu   sync.Mutex // guards all below
	body []byte     // the whole body, once Verify has read it
	r    *bodyReader
}

// Meta implements cache.Object.
func (o *diskObject) Meta() *cache.Meta { return o.v.rec.meta }

// Tier implements cache.Object.
func (o *diskObject) Tier() cache.Tier { return cache.TierDisk }

// Bytes implements cache.Object: small bodies are there after Verify.
func (o *diskObject) Bytes() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
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
	return n, o.check(err)
}

// Verify implements cache.Object. It reads the body whole when it is small, and
// offers it to the memory tier. Of a larger one it checks every block at the
// first hit since the start, up to checkWhole, and the first block later.
func (o *diskObject) Verify() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.body != nil {
		return nil
	}
	again := o.sg.hit(o.v.rec.loc.off)
	if !o.s.wantsWhole(o.v.rec.meta.Length, again) {
		blocks := int64(1)
		if n := o.v.rec.meta.Length; !again && n <= checkWhole {
			blocks = (n + blockSize - 1) / blockSize
		}
		return o.check(o.reader().checkBlocks(blocks))
	}
	b := make([]byte, o.v.rec.meta.Length)
	if _, err := o.reader().ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		return o.check(err)
	}
	o.body = b
	o.s.n.swapIns.Add(1)
	o.s.promote(o.h, o.v.withBody(b, o.sg))
	return nil
}

// Release implements cache.Object.
func (o *diskObject) Release() {
	o.mu.Lock()
	if o.r != nil {
		o.r.close()
		o.r = nil
	}
	o.mu.Unlock()
	o.s.disk.segs.unpin(o.sg)
}

func (o *diskObject) reader() *bodyReader {
	if o.r == nil {
		o.sg.hit(o.v.rec.loc.off)
		o.r = newBodyReader(o.sg, &o.v.rec)
	}
	return o.r
}

// check drops the object when err says that it is damaged or unreadable.
func (o *diskObject) check(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	if !errors.Is(err, cache.ErrCorrupt) {
		o.s.disk.failed("read", err)
		err = errors.Join(cache.ErrCorrupt, err)
	}
	o.s.drop(o.h, o.v)
	return err
}

// checkWhole is the body length up to which damage anywhere makes a miss rather
// than a response that breaks off.
const checkWhole = 4 << 20

// promoteAtOnce is the body length up to which the first disk hit fills the
// memory tier; longer bodies must be hit twice, so that reading much data once
// does not go through the memory.
const promoteAtOnce = 64 << 10

// wantsWhole reports whether a body of n bytes on disk is to be read whole.
func (s *Store) wantsWhole(n int64, again bool) bool {
	if n <= promoteAtOnce {
		return true
	}
	return again && s.mem != nil && n <= s.mem.maxObject
}

// promote gives the memory tier the body of a variant that it knows.
func (s *Store) promote(h hash, v *variant) {
	if s.mem == nil || v.rec.meta.Length > s.mem.maxObject {
		return
	}
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
