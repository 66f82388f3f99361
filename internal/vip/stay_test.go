//go:build linux

package vip

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cachenode/cachenode/internal/netlab"
)

// stayer is a host with a link for an address.
type stayer struct {
	t    *testing.T
	h    *netlab.Host
	o    Options
	link *Link
}

func newStayer(t *testing.T, address string) *stayer {
	t.Helper()
	s := &stayer{t: t, h: netlab.New(t).Host("n", "10.9.0.1/24", "fd09::1/64")}
	s.o = Options{Prefix: netip.MustParsePrefix(address), Lease: 30 * time.Second, Log: slog.New(slog.DiscardHandler), File: filepath.Join(t.TempDir(), "stay")}
	s.open()
	return s
}

func (s *stayer) open() {
	s.t.Helper()
	s.do(func() (err error) {
		s.link, err = Open(s.o)
		return err
	})
	l := s.link
	s.t.Cleanup(func() { l.Close() })
}

func (s *stayer) do(f func() error) {
	s.t.Helper()
	if err := s.h.Do(f); err != nil {
		s.t.Fatal(err)
	}
}

// state is where the address is, and the ARP settings.
func (s *stayer) state() string {
	s.t.Helper()
	state := []string{}
	s.do(func() error {
		for _, dev := range []string{"eth0", "lo"} {
			if on(s.t, dev, s.o.Prefix.Addr()) {
				state = append(state, dev)
			}
		}
		state = append(state, setting(s.t, "arp_announce")+setting(s.t, "arp_ignore"))
		return nil
	})
	return strings.Join(state, " ")
}

func on(t *testing.T, dev string, addr netip.Addr) bool {
	ifi, _, err := findInterface(dev, netip.Prefix{})
	if err != nil {
		t.Fatal(err)
	}
	addrs, err := ifi.Addrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if strings.HasPrefix(a.String(), addr.String()+"/") {
			return true
		}
	}
	return false
}

func setting(t *testing.T, name string) string {
	b, err := os.ReadFile("/proc/sys/net/ipv4/conf/eth0/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

func (s *stayer) want(want string) {
	s.t.Helper()
	if got := s.state(); got != want {
		s.t.Errorf("state %q, want %q", got, want)
	}
}

func TestStay(t *testing.T) {
	for address, quiet := range map[string]string{"10.9.0.100/24": "21", "fd09::100/64": "00"} {
		t.Run(address, func(t *testing.T) {
			s := newStayer(t, address)
			s.do(s.link.Hold)
			s.want("eth0 00")
			for range 2 { // the second renews it
				s.do(s.link.Stay)
				s.want("lo " + quiet)
			}
			s.do(s.link.Hold)
			s.want("eth0 00")
			s.do(s.link.Stay)
			s.do(s.link.Release)
			s.want("00")
			if _, err := os.Stat(s.o.File); !os.IsNotExist(err) {
				t.Errorf("the file is left: %v", err)
			}
		})
	}
}

// What a process leaves that dies during a stay, the next one takes away.
func TestStayOfADeadProcess(t *testing.T) {
	for _, address := range []string{"10.9.0.100/24", "fd09::100/64"} {
		t.Run(address, func(t *testing.T) {
			s := newStayer(t, address)
			s.do(s.link.Hold)
			s.do(s.link.Stay)
			s.open()
			s.want("00")
			if err := s.h.IP("address", "add", netip.PrefixFrom(s.o.Prefix.Addr(), s.o.Prefix.Addr().BitLen()).String(), "dev", "lo"); err != nil {
				t.Fatal(err)
			}
			s.open()
			s.want("lo 00") // that one is not ours
		})
	}
}

// Settings that are stricter already stay, also afterwards.
func TestStayKeepsStricterSettings(t *testing.T) {
	s := newStayer(t, "10.9.0.100/24")
	s.do(func() error { return writeARP(s.link.ifi.Index, arpSettings{Announce: 1, Ignore: 2}) })
	s.do(s.link.Hold)
	s.do(s.link.Stay)
	s.want("lo 22")
	s.do(s.link.Release)
	s.want("12")
}

// The kernel takes it away from a process that hangs or has died.
func TestStayEndsWithItsLease(t *testing.T) {
	s := newStayer(t, "10.9.0.100/24")
	s.link.o.Lease = time.Second
	s.do(s.link.Stay)
	for deadline := time.Now().Add(30 * time.Second); strings.HasPrefix(s.state(), "lo"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the address stays on lo")
		}
	}
}

// Without an address of its own there the machine would lose its way to the
// clients.
func TestNoStayOutsideTheNetwork(t *testing.T) {
	s := newStayer(t, "10.9.0.100/24")
	s.o.Prefix, s.o.Interface = netip.MustParsePrefix("10.77.0.100/24"), "eth0"
	s.open()
	s.do(s.link.Hold)
	if err := s.h.Do(s.link.Stay); err == nil || !strings.Contains(err.Error(), "no address of its own in 10.77.0.0/24") {
		t.Errorf("error %v", err)
	}
	s.want("eth0 00")
}

// dial connects to an address of the host itself, which for IPv6 takes a moment
// to be there on an interface that has just come up.
func (s *stayer) dial(addr string) net.Conn {
	s.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		conn, err := s.h.Dial("tcp", addr, 30*time.Second)
		if err == nil {
			return conn
		}
		if !errors.Is(err, unix.EHOSTUNREACH) || time.Now().After(deadline) {
			s.t.Fatal(err)
		}
	}
}

func TestConnections(t *testing.T) {
	for _, address := range []string{"10.9.0.100/24", "fd09::100/64"} {
		t.Run(address, func(t *testing.T) {
			s := newStayer(t, address)
			s.do(s.link.Hold)
			count := func(port uint16, want int) {
				t.Helper()
				s.do(func() error {
					n, err := s.link.Connections(port)
					if n != want {
						t.Errorf("%d connections, want %d", n, want)
					}
					return err
				})
			}
			ln, err := s.h.Listen("tcp", netip.AddrPortFrom(s.o.Prefix.Addr(), 0).String())
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			at := netip.MustParseAddrPort(ln.Addr().String())
			other, err := s.h.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", at.Port()))
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
			count(at.Port(), 0)
			for n, addr := range []string{at.String(), at.String(), other.Addr().String()} {
				defer s.dial(addr).Close()
				count(at.Port(), min(n+1, 2))
			}
			count(at.Port()^1, 0)
			// One listener for both families and all addresses.
			all, err := s.h.Listen("tcp", ":0")
			if err != nil {
				t.Fatal(err)
			}
			defer all.Close()
			at = netip.AddrPortFrom(at.Addr(), uint16(all.Addr().(*net.TCPAddr).Port))
			for _, addr := range []netip.AddrPort{at, netip.AddrPortFrom(netip.MustParseAddr("10.9.0.1"), at.Port())} {
				defer s.dial(addr.String()).Close()
				count(at.Port(), 1)
			}
		})
	}
}

// What has ended is forgotten, and nothing else.
func TestForget(t *testing.T) {
	for _, address := range []string{"10.9.0.100/24", "fd09::100/64"} {
		for _, listen := range []string{netip.MustParsePrefix(address).Addr().String(), "::"} {
			t.Run(address+" at "+listen, func(t *testing.T) {
				s := newStayer(t, address)
				s.do(s.link.Hold)
				ln, err := s.h.Listen("tcp", net.JoinHostPort(listen, "0"))
				if err != nil {
					t.Fatal(err)
				}
				defer ln.Close()
				port := uint16(ln.Addr().(*net.TCPAddr).Port)
				connect := func() (client, server net.Conn) {
					client = s.dial(netip.AddrPortFrom(s.o.Prefix.Addr(), port).String())
					if server, err = ln.Accept(); err != nil {
						t.Fatal(err)
					}
					return client, server
				}
				ended := func(want int) {
					t.Helper()
					for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
						n := 0
						s.do(func() error { return s.link.each(port, 1<<stateWait, func(*sockets) { n++ }) })
						if n == want {
							return
						}
						if time.Now().After(deadline) {
							t.Fatalf("%d connections have ended, want %d", n, want)
						}
					}
				}
				client, server := connect()
				defer client.Close()
				defer server.Close()
				for range 2 {
					c, s := connect()
					_, _ = s.Close(), c.Close() // the server first: the wait is at its end
				}
				ended(2)
				s.do(func() error { return s.link.Forget(port ^ 1) })
				ended(2)
				s.do(func() error { return s.link.Forget(port) })
				ended(0)
				if _, err := client.Write([]byte("x")); err != nil {
					t.Error(err)
				}
				if _, err := server.Read(make([]byte, 1)); err != nil {
					t.Error(err)
				}
			})
		}
	}
}
