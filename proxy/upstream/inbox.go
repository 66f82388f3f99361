package upstream

import (
	"bytes"
	"errors"
	"io"
	"sync"
)

// inboxSize is what is read at once. A response of that size takes one read; a
// connection between two messages, or with a body that is read directly, holds
// none of it.
const inboxSize = 16 << 10

var inboxes = sync.Pool{New: func() any { return new([inboxSize]byte) }}

var errLineTooLong = errors.New("line too long")

// inbox is the reading side of a connection. What was read ahead of one
// message stays for the next.
type inbox struct {
	src  io.Reader
	buf  []byte
	r, w int  // buf[r:w] is unread
	got  bool // a byte arrived since the last reset
}

// buffered returns what has arrived and is not read yet; valid until the next call.
func (in *inbox) buffered() []byte { return in.buf[in.r:in.w] }

// fill reads once more from the connection; the buffer grows up to limit
// unread bytes, beyond which the error is errLineTooLong.
func (in *inbox) fill(limit int) error {
	if err := in.makeRoom(limit); err != nil {
		return err
	}
	for range 100 {
		n, err := in.src.Read(in.buf[in.w:])
		in.w += n
		if n > 0 {
			in.got = true
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// fillNow is fill with what has arrived already; false: nothing has, or that cannot
// be told.
func (in *inbox) fillNow(limit int) (bool, error) {
	now, ok := in.src.(nowReader)
	if !ok {
		return false, nil
	}
	if err := in.makeRoom(limit); err != nil {
		return false, err
	}
	n, err := now.readNow(in.buf[in.w:])
	in.w += n
	return n > 0, err
}

// nowReader reads what has arrived without waiting.
type nowReader interface{ readNow(p []byte) (int, error) }

// makeRoom makes some behind what is unread, of which limit bytes are too many.
func (in *inbox) makeRoom(limit int) error {
	if in.r > 0 && (in.r == in.w || in.w == len(in.buf)) {
		in.w = copy(in.buf, in.buf[in.r:in.w])
		in.r = 0
	}
	if in.w-in.r >= limit {
		return errLineTooLong
	}
	if in.buf == nil {
		in.buf = inboxes.Get().(*[inboxSize]byte)[:]
	}
	if in.w == len(in.buf) {
		bigger := make([]byte, min(2*len(in.buf), max(limit, inboxSize)))
		n := copy(bigger, in.buf[in.r:in.w])
		in.free()
		in.buf, in.w = bigger, n
	}
	return nil
}

// some waits until something is there.
func (in *inbox) some() error {
	if in.r < in.w {
		return nil
	}
	return in.fill(inboxSize)
}

// block returns the lines up to and including the first empty one, at most
// limit bytes; valid until the next call. Lines end in CRLF, or in a bare LF
// as RFC 9112 §2.2 allows.
func (in *inbox) block(limit int) ([]byte, error) {
	start := 0 // of the line that is not whole yet
	seen := 0  // bytes without a line feed behind start
	for {
		b := in.buffered()
		for {
			i := bytes.IndexByte(b[start+seen:], '\n')
			if i < 0 {
				seen = len(b) - start
				break
			}
			line := b[start : start+seen+i]
			start, seen = start+seen+i+1, 0
			if start > limit {
				return nil, errLineTooLong
			}
			if len(line) == 0 || len(line) == 1 && line[0] == '\r' {
				in.r += start
				return b[:start], nil
			}
		}
		if err := in.fill(limit); err != nil {
			return nil, err
		}
	}
}

// line returns one line that ends in CRLF, without it, of at most limit bytes;
// valid until the next call.
func (in *inbox) line(limit int) ([]byte, error) {
	for seen := 0; ; {
		b := in.buffered()
		if i := bytes.IndexByte(b[seen:], '\n'); i >= 0 {
			i += seen
			if i == 0 || b[i-1] != '\r' {
				return nil, protocolError("line ends in a bare LF")
			}
			if i > limit {
				return nil, errLineTooLong
			}
			in.r += i + 1
			return b[:i-1], nil
		}
		seen = len(b)
		if err := in.fill(limit + 1); err != nil {
			return nil, err
		}
	}
}

// Read implements io.Reader; a large p is read into directly once the buffer
// is empty.
func (in *inbox) Read(p []byte) (int, error) {
	if in.r == in.w {
		if len(p) >= directly {
			in.free()
			return in.src.Read(p)
		}
		if err := in.fill(inboxSize); err != nil {
			return 0, err
		}
	}
	n := copy(p, in.buffered())
	in.r += n
	return n, nil
}

// readNow is Read of what has arrived already; 0 and no error when nothing has,
// or when that cannot be told.
func (in *inbox) readNow(p []byte) (int, error) {
	if in.r == in.w {
		in.free()
		if now, ok := in.src.(nowReader); ok {
			return now.readNow(p)
		}
		return 0, nil
	}
	n := copy(p, in.buffered())
	in.r += n
	return n, nil
}

// directly is the length from which a read goes past the buffer.
const directly = 4 << 10

// reset prepares for the next message; everything has been read.
func (in *inbox) reset() {
	in.got = false
	in.free()
}

// free gives the buffer back; everything in it has been read.
func (in *inbox) free() {
	if len(in.buf) == inboxSize {
		inboxes.Put((*[inboxSize]byte)(in.buf))
	}
	in.buf, in.r, in.w = nil, 0, 0
}
