package tcp

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/cachenode/cachenode/internal/netlab"
)

const patience = 30 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// listen returns a listener on loopback and its address.
func listen(t *testing.T, addr string) (net.Listener, netip.AddrPort) {
	t.Helper()
	ln, err := net.Listen("tcp", net.JoinHostPort(addr, "0"))
	if err != nil {
		t.Skip(err) // no IPv6
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln, ln.Addr().(*net.TCPAddr).AddrPort()
}

// dialled returns a connection of d and its other end.
func dialled(t *testing.T, d Dialer, addr string) (near *Conn, far net.Conn) {
	t.Helper()
	ln, at := listen(t, addr)
	nc, err := d.Dial(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	if far, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = far.Close() })
	for _, c := range []net.Conn{nc, far} {
		if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
	}
	return nc.(*Conn), far
}

func TestBytesGoBothWays(t *testing.T) {
	for _, addr := range []string{"127.0.0.1", "::1"} {
		near, far := dialled(t, Dialer{Timeout: patience}, addr)
		if _, err := near.Write([]byte("there")); err != nil {
			t.Fatal(err)
		}
		if err := near.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(far); string(b) != "there" || err != nil {
			t.Errorf("%s: got %q, %v", addr, b, err)
		}
		if _, err := far.Write([]byte("back")); err != nil {
			t.Fatal(err)
		}
		_ = far.Close()
		if b, err := io.ReadAll(near); string(b) != "back" || err != nil {
			t.Errorf("%s: got back %q, %v", addr, b, err)
		}
	}
}

func TestAddresses(t *testing.T) {
	for _, addr := range []string{"127.0.0.1", "::1"} {
		near, far := dialled(t, Dialer{}, addr)
		if near.LocalAddr().String() != far.RemoteAddr().String() || near.RemoteAddr().String() != far.LocalAddr().String() {
			t.Errorf("from %v to %v, the other end says from %v to %v", near.LocalAddr(), near.RemoteAddr(), far.RemoteAddr(), far.LocalAddr())
		}
	}
}

func TestLocalAddressIsKept(t *testing.T) {
	own := netip.MustParseAddr("127.0.0.7")
	_, far := dialled(t, Dialer{Local: own}, "127.0.0.1")
	if got := far.RemoteAddr().(*net.TCPAddr).AddrPort().Addr(); got != own {
		t.Errorf("came from %v", got)
	}
}

func TestSmallWritesAreSentAtOnce(t *testing.T) {
	near, _ := dialled(t, Dialer{}, "127.0.0.1")
	var on int
	if err := near.control("getsockopt", func(fd int) (err error) {
		on, err = unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY)
		return err
	}); err != nil || on != 1 {
		t.Errorf("TCP_NODELAY is %d, %v", on, err)
	}
}

func TestLingerResets(t *testing.T) {
	near, far := dialled(t, Dialer{}, "127.0.0.1")
	if err := near.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	_ = near.Close()
	if _, err := far.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the other end sees %v", err)
	}
}

func TestErrorsAreThoseOfPackageNet(t *testing.T) {
	near, _ := dialled(t, Dialer{}, "127.0.0.1")
	if err := near.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	var timeout net.Error
	if _, err := near.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("behind the deadline: %v", err)
	}
	_ = near.Close()
	_, reading := near.Read(make([]byte, 1))
	for _, err := range []error{reading, near.CloseWrite(), near.SetDeadline(time.Time{}), near.Close()} {
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("closed: %v", err)
		}
	}
}

func TestRefused(t *testing.T) {
	ln, at := listen(t, "127.0.0.1")
	_ = ln.Close()
	_, err := Dialer{}.Dial(t.Context(), at)
	op, ok := errors.AsType[*net.OpError](err)
	if !ok || op.Op != "dial" || op.Addr.String() != at.String() || !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("got %v", err)
	}
}

// hole is a listener that answers no SYN until somebody accepts: its backlog is
// full.
func hole(t *testing.T) (fd int, at netip.AddrPort) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	at = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(sa.(*unix.SockaddrInet4).Port))
	for range 8 {
		c, err := net.DialTimeout("tcp", at.String(), 200*time.Millisecond)
		if err != nil {
			return fd, at
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	t.Fatal("the backlog does not fill")
	return fd, at
}

func TestTimeOver(t *testing.T) {
	_, at := hole(t)
	soon, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	for name, dial := range map[string]func() (net.Conn, error){
		"Timeout": func() (net.Conn, error) { return Dialer{Timeout: 50 * time.Millisecond}.Dial(t.Context(), at) },
		"context": func() (net.Conn, error) { return Dialer{Timeout: patience}.Dial(soon, at) },
	} {
		_, err := dial()
		var timeout net.Error
		if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestCancel(t *testing.T) {
	_, at := hole(t)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	for range 2 { // while it connects, and before
		if _, err := (Dialer{Timeout: patience}).Dial(ctx, at); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	}
}

// A connection that took its time has no limit from it.
func TestNoDeadlineIsLeft(t *testing.T) {
	t.Parallel()
	const limit = 5 * time.Second // the SYN is repeated after one
	fd, at := hole(t)
	over := time.After(limit)
	time.AfterFunc(50*time.Millisecond, func() { // a connection that waits makes room for the one that is dialled
		if c, _, err := unix.Accept(fd); err == nil {
			_ = unix.Close(c)
		}
	})
	nc, err := Dialer{Timeout: limit}.Dial(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	<-over
	if _, err := nc.Write([]byte("late")); err != nil {
		t.Error(err)
	}
}

// Where nobody listens on the only port that the kernel may choose, TCP connects
// to itself.
func TestNoConnectionToItself(t *testing.T) {
	h := netlab.New(t).Host("a", "10.9.0.1/24")
	err := h.Do(func() error {
		if err := os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte("40000 40000"), 0o644); err != nil {
			return err
		}
		for _, d := range []Dialer{{}, {Local: netip.MustParseAddr("127.0.0.1")}} {
			nc, err := d.Dial(t.Context(), netip.MustParseAddrPort("127.0.0.1:40000"))
			if err == nil {
				t.Errorf("connected from %v to %v", nc.LocalAddr(), nc.RemoteAddr())
				_ = nc.Close()
			}
			if !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.EADDRNOTAVAIL) {
				t.Errorf("got %v", err)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
