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

	buf  *[copySize]byte // between two reads that do not wait
	n    int             // bytes in buf that read has not returned
	err  error
	done bool // n and err tell of something that read has not returned
}

func (in *inlet) open(s *side) {
	in.conn = s.conn
	if s.tcp != nil {
		in.rc, in.attempt = s.rc, in.tryRead
	}
}

// read returns bytes that stay until the next read. What is ahead comes with what
// was read, and not without.
func (in *inlet) read() ([]byte, error) {
	switch {
	case in.done: // ready has read it
	case in.rc != nil:
		if err := in.rc.Read(in.attempt); err != nil {
			return nil, err
		}
	default:
		in.receive(in.conn.Read)
	}
	in.done = false
	if in.n == 0 {
		return nil, in.err
	}
	return in.buf[:in.n], in.err
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

// tryRead reads what there is; false: nothing yet.
func (in *inlet) tryRead(fd uintptr) bool {
	in.receive(func(b []byte) (int, error) {
		n, err := rawRead(fd, b)
		if n == 0 && err == nil {
			err = io.EOF
		}
		return n, err
	})
	if errors.Is(in.err, syscall.EAGAIN) {
		in.done = false
		in.release()
	}
	return in.done
}

// receive reads into the buffer, behind what is ahead.
func (in *inlet) receive(read func([]byte) (int, error)) {
	if in.buf == nil {
		in.buf = buffers.Get().(*[copySize]byte)
	}
	k := copy(in.buf[:], in.ahead)
	in.n, in.err = read(in.buf[k:])
	if in.n > 0 {
		in.n += k
	}
	in.done = true
}

// release gives the buffer back; what read returned is gone.
func (in *inlet) release() {
	if in.buf != nil {
		buffers.Put(in.buf)
		in.buf = nil
	}
}
