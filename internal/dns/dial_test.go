package dns

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cachenode/cachenode/internal/units"
)

// network is a world in which addresses answer, refuse or swallow packets.
type network struct {
	mu     sync.Mutex // guards the rest
	tried  []string
	accept map[string]bool
	refuse map[string]bool // all others are black holes
	open   int
}

func (n *network) dial(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	n.mu.Lock()
	ip := addr.Addr().String()
	n.tried = append(n.tried, ip)
	accept, refuse := n.accept[ip], n.refuse[ip]
	n.mu.Unlock()
	switch {
	case accept:
		n.mu.Lock()
		n.open++
		n.mu.Unlock()
		return &fakeConn{net: n, remote: addr}, nil
	case refuse:
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	<-ctx.Done()
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: ctx.Err()}
}

// attempts returns the addresses tried since the last call.
func (n *network) attempts() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := n.tried
	n.tried = nil
	return list
}

type fakeConn struct {
	net.Conn
	net    *network
	remote netip.AddrPort
	once   sync.Once
}

func (c *fakeConn) Close() error {
	c.once.Do(func() {
		c.net.mu.Lock()
		c.net.open--
		c.net.mu.Unlock()
	})
	return nil
}

func set(list ...string) map[string]bool {
	m := make(map[string]bool)
	for _, s := range list {
		m[s] = true
	}
	return m
}

// newDialer returns a dialer to a name host.test with the addresses given, in a
// world of its own.
func newDialer(t *testing.T, n *network, change func(*Options), addrs ...string) (*Dialer, *clock) {
	t.Helper()
	r, c := newResolver(t, func(o *Options) {
		o.Servers = []string{"127.0.0.1"}
		o.Connect.AttemptDelay = units.Duration(20 * time.Millisecond)
		if change != nil {
			change(o)
		}
	})
	var list []netip.Addr
	for _, a := range addrs {
		list = append(list, netip.MustParseAddr(a))
	}
	r.cache.put(newEntry("host.test", answer{addrs: list, ttl: time.Hour}, &r.o, c.now()))
	return &Dialer{Resolver: r, dial: n.dial}, c
}

func dialled(t *testing.T, d *Dialer, network string) string {
	t.Helper()
	conn, err := d.DialContext(t.Context(), network, "host.test:80")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // a fake
	return conn.(*fakeConn).remote.Addr().String()
}

func TestFamiliesTakeTurns(t *testing.T) {
	n := &network{refuse: set("2001:db8::1", "2001:db8::2", "2001:db8::3", "192.0.2.1"), accept: set("192.0.2.2")}
	d, _ := newDialer(t, n, nil, "2001:db8::1", "2001:db8::2", "2001:db8::3", "192.0.2.1", "192.0.2.2")
	if got := dialled(t, d, "tcp"); got != "192.0.2.2" {
		t.Errorf("connected to %s", got)
	}
	want := []string{"2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2"}
	if got := n.attempts(); !slices.Equal(got, want) {
		t.Errorf("tried %v, want %v", got, want)
	}
}

func TestBlackHoleIsOvertakenAndAvoidedLater(t *testing.T) {
	n := &network{accept: set("192.0.2.1")}
	d, c := newDialer(t, n, nil, "2001:db8::1", "192.0.2.1")
	if got := dialled(t, d, "tcp"); got != "192.0.2.1" {
		t.Errorf("connected to %s", got)
	}
	if got := n.attempts(); len(got) != 2 {
		t.Errorf("tried %v", got)
	}
	dialled(t, d, "tcp")
	if got := n.attempts(); !slices.Equal(got, []string{"192.0.2.1"}) {
		t.Errorf("tried %v although the black hole is known", got)
	}
	c.pass(2 * time.Minute)
	dialled(t, d, "tcp")
	if got := n.attempts(); got[0] != "2001:db8::1" {
		t.Errorf("tried %v: the black hole is never tried again", got)
	}
	if n.open != 0 {
		t.Errorf("%d connections left open", n.open)
	}
}

func TestFamilyThatWasAskedFor(t *testing.T) {
	n := &network{accept: set("2001:db8::1", "192.0.2.1")}
	d, _ := newDialer(t, n, nil, "2001:db8::1", "192.0.2.1")
	if got := dialled(t, d, "tcp4"); got != "192.0.2.1" {
		t.Errorf("tcp4 connected to %s", got)
	}
	if got := dialled(t, d, "tcp6"); got != "2001:db8::1" {
		t.Errorf("tcp6 connected to %s", got)
	}
	only4, _ := newDialer(t, n, nil, "192.0.2.1")
	_, err := only4.DialContext(t.Context(), "tcp6", "host.test:80")
	if _, ok := errors.AsType[*Error](err); !ok {
		t.Errorf("error %v", err)
	}
}

func TestAddressesTriedAreBounded(t *testing.T) {
	n := &network{refuse: set("192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4")}
	d, _ := newDialer(t, n, func(o *Options) { o.Connect.MaxAddresses = 3 }, "192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4")
	_, err := d.DialContext(t.Context(), "tcp", "host.test:80")
	if !errors.Is(err, syscall.ECONNREFUSED) || !strings.Contains(err.Error(), "host.test:80") {
		t.Errorf("error %v", err)
	}
	if got := n.attempts(); len(got) != 3 {
		t.Errorf("tried %v", got)
	}
}

func TestBlackHolesEndInTime(t *testing.T) {
	n := &network{}
	d, _ := newDialer(t, n, func(o *Options) { o.Connect.TotalTimeout = units.Duration(100 * time.Millisecond) }, "192.0.2.1", "192.0.2.2")
	_, err := d.DialContext(t.Context(), "tcp", "host.test:80")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

func TestBadAddresses(t *testing.T) {
	d, _ := newDialer(t, &network{}, nil, "192.0.2.1")
	for _, addr := range []string{"", "host.test", "host.test:", "host.test:0", "host.test:65536", "host.test:http", "127.1:80", "none.invalid:80"} {
		if _, err := d.DialContext(t.Context(), "tcp", addr); err == nil {
			t.Errorf("%q was dialled", addr)
		}
	}
}

// refused is what a guard of destinations answers.
type refused struct{ addr netip.AddrPort }

func (r *refused) Error() string { return r.addr.String() + " is refused" }

// echoServer accepts connections on loopback.
func echoServer(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	return netip.MustParseAddrPort(l.Addr().String())
}

// The name server changes its mind between any check of the name and the dial:
// the guard sees the address that is dialled, so it makes no difference.
func TestGuardSeesTheAddressDialled(t *testing.T) {
	origin := echoServer(t)
	s := newNameServer(t, "rebind.test. 0 A 192.0.2.1")
	r, c := newResolver(t, nil, s)
	if got := lookup(t, r, "rebind.test"); got[0] != "192.0.2.1" {
		t.Fatalf("%v", got)
	}
	s.serve("rebind.test. 0 A 127.0.0.1")
	c.pass(2 * time.Second)
	var seen []netip.AddrPort
	d := &Dialer{Resolver: r, Allowed: func(a netip.AddrPort) error {
		seen = append(seen, a)
		return &refused{a}
	}}
	_, err := d.DialContext(t.Context(), "tcp", net.JoinHostPort("rebind.test", "80"))
	if e, ok := errors.AsType[*refused](err); !ok || e.addr != netip.MustParseAddrPort("127.0.0.1:80") {
		t.Errorf("error %v", err)
	}
	if len(seen) != 1 {
		t.Errorf("the guard saw %v", seen)
	}

	d.Allowed = func(netip.AddrPort) error { return nil }
	conn, err := d.DialContext(t.Context(), "tcp", netip.AddrPortFrom(origin.Addr(), origin.Port()).String())
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
}

func TestRefusalIsReportedWhenThereIsNothingElse(t *testing.T) {
	origin := echoServer(t)
	s := newNameServer(t, "both.test. 60 A 127.0.0.1", "both.test. 60 AAAA ::1")
	r, _ := newResolver(t, nil, s)
	d := &Dialer{Resolver: r, Allowed: func(a netip.AddrPort) error { return &refused{a} }}
	target := net.JoinHostPort("both.test", origin.String()[strings.LastIndex(origin.String(), ":")+1:])
	_, err := d.DialContext(t.Context(), "tcp", target)
	if _, ok := errors.AsType[*refused](err); !ok {
		t.Errorf("all refused: error %v", err)
	}
	d.Allowed = func(a netip.AddrPort) error {
		if a.Addr().Is6() {
			return &refused{a}
		}
		return nil
	}
	conn, err := d.DialContext(t.Context(), "tcp", target)
	if err != nil {
		t.Fatalf("one of two refused: %v", err)
	}
	_ = conn.Close()
}

func TestFailuresRememberedAreBounded(t *testing.T) {
	var f recentFailures
	now := time.Unix(1000, 0)
	for i := range 3 * maxFailures {
		addr := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		f.add(netip.AddrPortFrom(addr, 80), now, now.Add(time.Minute))
	}
	if len(f.until) > maxFailures {
		t.Errorf("%d addresses remembered", len(f.until))
	}
}

func TestRaceLosersAreDiscarded(t *testing.T) {
	discarded := 0
	second := make(chan struct{})
	result := race(t.Context(), 2, time.Millisecond, func(ctx context.Context, i int) (int, error) {
		if i == 0 { // comes through although it was cancelled
			<-second
			<-ctx.Done()
			return i, nil
		}
		close(second)
		return i, nil
	}, func(int) { discarded++ })
	if result.winner != 1 || result.value != 1 || discarded != 1 {
		t.Errorf("winner %d, %d discarded", result.winner, discarded)
	}
}

func BenchmarkDial(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // a test's listener
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
	r, err := New(DefaultOptions())
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close() //nolint:errcheck // returns nil
	d := &Dialer{Resolver: r, Allowed: func(netip.AddrPort) error { return nil }}
	b.ReportAllocs()
	for b.Loop() {
		conn, err := d.DialContext(b.Context(), "tcp", l.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		_ = conn.Close()
	}
}
