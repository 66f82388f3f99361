package store

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// tail is the end of the open segment that its file has not yet: what was copied
// into a buffer, and between it entries that are written from where they lie.
type tail struct {
	buf   []byte // aligned in memory as in the file, with room for a disk block behind
	n     int    // bytes in it
	saved int    // of them already in the file: of a last disk block, to be written again
	cut   int    // where those begin that follow parts

	parts  [][]byte // in order; each a multiple of grain long, and as aligned
	leases []*lease // of parts, held
	whole  int64    // bytes of parts

	base  int64 // where all this begins in the file, at a disk block
	grain int64 // a power of two
}

// init takes memory for size bytes, a multiple of diskAlign.
func (t *tail) init(size int) error {
	b, err := unix.Mmap(-1, 0, size+diskAlign, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err == nil {
		t.buf = b[:size]
	}
	return err
}

// begin prepares for an empty file whose parts are to be aligned to grain.
func (t *tail) begin(grain int64) {
	t.drop()
	t.n, t.saved, t.base, t.grain = 0, 0, 0, grain
}

// end is how long the segment is with all that is here.
func (t *tail) end() int64 { return t.base + t.length() }

func (t *tail) length() int64 { return t.whole + int64(t.n-t.cut) }

// full reports that it is time to write.
func (t *tail) full() bool { return t.n == len(t.buf) || t.length() >= int64(len(t.buf)) }

// unsaved reports that there is something to write.
func (t *tail) unsaved() bool { return t.whole > 0 || t.n > t.saved }

// copy appends what of p there is room for.
func (t *tail) copy(p []byte) int {
	n := copy(t.buf[t.n:], p)
	t.n += n
	return n
}

// align goes on where an entry may begin.
func (t *tail) align() {
	n := (t.n + entryAlign - 1) &^ (entryAlign - 1)
	clear(t.buf[t.n:n])
	t.n = n
}

// lend appends b without copying it. It must not change until it is written, is
// aligned to grain, and so is end; l is held until then.
func (t *tail) lend(b []byte, l *lease) {
	if t.n > t.cut {
		t.parts = append(t.parts, t.buf[t.cut:t.n])
		t.whole += int64(t.n - t.cut)
		t.cut = t.n
	}
	t.parts = append(t.parts, b)
	t.whole += int64(len(b))
	l.hold()
	t.leases = append(t.leases, l)
}

// padded is length with the zeros that make it whole disk blocks.
func (t *tail) padded() int64 { return (t.length() + diskAlign - 1) &^ (diskAlign - 1) }

// write writes all there is to f.
func (t *tail) write(f *os.File) error {
	pad := int(t.padded() - t.length())
	room := t.buf[: t.n+pad : cap(t.buf)]
	clear(room[t.n:])
	parts := t.parts
	if t.n+pad > t.cut {
		parts = append(parts, room[t.cut:])
	}
	if err := writeParts(f, parts, t.base); err != nil {
		return err
	}
	t.written()
	return nil
}

// written leaves what is in the file already, but for a last disk block that is not
// full: it is written again with what follows.
func (t *tail) written() {
	rest := int(t.length() % diskAlign)
	t.base += t.length() - int64(rest)
	if len(t.parts) == 0 {
		copy(t.buf, t.buf[t.n-rest:t.n])
	} else {
		t.keepLast(rest)
	}
	t.drop()
	t.n, t.saved = rest, rest
}

// keepLast brings the last bytes to the beginning of the buffer, wherever they lie.
func (t *tail) keepLast(rest int) {
	var block [diskAlign]byte
	at := rest
	for i := len(t.parts); at > 0; i-- {
		b := t.buf[t.cut:t.n]
		if i < len(t.parts) {
			b = t.parts[i]
		}
		b = b[max(0, len(b)-at):]
		at -= len(b)
		copy(block[at:], b)
	}
	copy(t.buf, block[:rest])
}

// drop gives the parts back.
func (t *tail) drop() {
	for _, l := range t.leases {
		l.drop()
	}
	clear(t.parts)
	clear(t.leases)
	t.parts, t.leases, t.whole, t.cut = t.parts[:0], t.leases[:0], 0, 0
}

// mostParts is how many parts the kernel takes at once.
const mostParts = 1024

// writeParts writes parts behind each other from off on.
func writeParts(f *os.File, parts [][]byte, off int64) error {
	if len(parts) == 1 {
		_, err := f.WriteAt(parts[0], off)
		return err
	}
	for len(parts) > 0 {
		n, err := unix.Pwritev(int(f.Fd()), parts[:min(len(parts), mostParts)], off)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err == nil && n <= 0 {
			err = unix.EIO
		}
		if err != nil {
			return &os.PathError{Op: "pwritev", Path: f.Name(), Err: err}
		}
		off += int64(n)
		parts = behind(parts, n)
	}
	return nil
}

// behind is parts without their first n bytes.
func behind(parts [][]byte, n int) [][]byte {
	for len(parts) > 0 && n >= len(parts[0]) {
		n -= len(parts[0])
		parts = parts[1:]
	}
	if n > 0 {
		parts[0] = parts[0][n:]
	}
	return parts
}

// grainOf is what the parts of a direct write to f must be aligned to, as the
// kernel tells since Linux 6.1.
func grainOf(f *os.File) int64 {
	var st unix.Statx_t
	err := unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_DIOALIGN, &st)
	grain := int64(max(st.Dio_mem_align, st.Dio_offset_align, entryAlign))
	if err != nil || st.Mask&unix.STATX_DIOALIGN == 0 || grain > diskAlign || grain&(grain-1) != 0 {
		return diskAlign
	}
	return grain
}
