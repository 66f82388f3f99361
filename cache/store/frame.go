package store

import "unsafe"

// A frame is the memory of a body with room around it for the rest of its entry: the
// header in front; sums, metadata and zeros behind. So the entry can be written from
// where it lies.

// frameSize is what a frame takes for a body of n bytes with metadata of about that
// size.
func frameSize(n int64, meta int) int64 {
	return header{length: n, apart: meta + 64}.size() + framePad
}

const (
	// framePad is the room for filling an entry up to where another may begin.
	framePad = 512
	// frameFrom is the body length from which memory that is not leased gets a frame:
	// the allocator rounds that by more.
	frameFrom = 64 << 10
)

// inFrame is where the body lies in a frame; it has room for n bytes.
func inFrame(frame []byte, n int) []byte { return frame[headerSize : headerSize : headerSize+n] }

// frames reports that body is what lies in frame.
func frames(frame, body []byte) bool {
	return len(frame) > headerSize && cap(body) > 0 && &body[:1][0] == &frame[headerSize]
}

// fill makes the frame around the body an entry with e as its header, and fills it
// up to a multiple of grain with one that is nobody's. Nil when there is no room, or
// when that and the gap in front of it would waste more than a sixteenth.
func fill(frame []byte, e header, sums, apart []byte, grain, gap int64) []byte {
	size := e.size()
	whole := (size + grain - 1) / grain * grain
	if whole > int64(len(frame)) || (gap+whole-size)*16 > size || uintptr(unsafe.Pointer(&frame[0]))%uintptr(grain) != 0 {
		return nil
	}
	e.append(frame[:0])
	rest := frame[headerSize+e.length : whole]
	rest = rest[copy(rest, sums):]
	rest = rest[copy(rest, apart):]
	clear(rest)
	if whole > size {
		filler(whole - size).append(frame[:size])
	}
	return frame[:whole]
}

// filler is an entry that takes gap bytes, a multiple of entryAlign. No key has it.
func filler(gap int64) header { return header{length: gap - headerSize} }
