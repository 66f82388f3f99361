package tunnel

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	copySize   = 32 << 10        // fits the first-level cache; more is dearer
	fullReads  = 3               // so many full buffers in a row are a bulk transfer
	spliceSize = 1 << 20         // one step of it
	spliceWait = 1 * time.Second // a step that is slower goes back to copying, and frees its pipe
)

// buffers are shared by all tunnels: one that waits holds none.
var buffers = sync.Pool{New: func() any { return new([copySize]byte) }}

// moveAll copies small pieces through a buffer, and lets the kernel splice
// once a bulk transfer is under way.
func (d *direction) moveAll() error {
	if err := d.inlet.open(d.src); err != nil {
		return err
	}
	for full := 0; ; {
		buf, n, err := d.inlet.read()
		if n > 0 {
			werr := d.write(buf[:n])
			buffers.Put(buf)
			if werr != nil {
				return werr
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if full++; n < copySize {
			full = 0
		}
		if full < fullReads || d.src.tcp == nil || d.dst.tcp == nil {
			continue
		}
		full = 0
		if end, err := d.splice(); end || err != nil {
			return err
		}
	}
}

// splice moves whole steps inside the kernel until one is slow.
func (d *direction) splice() (end bool, err error) {
	for {
		if err := d.src.tcp.SetReadDeadline(time.Now().Add(spliceWait)); err != nil {
			return false, err
		}
		n, err := d.dst.tcp.ReadFrom(&io.LimitedReader{R: d.src.tcp, N: spliceSize})
		d.moved.Add(n)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return false, d.src.tcp.SetReadDeadline(time.Time{})
		case err != nil:
			return false, err
		case n < spliceSize:
			return true, nil
		}
	}
}

// inlet waits for the bytes of a side, and only then takes a buffer to read them
// into.
type inlet struct {
	conn    net.Conn
	rc      syscall.RawConn       // nil: conn is no TCP, and holds a buffer while it waits
	attempt func(fd uintptr) bool // tryRead, made once

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

// read returns a buffer that the caller gives back if n > 0.
func (in *inlet) read() (buf *[copySize]byte, n int, err error) {
	if in.rc == nil {
		buf = buffers.Get().(*[copySize]byte)
		if n, err = in.conn.Read(buf[:]); n == 0 {
			buffers.Put(buf)
		}
		return buf, n, err
	}
	if err := in.rc.Read(in.attempt); err != nil {
		return nil, 0, err
	}
	buf, in.buf = in.buf, nil
	return buf, in.n, in.err
}

// tryRead reads what there is; false: nothing yet.
func (in *inlet) tryRead(fd uintptr) bool {
	buf := buffers.Get().(*[copySize]byte)
	for {
		in.n, in.err = syscall.Read(int(fd), buf[:])
		if !errors.Is(in.err, syscall.EINTR) {
			break
		}
	}
	if in.n > 0 {
		in.buf = buf
		return true
	}
	buffers.Put(buf)
	in.n = 0
	if in.err == nil {
		in.err = io.EOF
	}
	return !errors.Is(in.err, syscall.EAGAIN)
}
