package relay

import (
	"errors"
	"net"
	"syscall"
)

// outlet writes to a side.
type outlet struct {
	conn    net.Conn
	rc      syscall.RawConn       // nil: conn is no TCP
	attempt func(fd uintptr) bool // tryWrite, made once

	left []byte
	err  error
}

func (out *outlet) open(s *side) {
	out.conn = s.conn
	if s.tcp != nil {
		out.rc, out.attempt = s.rc, out.tryWrite
	}
}

// write writes all of b, which is not empty, or says why not.
func (out *outlet) write(b []byte) (n int, err error) {
	if out.rc == nil {
		return out.conn.Write(b)
	}
	out.left, out.err = b, nil
	err = out.rc.Write(out.attempt)
	n = len(b) - len(out.left)
	out.left = nil
	if err == nil {
		err = out.err
	}
	return n, err
}

// tryWrite writes what there is room for; false: not all yet.
func (out *outlet) tryWrite(fd uintptr) bool {
	for len(out.left) > 0 {
		n, err := rawWrite(fd, out.left)
		if errors.Is(err, syscall.EAGAIN) {
			return false
		}
		if err != nil {
			out.err = err
			return true
		}
		out.left = out.left[n:]
	}
	return true
}
