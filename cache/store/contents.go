package store

import (
	"encoding/binary"

	"github.com/zeebo/xxh3"
)

// The contents of a shared segment stand at its end, so that who evicts it need not
// read all of it to learn what was in it:
//
//	n times: key hash 16 · offset of the entry 8
//	n 8 · magic 8 · xxh3 of all before (8)
//
// A segment that was not sealed, as when the process was killed, has none.
const (
	contentsMagic = 0x31737473746e6563 // "centsts1"
	listedSize    = len(hash{}) + 8
	trailerSize   = 24
)

// listed is an entry of the contents.
type listed struct {
	h   hash
	off int64
}

func (l listed) append(b []byte) []byte {
	return binary.LittleEndian.AppendUint64(append(b, l.h[:]...), uint64(l.off))
}

// appendTrailer ends the contents that are in b.
func appendTrailer(b []byte) []byte {
	n := len(b) / listedSize
	b = binary.LittleEndian.AppendUint64(b, uint64(n))
	b = binary.LittleEndian.AppendUint64(b, contentsMagic)
	return binary.LittleEndian.AppendUint64(b, xxh3.Hash(b))
}

// contentsSize is the length of the contents of b, which end with it, as their
// trailer says; 0: there are none. Whether they are whole is not known yet.
func contentsSize(b []byte) int64 {
	if len(b) < trailerSize {
		return 0
	}
	end := b[len(b)-trailerSize:]
	n := binary.LittleEndian.Uint64(end)
	if binary.LittleEndian.Uint64(end[8:]) != contentsMagic || n > maxLength/uint64(listedSize) {
		return 0
	}
	return int64(n)*int64(listedSize) + trailerSize
}

// parseContents returns what is listed in b, which is nothing but contents; false:
// they are damaged.
func parseContents(b []byte) ([]listed, bool) {
	if contentsSize(b) != int64(len(b)) || len(b) == 0 ||
		binary.LittleEndian.Uint64(b[len(b)-8:]) != xxh3.Hash(b[:len(b)-8]) {
		return nil, false
	}
	all := make([]listed, 0, len(b)/listedSize)
	for b = b[:len(b)-trailerSize]; len(b) > 0; b = b[listedSize:] {
		all = append(all, listed{hash(b[:len(hash{})]), int64(binary.LittleEndian.Uint64(b[len(hash{}):]))})
	}
	return all, true
}

// readContents returns what is listed at the end of a pinned segment; false: it has
// no contents.
func readContents(sg *segment) ([]listed, bool) {
	info, err := sg.f.Stat()
	if err != nil {
		return nil, false
	}
	var trailer [trailerSize]byte
	if readFull(sg, trailer[:], info.Size()-trailerSize) != nil {
		return nil, false
	}
	n := contentsSize(trailer[:])
	if n == 0 || n > info.Size() {
		return nil, false
	}
	b := make([]byte, n)
	if readFull(sg, b, info.Size()-n) != nil {
		return nil, false
	}
	return parseContents(b)
}

// each calls fn for each entry of a pinned segment, by its contents where it has
// any.
func each(sg *segment, fn func(h hash, off int64)) error {
	if all, ok := readContents(sg); ok {
		for _, l := range all {
			fn(l.h, l.off)
		}
		return nil
	}
	return walk(sg, func(e found) bool {
		fn(e.h, e.off)
		return true
	})
}
