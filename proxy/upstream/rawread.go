package upstream

import (
	"errors"
	"io"
	"net"
	"syscall"
)

// rawReader looks at a connection without blocking.
type rawReader struct {
	rc    syscall.RawConn // nil: there is no way to look
	plain bool            // what is read is what the socket has: no TLS over it

	look, take func(fd uintptr) bool // made once: a closure each time would be garbage
	p          []byte                // for take
	n          int
	err        error
}

func (r *rawReader) init(nc, raw net.Conn) {
	sc, ok := raw.(syscall.Conn)
	if !ok {
		return
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return
	}
	r.rc, r.plain = rc, nc == raw
	var one [1]byte
	r.look = func(fd uintptr) bool {
		_, _, r.err = syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		return true
	}
	r.take = func(fd uintptr) bool {
		r.n, r.err = syscall.Read(int(fd), r.p)
		return true
	}
}

// silent reports whether an idle connection is still open and nothing has come
// on it. An origin that has closed it, or that talks without being asked, makes
// it useless.
func (r *rawReader) silent() bool {
	if r.rc == nil {
		return true
	}
	return r.rc.Read(r.look) == nil && errors.Is(r.err, syscall.EAGAIN)
}

// read reads what has arrived; 0 and no error when that is nothing, or when
// only a blocking read can tell.
func (r *rawReader) read(p []byte) (int, error) {
	if r.rc == nil || !r.plain || len(p) == 0 {
		return 0, nil
	}
	r.p = p
	err := r.rc.Read(r.take)
	r.p = nil
	switch {
	case err != nil:
		return 0, err
	case errors.Is(r.err, syscall.EAGAIN), errors.Is(r.err, syscall.EINTR):
		return 0, nil
	case r.err != nil:
		return 0, &net.OpError{Op: "read", Net: "tcp", Err: r.err}
	case r.n == 0:
		return 0, io.EOF
	}
	return r.n, nil
}
