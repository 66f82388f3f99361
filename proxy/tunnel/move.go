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
	read, err := d.src.reader()
	if err != nil {
		return err
	}
	for full := 0; ; {
		buf, n, err := read()
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

// reader returns a function that waits for bytes, and only then takes a buffer
// to read them into, which the caller gives back if n > 0.
func (s *side) reader() (func() (buf *[copySize]byte, n int, err error), error) {
	if s.tcp == nil {
		return plainReader(s.conn), nil
	}
	rc, err := s.tcp.SyscallConn()
	if err != nil {
		return nil, err
	}
	return rawReader(rc), nil
}

func plainReader(c net.Conn) func() (*[copySize]byte, int, error) {
	return func() (*[copySize]byte, int, error) {
		buf := buffers.Get().(*[copySize]byte)
		n, err := c.Read(buf[:])
		if n == 0 {
			buffers.Put(buf)
		}
		return buf, n, err
	}
}

func rawReader(rc syscall.RawConn) func() (*[copySize]byte, int, error) {
	var buf *[copySize]byte
	var n int
	var err error
	attempt := func(fd uintptr) bool {
		buf = buffers.Get().(*[copySize]byte)
		for {
			n, err = syscall.Read(int(fd), buf[:])
			if err != syscall.EINTR {
				break
			}
		}
		if n > 0 {
			return true
		}
		buffers.Put(buf)
		buf, n = nil, 0
		if err == nil {
			err = io.EOF
		}
		return err != syscall.EAGAIN
	}
	return func() (*[copySize]byte, int, error) {
		if rerr := rc.Read(attempt); rerr != nil {
			return nil, 0, rerr
		}
		return buf, n, err
	}
}
