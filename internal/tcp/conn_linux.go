package tcp

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Conn is a connection that was dialled. It has the methods of a *net.TCPConn that
// what carries bytes needs; like that, it is closed by the garbage collector if
// nobody does.
type Conn struct {
	file   *os.File // waits by the runtime's poller, as the sockets of package net do
	raw    syscall.RawConn
	remote netip.AddrPort
}

// newConn takes fd over, which does not block.
func newConn(fd int, remote netip.AddrPort) (*Conn, error) {
	c := &Conn{file: os.NewFile(uintptr(fd), "tcp"), remote: remote}
	var err error
	c.raw, err = c.file.SyscallConn()
	return c, err
}

// Read implements net.Conn.
func (c *Conn) Read(b []byte) (int, error) {
	n, err := c.file.Read(b)
	return n, c.fault("read", err)
}

// Write implements net.Conn.
func (c *Conn) Write(b []byte) (int, error) {
	n, err := c.file.Write(b)
	return n, c.fault("write", err)
}

// Close implements net.Conn.
func (c *Conn) Close() error { return c.fault("close", c.file.Close()) }

// CloseWrite ends what is sent; the other direction goes on.
func (c *Conn) CloseWrite() error {
	return c.control("shutdown", endSending)
}

// SetLinger says what Close does with what is not sent yet, as
// net.TCPConn.SetLinger: with 0 the connection is reset.
func (c *Conn) SetLinger(seconds int) error {
	l := unix.Linger{Onoff: 1, Linger: int32(max(seconds, 0))}
	if seconds < 0 {
		l.Onoff = 0
	}
	return c.control("setsockopt", func(fd int) error {
		return unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &l)
	})
}

// control makes a system call that does not wait.
func (c *Conn) control(name string, call func(fd int) error) error {
	var err error
	if failed := c.raw.Control(func(fd uintptr) { err = call(int(fd)) }); failed != nil {
		return c.set(failed)
	}
	return c.fault("set", os.NewSyscallError(name, err))
}

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error { return c.set(c.file.SetDeadline(t)) }

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.set(c.file.SetReadDeadline(t)) }

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.set(c.file.SetWriteDeadline(t)) }

// set words the error of what fails on a closed connection only.
func (c *Conn) set(err error) error {
	if err != nil {
		return c.fault("set", net.ErrClosed)
	}
	return nil
}

// SyscallConn implements syscall.Conn.
func (c *Conn) SyscallConn() (syscall.RawConn, error) { return c.raw, nil }

// RemoteAddr implements net.Conn; it is a *net.TCPAddr.
func (c *Conn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

// LocalAddr implements net.Conn; it is a *net.TCPAddr, of the unspecified address
// once c is closed. It asks the kernel each time.
func (c *Conn) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(c.local()) }

func (c *Conn) local() netip.AddrPort {
	var own netip.AddrPort
	_ = c.raw.Control(func(fd uintptr) { own = localOf(int(fd)) }) // a closed one has none
	if !own.IsValid() {
		return netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
	}
	return netip.AddrPortFrom(own.Addr().WithZone(c.remote.Addr().Zone()), own.Port())
}

// fault words an error as package net does.
func (c *Conn) fault(op string, err error) error {
	if err == nil || err == io.EOF { //nolint:errorlint // the file returns it bare
		return err
	}
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = pe.Err
	}
	if errors.Is(err, os.ErrClosed) {
		err = net.ErrClosed
	}
	if no, ok := err.(syscall.Errno); ok { //nolint:errorlint // bare, or it is named already
		err = os.NewSyscallError(op, no)
	}
	return &net.OpError{Op: op, Net: "tcp", Addr: c.RemoteAddr(), Err: err}
}
