package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// network is where datagrams and streams go; sockets, or one made for tests.
type network interface {
	// ReadFrom reads one datagram; what does not fit is cut off.
	ReadFrom(b []byte) (n int, from netip.AddrPort, err error)
	WriteTo(b []byte, to netip.AddrPort) error
	Accept() (net.Conn, error)
	Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error)
	// Addr is where it listens.
	Addr() netip.AddrPort
	// Close ends all of the above.
	Close() error
}

// sockets are one TCP and one UDP socket on the same port.
type sockets struct {
	tcp  *net.TCPListener
	udp  *net.UDPConn
	addr netip.AddrPort
}

// receiveBuffer holds the datagrams of a large cluster for as long as this
// process may be kept from reading, in bytes. The system may grant less.
const receiveBuffer = 2 << 20

// listen binds both sockets. Port 0 takes one that is free for both.
func listen(addr netip.AddrPort) (*sockets, error) {
	for tries := 20; ; tries-- {
		s, err := listenOnce(addr)
		if err == nil || addr.Port() != 0 || tries == 0 || !errors.Is(err, unix.EADDRINUSE) {
			return s, err
		}
	}
}

func listenOnce(addr netip.AddrPort) (*sockets, error) {
	tcp, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(addr))
	if err != nil {
		return nil, err
	}
	got := tcp.Addr().(*net.TCPAddr).AddrPort()
	got = netip.AddrPortFrom(got.Addr().Unmap(), got.Port())
	udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(got))
	if err != nil {
		return nil, errors.Join(err, tcp.Close())
	}
	_ = udp.SetReadBuffer(receiveBuffer) // what the system grants is enough for most
	return &sockets{tcp: tcp, udp: udp, addr: got}, nil
}

func (s *sockets) ReadFrom(b []byte) (int, netip.AddrPort, error) {
	n, from, err := s.udp.ReadFromUDPAddrPort(b)
	return n, netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), err
}

func (s *sockets) WriteTo(b []byte, to netip.AddrPort) error {
	_, err := s.udp.WriteToUDPAddrPort(b, to)
	return err
}

func (s *sockets) Accept() (net.Conn, error) { return s.tcp.Accept() }

// Dial comes from the address that the others know.
func (s *sockets) Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	d := net.Dialer{KeepAlive: 15 * time.Second}
	if a := s.addr.Addr(); a.IsValid() && !a.IsUnspecified() && a.Is4() == to.Addr().Is4() {
		d.LocalAddr = &net.TCPAddr{IP: a.AsSlice()}
	}
	return d.DialContext(ctx, "tcp", to.String())
}

func (s *sockets) Addr() netip.AddrPort { return s.addr }

func (s *sockets) Close() error {
	return errors.Join(ignoreClosed(s.tcp.Close()), ignoreClosed(s.udp.Close()))
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// OwnAddr is the address of this machine that others are likely to reach it by:
// that of the way out, else a private one, else loopback.
func OwnAddr() netip.Addr {
	// Connecting a datagram socket sends nothing; it only asks the routes.
	for _, out := range []string{"192.0.2.1:9", "[2001:db8::1]:9"} {
		conn, err := net.Dial("udp", out)
		if err != nil {
			continue
		}
		ap := conn.LocalAddr().(*net.UDPAddr).AddrPort()
		_ = conn.Close() // nothing was sent
		if a := ap.Addr().Unmap(); a.IsGlobalUnicast() {
			return a
		}
	}
	return interfaceAddr()
}

func interfaceAddr() netip.Addr {
	best := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return best
	}
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		ip, _ := netip.AddrFromSlice(n.IP)
		ip = ip.Unmap()
		if ip.IsGlobalUnicast() && ip.Is4() && (best.IsLoopback() || ip.IsPrivate() && !best.IsPrivate()) {
			best = ip
		}
	}
	return best
}

// ParseAddr reads HOST[:PORT] into the addresses it may mean; names are
// resolved. Without a port it is DefaultPort.
func ParseAddr(ctx context.Context, s string) ([]netip.AddrPort, error) {
	host, port, err := splitAddr(s)
	if err != nil {
		return nil, err
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.AddrPort{netip.AddrPortFrom(ip.Unmap(), port)}, nil
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, fmt.Errorf("look up %s: %w", host, err)
	}
	var list []netip.AddrPort
	for _, ip := range ips {
		list = append(list, netip.AddrPortFrom(ip.Unmap(), port))
	}
	return list, nil
}

// splitAddr reads HOST, HOST:PORT, an IPv6 address or [IPv6]:PORT.
func splitAddr(s string) (host string, port uint16, err error) {
	bad := fmt.Errorf("%q is not HOST[:PORT], such as 10.0.0.11 or 10.0.0.11:%d", s, DefaultPort)
	if s == "" {
		return "", 0, bad
	}
	if ip, err := netip.ParseAddr(s); err == nil {
		return ip.String(), DefaultPort, nil
	}
	host, text, err := net.SplitHostPort(s)
	if err != nil {
		if _, _, err := net.SplitHostPort(s + ":1"); err != nil {
			return "", 0, bad
		}
		return s, DefaultPort, nil
	}
	n, err := net.LookupPort("tcp", text)
	if err != nil || n == 0 || host == "" {
		return "", 0, bad
	}
	return host, uint16(n), nil
}
