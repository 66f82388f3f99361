package store

import "github.com/cachenode/cachenode/cache"

// appendEntry puts an entry into the tail, writing what is full. Where the body lies
// in a frame it is not copied; l is the lease of the frame then.
func (k *keeper) appendEntry(h hash, id uint64, body, apart, frame []byte, l *lease) (place, error) {
	if k.d.readOnly() {
		return place{}, cache.ErrFull
	}
	e := header{h: h, id: id, length: int64(len(body)), apart: len(apart)}
	if k.sg == nil || !k.fits(e.size()) {
		if err := k.open(e.size()); err != nil {
			return place{}, err
		}
	}
	k.sum(id, body)
	if frames(frame, body) {
		gap := -k.tail.end() & (k.tail.grain - 1)
		if entry := fill(frame, e, k.sums.b, apart, k.tail.grain, gap); entry != nil {
			return k.lend(h, entry, l, gap)
		}
	}
	loc := k.next()
	if err := k.copy(e, body, apart); err != nil {
		return place{}, err
	}
	k.contents = listed{h, loc.off}.append(k.contents)
	return loc, nil
}

// next is where the next entry comes to lie.
func (k *keeper) next() place { return place{seg: k.sg.seq, off: k.tail.end()} }

// sum leaves the block sums of a body in sums, none of one block.
func (k *keeper) sum(id uint64, body []byte) {
	k.sums = sums{id: id, b: k.sums.b[:0]}
	if len(body) <= blockSize {
		return
	}
	for b := body; len(b) > 0; b = b[min(blockSize, len(b)):] {
		k.sums.add(b[:min(blockSize, len(b))])
	}
	k.sums.b = k.sums.seal()
}

// copy appends an entry to the tail. When that fails nothing more of it comes.
func (k *keeper) copy(e header, body, apart []byte) error {
	var head [headerSize]byte
	var zero [entryAlign]byte
	for _, p := range [...][]byte{e.append(head[:0]), body, k.sums.b, apart, zero[:e.padding()]} {
		if err := k.write(p); err != nil {
			k.tail.align()
			return err
		}
	}
	return nil
}

// lend appends a whole entry to the tail where it lies, behind a gap that makes it
// begin where it may.
func (k *keeper) lend(h hash, entry []byte, l *lease, gap int64) (place, error) {
	if gap > 0 {
		zero := make([]byte, gap)
		if err := k.write(filler(gap).append(zero[:0])[:gap]); err != nil {
			k.tail.align()
			return place{}, err
		}
	}
	loc := k.next()
	k.tail.lend(entry, l)
	k.contents = listed{h, loc.off}.append(k.contents)
	if k.tail.full() {
		return loc, k.save()
	}
	return loc, nil
}

// fits reports whether the open segment has room for one more entry of size, with
// what it may be aligned by, and the contents with it.
func (k *keeper) fits(size int64) bool {
	return k.tail.end()+size+2*k.tail.grain+int64(len(k.contents)+listedSize+trailerSize)+diskAlign <= k.d.segs.segSize
}

func (k *keeper) write(p []byte) error {
	for len(p) > 0 {
		p = p[k.tail.copy(p):]
		if k.tail.full() {
			if err := k.save(); err != nil {
				return err
			}
		}
	}
	return nil
}
