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
	var entry []byte // whole, where it lies; nil: it is copied
	if frames(frame, body) {
		gap := -k.tail.end() & (k.tail.grain - 1)
		if entry = fill(frame, e, k.sums.b, apart, k.tail.grain, gap); entry != nil {
			if err := k.skip(gap); err != nil {
				return place{}, err
			}
		}
	}
	loc := place{seg: k.sg.seq, off: k.tail.end()}
	if err := k.put(entry, l, e, body, apart); err != nil {
		return place{}, err
	}
	k.contents = listed{h, loc.off}.append(k.contents)
	return loc, nil
}

// sum leaves the block sums of a body in sums, none of one block.
func (k *keeper) sum(id uint64, body []byte) {
	k.sums = sums{id: id, b: k.sums.b[:0]}
	if len(body) > blockSize {
		k.sums.addAll(body)
		k.sums.b = k.sums.seal()
	}
}

// put appends an entry to the tail: a whole one without a copy, else its pieces.
func (k *keeper) put(entry []byte, l *lease, e header, body, apart []byte) error {
	if entry == nil {
		var head [headerSize]byte
		var zero [entryAlign]byte
		return k.write(e.append(head[:0]), body, k.sums.b, apart, zero[:e.padding()])
	}
	k.tail.lend(entry, l)
	if k.tail.full() {
		return k.save()
	}
	return nil
}

// skip makes the next entry begin gap bytes later.
func (k *keeper) skip(gap int64) error {
	if gap == 0 {
		return nil
	}
	room := make([]byte, gap)
	filler(gap).append(room[:0])
	return k.write(room)
}

// fits reports whether the open segment has room for one more entry of size, with
// what it may be aligned by, and the contents with it.
func (k *keeper) fits(size int64) bool {
	return k.tail.end()+size+2*k.tail.grain+int64(len(k.contents)+listedSize+trailerSize)+diskAlign <= k.d.segs.segSize
}

// write copies pieces to the tail. When that fails nothing more of them comes, and
// what comes next begins where an entry may.
func (k *keeper) write(pieces ...[]byte) error {
	for _, p := range pieces {
		for len(p) > 0 {
			p = p[k.tail.copy(p):]
			if !k.tail.full() {
				continue
			}
			if err := k.save(); err != nil {
				k.tail.align()
				return err
			}
		}
	}
	return nil
}
