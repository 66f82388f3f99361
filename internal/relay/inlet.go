package relay

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
)

// buffers are shared by all relays: one that waits holds none.
var buffers = sync.Pool{New: func() any { return new([copySize]byte) }}

// inlet waits for the bytes of a side, and only then takes a buffer to read them
// into.
type inlet struct {
	conn    net.Conn
	rc      syscall.RawConn       // nil: conn is no TCP, and holds a buffer while it waits
	attempt func(fd uintptr) bool // tryRead, made once
	ahead   []byte                // is put into the buffer before what is read

	buf *[copySize]byte
	n   int
	err error
}

func (in *inlet) open(s *side) error {
	in.conn = s.conn
	if s.tcp == nil {
		return nil
	}
	rc, err := s.tcp.SyscallConn()
	in.rc, in.attempt = rc, in.tryRead
	return err
}

// read returns a buffer that the caller gives back if n > 0. What is ahead counts
// with what was read, and not without.
func (in *inlet) read() (buf *[copySize]byte, n int, err error) {
	if in.rc != nil {
		if in.buf == nil && in.err == nil { // else ready has read it
			if err := in.rc.Read(in.attempt); err != nil {
				return nil, 0, err
			}
		}
		return in.take()
	}
	buf = buffers.Get().(*[copySize]byte)
	k := copy(buf[:], in.ahead)
	if n, err = in.conn.Read(buf[k:]); n == 0 {
		buffers.Put(buf)
		return nil, 0, err
	}
	return buf, k + n, err
}

// ready reads what has come already, for read to return it; false: nothing has,
// or it cannot be told.
func (in *inlet) ready() (ok bool) {
	if in.rc == nil {
		return false
	}
	err := in.rc.Read(func(fd uintptr) bool {
		ok = in.tryRead(fd)
		return true // without waiting
	})
	return ok && err == nil
}

func (in *inlet) take() (buf *[copySize]byte, n int, err error) {
	buf, n, err = in.buf, in.n, in.err
	in.buf, in.n, in.err = nil, 0, nil
	return buf, n, err
}

// tryRead reads what there is; false: nothing yet.
func (in *inlet) tryRead(fd uintptr) bool {
	buf := buffers.Get().(*[copySize]byte)
	k := copy(buf[:], in.ahead)
	for {
		in.n, in.err = syscall.Read(int(fd), buf[k:])
		if !errors.Is(in.err, syscall.EINTR) {
			break
		}
	}
	if in.n > 0 {
		in.buf, in.n = buf, k+in.n
		return true
	}
	buffers.Put(buf)
	in.n = 0
	switch {
	case errors.Is(in.err, syscall.EAGAIN):
		in.err = nil
		return false
	case in.err == nil:
		in.err = io.EOF
	}
	return true
}
