package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// segment is one file of objects. It is written by the keeper or, when it holds
// one large object, by that object's writer; it is whole before anybody pins it
// for what it holds.
type segment struct {
	seq  uint64
	path string
	own  bool // holds one large object

	end     int64       // of the file when the store was opened; 0: it was made since
	missing atomic.Bool // somebody has removed the file

	size atomic.Int64 // allocated bytes
	// hits has a bit for each 1/len of the file: an entry that starts there was
	// hit since it was written.
	hits  []atomic.Uint64
	gran  int64
	sound soundness

	mu   sync.Mutex // guards all below
	f    *os.File   // nil: closed
	pins int
	dead bool // evicted; f closes with the last pin
}

// hitBits is the size of the hit information of a shared segment: one bit per
// KiB of 64 MiB.
const hitBits = 64 << 10

func newSegment(seq uint64, path string, own bool, capacity int64) *segment {
	bits := int64(hitBits)
	if own {
		bits = 64
	}
	starts := capacity/blockSize + 1
	if own {
		starts = 1
	}
	return &segment{
		seq: seq, path: path, own: own,
		hits:  make([]atomic.Uint64, bits/64),
		gran:  max(1, (capacity+bits-1)/bits),
		sound: soundness{bits: make([]atomic.Uint64, (starts+63)/64)},
	}
}

// hit notes that the entry at off was used, and reports whether it had been before.
func (sg *segment) hit(off int64) bool {
	w, bit := sg.hitBit(off)
	if w.Load()&bit != 0 {
		return true
	}
	w.Or(bit)
	return false
}

func (sg *segment) wasHit(off int64) bool {
	w, bit := sg.hitBit(off)
	return w.Load()&bit != 0
}

func (sg *segment) hitBit(off int64) (*atomic.Uint64, uint64) {
	i := uint64(off/sg.gran) % uint64(len(sg.hits)*64)
	return &sg.hits[i/64], 1 << (i % 64)
}

// ReadAt implements io.ReaderAt on a pinned segment.
func (sg *segment) ReadAt(p []byte, off int64) (int, error) {
	return sg.f.ReadAt(p, off)
}

// segments is the set of segments, in the order of their eviction.
type segments struct {
	dir     string
	segSize int64

	opened  atomic.Int64 // descriptors
	maxOpen int64        // descriptors kept for segments that nobody reads
	first   uint64       // all segments of this start are above it
	bytes   atomic.Int64 // allocated by all segments, those in the making included
	nextSeq atomic.Uint64

	mu   sync.RWMutex // guards all below
	all  map[uint64]*segment
	fifo []*segment // oldest first
	// found are the segments that were there when the store was opened, nil when
	// none can be missing.
	found map[uint64]bool
}

const (
	segmentSuffix = ".seg" // shared by many objects
	ownSuffix     = ".obj" // one large object
	partSuffix    = ".part"
)

// openSegments reads the directory; it opens no segment. Unfinished files go. The
// segments of each start, which boot counts, have numbers of their own, so that
// no record of an earlier one can point into them.
func openSegments(dir string, segSize int64, boot uint64) (*segments, error) {
	ss := &segments{dir: dir, segSize: segSize, maxOpen: 64, first: boot << 40, all: map[uint64]*segment{}, found: map[uint64]bool{}}
	ss.nextSeq.Store(ss.first)
	if err := removeParts(dir); err != nil {
		return nil, err
	}
	files, err := segmentFiles(dir)
	if err != nil {
		return nil, err
	}
	for _, sf := range files {
		sg := newSegment(sf.seq, filepath.Join(dir, sf.info.Name()), sf.own, max(segSize, sf.info.Size()))
		sg.end = max(1, sf.info.Size())
		ss.grow(sg, allocated(sf.info))
		ss.all[sf.seq] = sg
		ss.found[sf.seq] = true
		ss.fifo = append(ss.fifo, sg)
		ss.nextSeq.Store(max(ss.nextSeq.Load(), sf.seq))
	}
	slices.SortFunc(ss.fifo, func(a, b *segment) int {
		if a.seq < b.seq {
			return -1
		}
		return 1
	})
	return ss, nil
}

func removeParts(dir string) error {
	parts, err := filepath.Glob(filepath.Join(dir, "*"+partSuffix))
	for _, path := range parts {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

// segmentFile is a segment in its directory.
type segmentFile struct {
	seq  uint64
	own  bool
	info fs.FileInfo
}

// segmentFiles lists the segments in dir; the names of other files are no numbers.
func segmentFiles(dir string) (files []segmentFile, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		stem, own := strings.CutSuffix(e.Name(), ownSuffix)
		if !own {
			stem = strings.TrimSuffix(e.Name(), segmentSuffix)
		}
		seq, err := strconv.ParseUint(stem, 16, 64)
		if err != nil || stem == e.Name() {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		files = append(files, segmentFile{seq: seq, own: own, info: info})
	}
	return files, nil
}

// allocated is the space that a file takes.
func allocated(info fs.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Blocks * 512
	}
	return info.Size()
}

func (ss *segments) path(seq uint64, suffix string) string {
	return filepath.Join(ss.dir, fmt.Sprintf("%016x%s", seq, suffix))
}

// grow accounts n more bytes to sg.
func (ss *segments) grow(sg *segment, n int64) {
	sg.size.Add(n)
	ss.bytes.Add(n)
}

// add puts a segment at the young end.
func (ss *segments) add(sg *segment) {
	ss.mu.Lock()
	ss.all[sg.seq] = sg
	ss.fifo = append(ss.fifo, sg)
	ss.mu.Unlock()
}

// oldest returns the segment to evict next, never one of keep; nil: there is none.
func (ss *segments) oldest(keep *segment) *segment {
	ss.mu.RLock()
	defer ss.mu.RUnlock()
	for _, sg := range ss.fifo {
		if sg != keep {
			return sg
		}
	}
	return nil
}

func (ss *segments) count() int {
	ss.mu.RLock()
	defer ss.mu.RUnlock()
	return len(ss.fifo)
}

// snapshot returns the segments, oldest first.
func (ss *segments) snapshot() []*segment {
	ss.mu.RLock()
	defer ss.mu.RUnlock()
	return slices.Clone(ss.fifo)
}

func (ss *segments) get(seq uint64) *segment {
	ss.mu.RLock()
	defer ss.mu.RUnlock()
	return ss.all[seq]
}

// pin returns the segment with its file open until unpin, nil when it is gone.
func (ss *segments) pin(seq uint64) *segment {
	sg := ss.get(seq)
	if sg == nil {
		return nil
	}
	sg.mu.Lock()
	defer sg.mu.Unlock()
	if sg.dead {
		return nil
	}
	if sg.f == nil {
		f, err := os.Open(sg.path)
		if errors.Is(err, fs.ErrNotExist) {
			sg.missing.Store(true)
		}
		if err != nil {
			return nil
		}
		sg.f = f
		ss.opened.Add(1)
	}
	sg.pins++
	return sg
}

// unpin undoes pin.
func (ss *segments) unpin(sg *segment) {
	sg.mu.Lock()
	defer sg.mu.Unlock()
	sg.pins--
	if sg.pins == 0 && (sg.dead || ss.opened.Load() > ss.maxOpen) {
		ss.closeFile(sg)
	}
}

// closeFile closes the descriptor; sg.mu is held.
func (ss *segments) closeFile(sg *segment) {
	if sg.f != nil {
		_ = sg.f.Close() // it was only read
		sg.f = nil
		ss.opened.Add(-1)
	}
}

// remove unlinks a segment. Who has pinned it reads on.
func (ss *segments) remove(sg *segment) error {
	ss.mu.Lock()
	if ss.all[sg.seq] != sg {
		ss.mu.Unlock()
		return nil
	}
	delete(ss.all, sg.seq)
	ss.fifo = slices.DeleteFunc(ss.fifo, func(o *segment) bool { return o == sg })
	ss.mu.Unlock()

	sg.mu.Lock()
	defer sg.mu.Unlock()
	sg.dead = true
	if sg.pins == 0 {
		ss.closeFile(sg)
	}
	ss.bytes.Add(-sg.size.Load())
	if err := os.Remove(sg.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// close closes the descriptors that nobody reads from; the others close with
// their last reader.
func (ss *segments) close() {
	for _, sg := range ss.snapshot() {
		sg.mu.Lock()
		sg.dead = true
		if sg.pins == 0 {
			ss.closeFile(sg)
		}
		sg.mu.Unlock()
	}
}
