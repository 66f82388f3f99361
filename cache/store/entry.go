package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/zeebo/xxh3"

	"github.com/cachenode/cachenode/cache"
)

// An entry is one object in a segment:
//
//	header    64 bytes: magic 4 · version 4 · key hash 16 · id 8 · body length 8 ·
//	          metadata length 8 · zero 8 · xxh3 of the 56 bytes before (8)
//	groups    up to 4096 blocks of 64 KiB, then the xxh3 of each block and one
//	          over these sums, seeded with the id and the group's number
//	metadata  with their checksum
//
// The sums are left out when the body is a single block: its record has the
// sum. Metadata are left out when the record has them: those of an object in a
// segment of its own, and updated ones. They lie behind the body so that where
// the body is does not depend on them. Entries start at multiples of 64 bytes. One
// of key hash zero is none but the room up to the next.
//
// Version 1 has no metadata. It is read, not written.
const (
	entryMagic   = 0x316e6563 // "cen1"
	entryVersion = 2
	headerSize   = 64
	entryAlign   = 64

	blockSize   = 64 << 10
	groupBlocks = 4096
	groupSize   = blockSize * groupBlocks

	maxLength = 1 << 56 // of a body
)

// header begins an entry.
type header struct {
	h      hash
	id     uint64
	length int64 // of the body
	apart  int   // length of the metadata
}

var errHeader = errors.New("no entry header")

func (e header) append(b []byte) []byte {
	start := len(b)
	b = binary.LittleEndian.AppendUint32(b, entryMagic)
	b = binary.LittleEndian.AppendUint32(b, entryVersion)
	b = append(b, e.h[:]...)
	b = binary.LittleEndian.AppendUint64(b, e.id)
	b = binary.LittleEndian.AppendUint64(b, uint64(e.length))
	b = binary.LittleEndian.AppendUint64(b, uint64(e.apart))
	b = append(b, make([]byte, 8)...)
	return binary.LittleEndian.AppendUint64(b, xxh3.Hash(b[start:]))
}

func parseHeader(b []byte) (header, error) {
	if len(b) < headerSize || binary.LittleEndian.Uint32(b) != entryMagic ||
		binary.LittleEndian.Uint64(b[56:]) != xxh3.Hash(b[:56]) {
		return header{}, errHeader
	}
	version := binary.LittleEndian.Uint32(b[4:])
	e := header{h: hash(b[8:24]), id: binary.LittleEndian.Uint64(b[24:])}
	length, apart := binary.LittleEndian.Uint64(b[32:]), binary.LittleEndian.Uint64(b[40:])
	if version == 0 || version > entryVersion || length > maxLength || apart > maxApart {
		return header{}, errHeader
	}
	e.length, e.apart = int64(length), int(apart)
	return e, nil
}

// size is the length of the entry, alignment included.
func (e header) size() int64 {
	return (e.unpadded() + entryAlign - 1) / entryAlign * entryAlign
}

func (e header) unpadded() int64 {
	return headerSize + e.length + sumsSize(e.length) + int64(e.apart)
}

// padding is how many zeros follow the entry.
func (e header) padding() int64 { return e.size() - e.unpadded() }

// sumsSize is the length of all sums of a body of n bytes.
func sumsSize(n int64) int64 {
	if n <= blockSize {
		return 0
	}
	groups := (n + groupSize - 1) / groupSize
	blocks := (n + blockSize - 1) / blockSize
	return 8 * (groups + blocks)
}

// fileOffset is where byte n of a body is, counted from the start of its entry.
func fileOffset(n int64) int64 {
	return headerSize + n + n/groupSize*(8*(groupBlocks+1))
}

// sums collects the block sums of one group while a body is written.
type sums struct {
	id    uint64
	group uint64
	b     []byte
}

// add appends the sum of a block.
func (s *sums) add(block []byte) {
	s.b = binary.LittleEndian.AppendUint64(s.b, xxh3.Hash(block))
}

// addAll appends the sums of the blocks of b, which begins with a whole one.
func (s *sums) addAll(b []byte) {
	for ; len(b) > 0; b = b[min(blockSize, len(b)):] {
		s.add(b[:min(blockSize, len(b))])
	}
}

func (s *sums) full() bool { return len(s.b) == 8*groupBlocks }

// take returns the bytes to write behind the group, and begins the next.
func (s *sums) take() []byte {
	b := s.seal()
	s.b = s.b[:0]
	s.group++
	return b
}

// seal is the sums of the group with the one over them.
func (s *sums) seal() []byte {
	return binary.LittleEndian.AppendUint64(s.b, xxh3.HashSeed(s.b, groupSeed(s.id, s.group)))
}

func groupSeed(id, group uint64) uint64 { return id*0x9e3779b97f4a7c15 + group }

// bodyReader reads a body in checked blocks. One goroutine uses it at a time.
type bodyReader struct {
	src    io.ReaderAt
	base   int64 // of the entry
	id     uint64
	sum    uint64
	length int64

	group int64  // whose sums are in sums
	sums  []byte // of the group, nil: none read yet
	block int64  // the one in buf, -1: none
	buf   []byte // nil: none

	passed int64 // blocks from the first on that have passed their checksums

	last [1]byte // of a block: it takes all of the block to know one byte
}

var blockPool = sync.Pool{New: func() any { return new([blockSize]byte) }}

func newBodyReader(src io.ReaderAt, r *record) *bodyReader {
	b := new(bodyReader)
	b.init(src, r)
	return b
}

func (r *bodyReader) init(src io.ReaderAt, rec *record) {
	*r = bodyReader{src: src, base: rec.loc.off, id: rec.id, sum: rec.sum, length: rec.meta.Length}
}

// sound reports that every block has passed its checksum.
func (r *bodyReader) sound() bool { return r.passed == r.blocks() }

func (r *bodyReader) blocks() int64 { return (r.length + blockSize - 1) / blockSize }

func (r *bodyReader) close() {
	if r.buf != nil {
		blockPool.Put((*[blockSize]byte)(r.buf[:blockSize]))
		r.buf = nil
	}
}

// ReadAt reads the body. Every block that it returns bytes of has been checked;
// a wrong one is cache.ErrCorrupt.
func (r *bodyReader) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, errors.New("negative offset")
	}
	for n < len(p) {
		if off >= r.length {
			return n, io.EOF
		}
		var k int
		if off%blockSize == 0 && int64(len(p)-n) >= min(blockSize, r.length-off) && !r.has(off/blockSize) {
			k, err = r.whole(p[n:], off)
		} else {
			k, err = r.part(p[n:], off)
		}
		n += k
		off += int64(k)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// has reports whether a block is in buf.
func (r *bodyReader) has(block int64) bool { return r.buf != nil && r.block == block }

// checkBlocks reads the first blocks of the body for their checksums alone.
func (r *bodyReader) checkBlocks(blocks int64) error {
	for i := range blocks {
		_, err := r.ReadAt(r.last[:], min((i+1)*blockSize, r.length)-1)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
	return nil
}

// whole reads as many whole blocks of one group as fit into p.
func (r *bodyReader) whole(p []byte, off int64) (int, error) {
	end := min(off+int64(len(p)), r.length, (off/groupSize+1)*groupSize)
	if end != r.length {
		end = end / blockSize * blockSize
	}
	p = p[:end-off]
	if err := r.fill(p, fileOffset(off)); err != nil {
		return 0, err
	}
	for n := 0; n < len(p); n += blockSize {
		if err := r.verify(p[n:min(n+blockSize, len(p))], (off+int64(n))/blockSize); err != nil {
			return n, err
		}
	}
	return len(p), nil
}

// part reads from one block by way of buf.
func (r *bodyReader) part(p []byte, off int64) (int, error) {
	block := off / blockSize
	if !r.has(block) {
		if r.buf == nil {
			r.buf = blockPool.Get().(*[blockSize]byte)[:]
		}
		r.block = -1
		r.buf = r.buf[:min(blockSize, r.length-block*blockSize)]
		if err := r.fill(r.buf, fileOffset(block*blockSize)); err != nil {
			return 0, err
		}
		if err := r.verify(r.buf, block); err != nil {
			return 0, err
		}
		r.block = block
	}
	return copy(p, r.buf[off-block*blockSize:]), nil
}

// fill reads all of p.
func (r *bodyReader) fill(p []byte, off int64) error {
	return readFull(r.src, p, r.base+off)
}

// verify compares a block with its sum.
func (r *bodyReader) verify(b []byte, block int64) error {
	want := r.sum
	if r.length > blockSize {
		if err := r.loadSums(block / groupBlocks); err != nil {
			return err
		}
		want = binary.LittleEndian.Uint64(r.sums[8*(block%groupBlocks):])
	}
	if xxh3.Hash(b) != want {
		return fmt.Errorf("%w: block %d", cache.ErrCorrupt, block)
	}
	if block == r.passed {
		r.passed++
	}
	return nil
}

func (r *bodyReader) loadSums(group int64) error {
	if r.sums != nil && r.group == group {
		return nil
	}
	end := min((group+1)*groupSize, r.length)
	blocks := (end - group*groupSize + blockSize - 1) / blockSize
	b := make([]byte, 8*(blocks+1))
	r.sums = nil
	if err := r.fill(b, fileOffset(group*groupSize)+end-group*groupSize); err != nil {
		return err
	}
	body := b[:len(b)-8]
	if xxh3.HashSeed(body, groupSeed(r.id, uint64(group))) != binary.LittleEndian.Uint64(b[len(body):]) {
		return fmt.Errorf("%w: sums of group %d", cache.ErrCorrupt, group)
	}
	r.group, r.sums = group, body
	return nil
}
