package tcp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// attempts is how often connecting is tried where the kernel chose badly.
const attempts = 3

func (d Dialer) dial(ctx context.Context, by time.Time, to netip.AddrPort) (net.Conn, error) {
	peer, err := sockaddr(to)
	if err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		c, err := d.connect(ctx, by, to, &peer)
		switch {
		case err == nil:
			return c, nil
		case try < attempts && (errors.Is(err, errItself) || errors.Is(err, unix.EADDRNOTAVAIL)): // the port that it chose was taken meanwhile
		case errors.Is(err, errItself):
			return nil, os.NewSyscallError("connect", unix.ECONNREFUSED)
		default:
			return nil, err
		}
	}
}

// errItself stands for a connection whose two ends are the same.
var errItself = errors.New("connected to itself")

// unprivileged is the first port that the kernel may choose for a connection.
const unprivileged = 1024

// mayMeetItself reports whether the port that the kernel chooses may be the one
// that is connected to: where nobody listens, a connection of TCP to itself comes
// about.
func (d Dialer) mayMeetItself(to netip.AddrPort) bool {
	return to.Port() >= unprivileged && (!d.Local.IsValid() || d.Local.Unmap() == to.Addr())
}

// connect makes one attempt.
func (d Dialer) connect(ctx context.Context, by time.Time, to netip.AddrPort, peer *address) (*Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	fd, err := unix.Socket(int(peer.in6.Family), unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if err := d.begin(fd, peer); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	is, err := connected(fd)
	if err == nil && d.mayMeetItself(to) && localOf(fd) == netip.AddrPortFrom(to.Addr().WithZone(""), to.Port()) {
		err = errItself
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	c, err := newConn(fd, to)
	if err == nil && !is {
		err = c.await(ctx, by)
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// begin has the kernel begin to connect.
func (d Dialer) begin(fd int, peer *address) error {
	if err := setOption(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	if d.Local.IsValid() {
		if err := bind(fd, d.Local); err != nil {
			return err
		}
	}
	switch errno := connect(fd, peer); errno {
	case 0, unix.EINPROGRESS, unix.EALREADY, unix.EISCONN, unix.EINTR:
		return nil
	default:
		return os.NewSyscallError("connect", errno)
	}
}

// bind leaves the choice of a port to the connect, so that the connections to
// each address have a range of ports of their own.
func bind(fd int, local netip.Addr) error {
	own, err := sockaddr(netip.AddrPortFrom(local.Unmap(), 0))
	if err != nil {
		return err
	}
	if err := setOption(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	return os.NewSyscallError("bind", bindTo(fd, &own))
}

// sockaddr is a in the kernel's words; an IPv4 address within an IPv6 one is meant
// as that.
func sockaddr(a netip.AddrPort) (s address, err error) {
	ip := a.Addr()
	if ip.Is4() {
		*s.inet4() = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: bigEndian(a.Port()), Addr: ip.As4()}
		s.length = unix.SizeofSockaddrInet4
		return s, nil
	}
	s.in6 = unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: bigEndian(a.Port()), Addr: ip.As16()}
	s.length = unix.SizeofSockaddrInet6
	if zone := ip.Zone(); zone != "" {
		ifi, err := net.InterfaceByName(zone)
		if err != nil {
			return s, err
		}
		s.in6.Scope_id = uint32(ifi.Index)
	}
	return s, nil
}

// await returns when c is connected; the time that this may take ends at by, if
// that is not zero.
func (c *Conn) await(ctx context.Context, by time.Time) error {
	var state error
	stop := func() bool { return true }
	waits := false
	err := c.raw.Write(func(fd uintptr) bool {
		is, err := connected(int(fd))
		if is || err != nil {
			state = err
			return true
		}
		if !waits {
			waits = true
			_ = c.SetWriteDeadline(by) // if it cannot be had, neither can the wait
			stop = context.AfterFunc(ctx, func() { _ = c.SetWriteDeadline(time.Unix(1, 0)) })
		}
		return false
	})
	switch {
	case !stop():
		return ctx.Err()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return context.DeadlineExceeded
	case err != nil:
		return err
	case waits && state == nil:
		return c.SetWriteDeadline(time.Time{})
	default:
		return state
	}
}

// connected asks the kernel how far fd is.
func connected(fd int) (bool, error) {
	const synSent, synReceived, closed = 2, 3, 7 // of the kernel's TCP states
	info, err := option(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return false, os.NewSyscallError("getsockopt", err)
	}
	switch info & 0xff { // its first byte
	case synSent, synReceived:
		return false, nil
	case closed:
		code, err := option(fd, unix.SOL_SOCKET, unix.SO_ERROR)
		if err == nil {
			err = unix.Errno(code)
		}
		return false, os.NewSyscallError("connect", err)
	default:
		return true, nil
	}
}
