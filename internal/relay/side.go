package relay

import (
	"crypto/tls"
	"errors"
	"net"
	"syscall"
)

// side is one end of the relay.
type side struct {
	conn  net.Conn        // what the owner gave; closing it is his business too
	tcp   socket          // what is beneath, nil if there is no TCP or it is not ours to use
	rc    syscall.RawConn // of tcp
	early []byte          // what was read from it already
}

// socket is a TCP connection of the kernel: a *net.TCPConn or one of internal/tcp.
type socket interface {
	net.Conn
	syscall.Conn
	CloseWrite() error
	SetLinger(seconds int) error
}

// sideOf looks beneath wrappers: Detach yields what was read ahead and the
// connection below; NetConn promises that nothing was, except for TLS, where
// the bytes below are not those that are carried.
func sideOf(c net.Conn) side {
	s := side{conn: c}
	for {
		switch w := c.(type) {
		case interface{ Detach() ([]byte, net.Conn) }:
			var early []byte
			early, c = w.Detach()
			s.early = append(s.early, early...)
			s.conn = c
		case *tls.Conn:
			return s
		case interface{ NetConn() net.Conn }:
			c = w.NetConn()
		case socket:
			if rc, err := w.SyscallConn(); err == nil {
				s.tcp, s.rc = w, rc
			}
			return s
		default:
			return s
		}
	}
}

// writer is the connection to write to: past a wrapper that would only count.
func (s *side) writer() net.Conn {
	if s.tcp != nil {
		return s.tcp
	}
	return s.conn
}

// closeWrite half-closes the connection. One that cannot be stays open for the
// other direction; one that is gone already needs nothing.
func (s *side) closeWrite() error {
	c, ok := s.writer().(interface{ CloseWrite() error })
	if !ok {
		return nil
	}
	if err := c.CloseWrite(); err != nil && !errors.Is(err, syscall.ENOTCONN) {
		return err
	}
	return nil
}

// reset breaks the connection off. One of TLS is broken off beneath: closing it
// would tell its peer that all has been sent.
func (s *side) reset() {
	if c := s.lowest(); c != nil {
		_ = c.SetLinger(0)
		closeQuietly(c)
	}
	closeQuietly(s.conn)
}

// lowest is the TCP connection beneath; nil: it is not known.
func (s *side) lowest() socket {
	if t, ok := s.conn.(*tls.Conn); ok {
		c, _ := t.NetConn().(socket)
		return c
	}
	return s.tcp
}
