package vip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// Link is an address and the interface that it may be put on. Its methods may
// be called from many goroutines; Hold, Stay and Release from one at a time.
type Link struct {
	o      Options
	ifi    *net.Interface
	mac    [6]byte
	addr   netip.Addr
	bits   int  // of the address on the interface
	inside bool // the interface has an address of the same network
	conn   *packet.Conn
	nl     *netlink.Handle
	events chan Event

	// loud are the ARP settings of the interface before a stay; nil: there is
	// none. It belongs to whoever holds, stays and releases.
	loud    *arpSettings
	staying bool // likewise

	mu     sync.Mutex // guards all below
	held   bool
	probes map[*listener]struct{}
}

// listener is told of what is heard during a probe.
type listener struct {
	owner, rival chan [6]byte    // capacity 1 each
	answered     chan netip.Addr // capacity 1; of the gateway
	gateway      netip.Addr
}

// Open finds the interface and opens what is needed on it. It does not touch
// the address there, but ends a stay of a process that died.
func Open(o Options) (*Link, error) {
	if err := CheckPrivileges(); err != nil {
		return nil, err
	}
	ifi, inside, err := findInterface(o.Interface, o.Prefix)
	if err != nil {
		return nil, err
	}
	if len(ifi.HardwareAddr) != 6 {
		return nil, fmt.Errorf("interface %s is no Ethernet: the virtual IP needs one, or mode none", ifi.Name)
	}
	l := &Link{
		o: o, ifi: ifi, mac: macOf(ifi.HardwareAddr), addr: o.Prefix.Addr(), bits: o.Prefix.Bits(), inside: inside,
		events: make(chan Event, 16), // the loop that reads it is never far behind
		probes: map[*listener]struct{}{},
	}
	// Within a network that the interface is in already, a host address changes
	// no route.
	if inside {
		l.bits = l.addr.BitLen()
	}
	if l.nl, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	if l.conn, err = listen(ifi, l.addr.Is6()); err != nil {
		l.nl.Close()
		return nil, err
	}
	if err := l.sweep(); err != nil {
		o.Log.Warn("could not take away what an earlier process left behind", "error", err)
	}
	return l, nil
}

// Close frees what Open opened; the address stays as it is.
func (l *Link) Close() error {
	l.nl.Close()
	return l.conn.Close()
}

// Interface is the name of the interface.
func (l *Link) Interface() string { return l.ifi.Name }

// MAC is the hardware address of the interface.
func (l *Link) MAC() net.HardwareAddr { return l.ifi.HardwareAddr }

// Events reports what happens on the link while Run runs.
func (l *Link) Events() <-chan Event { return l.events }

// Run listens to the link until ctx ends.
func (l *Link) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return l.read(ctx) })
	g.Go(func() error { return l.watchCarrier(ctx) })
	return g.Wait()
}

func (l *Link) read(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = l.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	buf := make([]byte, 2048)
	for {
		n, _, err := l.conn.ReadFrom(buf)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, unix.ENETDOWN): // the interface is down; it may come back
			if !sleep(ctx, 100*time.Millisecond) {
				return ctx.Err()
			}
		case err != nil:
			return fmt.Errorf("read from %s: %w", l.ifi.Name, err)
		default:
			l.hear(ctx, buf[:n])
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// claim is what a frame says of an address.
type claim struct {
	addr  netip.Addr
	mac   [6]byte
	probe bool // asks for it without having it
}

// claimOf reads a frame; ok is false if it claims nothing.
func claimOf(b []byte, v6 bool) (c claim, ok bool) {
	if !v6 {
		a, err := parseARP(b)
		if err != nil {
			return claim{}, false
		}
		if a.sender.IsUnspecified() {
			return claim{a.target, a.senderMAC, true}, a.op == arpRequest
		}
		return claim{a.sender, a.senderMAC, false}, true
	}
	n, err := parseNDP(b)
	switch {
	case err != nil:
		return claim{}, false
	case n.kind == ndpAdvertisement:
		return claim{n.target, n.fromMAC, false}, true
	}
	return claim{n.target, n.fromMAC, true}, n.from.IsUnspecified()
}

// hear tells those concerned what a frame claims.
func (l *Link) hear(ctx context.Context, b []byte) {
	c, ok := claimOf(b, l.addr.Is6())
	if !ok || c.mac == l.mac {
		return
	}
	l.mu.Lock()
	conflict := c.addr == l.addr && !c.probe && l.held
	for p := range l.probes {
		p.hear(l, c)
	}
	l.mu.Unlock()
	if conflict {
		select {
		case l.events <- Event{Conflict: append(net.HardwareAddr(nil), c.mac[:]...)}:
		case <-ctx.Done():
		default: // others before it say the same
		}
	}
}

func (p *listener) hear(l *Link, c claim) {
	offer := func(ch chan [6]byte) {
		select {
		case ch <- c.mac:
		default: // one is enough
		}
	}
	switch {
	case c.addr == l.addr && !c.probe:
		offer(p.owner)
	case c.addr == l.addr && string(c.mac[:]) < string(l.mac[:]):
		offer(p.rival)
	case c.addr == p.gateway && !c.probe:
		select {
		case p.answered <- c.addr:
		default:
		}
	}
}

// watchCarrier reports when the interface loses its carrier and has it again.
func (l *Link) watchCarrier(ctx context.Context) error {
	updates, done := make(chan netlink.LinkUpdate, 16), make(chan struct{})
	failed := make(chan error, 1)
	err := netlink.LinkSubscribeWithOptions(updates, done, netlink.LinkSubscribeOptions{
		ErrorCallback: func(err error) {
			select {
			case failed <- err:
			default:
			}
		},
		ListExisting: true,
	})
	if err != nil {
		return fmt.Errorf("watch %s: %w", l.ifi.Name, err)
	}
	defer func() {
		close(done)
		for range updates { // until the reader has ended
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-failed:
			if ctx.Err() == nil {
				return fmt.Errorf("watch %s: %w", l.ifi.Name, err)
			}
		case u, ok := <-updates:
			if !ok {
				return fmt.Errorf("watch %s: the kernel ended it", l.ifi.Name)
			}
			if int(u.Index) != l.ifi.Index {
				continue
			}
			select {
			case l.events <- Event{Carrier: u.IfInfomsg.Flags&unix.IFF_RUNNING != 0}:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

// Probe asks the link whether somebody has the address, three times until ctx
// ends, and the default gateway whether it is there. Run must be running.
func (l *Link) Probe(ctx context.Context, gateway bool) Answer {
	p := &listener{owner: make(chan [6]byte, 1), rival: make(chan [6]byte, 1), answered: make(chan netip.Addr, 1)}
	var own netip.Addr
	if gateway {
		p.gateway, own = l.gateway()
	}
	l.mu.Lock()
	l.probes[p] = struct{}{}
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		delete(l.probes, p)
		l.mu.Unlock()
	}()
	gap := time.Second
	if deadline, ok := ctx.Deadline(); ok {
		gap = time.Until(deadline) / 4 // the last one has time for its answer too
	}
	again := time.NewTicker(max(gap, time.Millisecond))
	defer again.Stop()
	for sent := 0; ; {
		if sent < 3 {
			if err := l.ask(p.gateway, own); err != nil {
				return Answer{Err: err}
			}
			sent++
		}
		select {
		case mac := <-p.owner:
			return Answer{Owner: mac[:]}
		case <-again.C:
		case <-ctx.Done():
			return p.silence()
		}
	}
}

// silence is the answer when nobody has said that the address is its own.
func (p *listener) silence() (a Answer) {
	select {
	case mac := <-p.rival:
		a.Rival = mac[:]
	default:
	}
	if !p.gateway.IsValid() {
		return a
	}
	select {
	case <-p.answered:
		a.Gateway = GatewayAnswers
	default:
		a.Gateway = GatewaySilent
	}
	return a
}

func (l *Link) ask(gateway, own netip.Addr) error {
	frames := [][]byte{}
	if l.addr.Is4() {
		frames = append(frames, arpProbe(l.mac, l.addr))
		if gateway.IsValid() {
			frames = append(frames, arpQuestion(l.mac, own, gateway))
		}
	} else {
		frames = append(frames, ndpProbe(l.mac, l.addr))
		if gateway.IsValid() {
			frames = append(frames, ndpQuestion(l.mac, own, gateway))
		}
	}
	return l.write(frames...)
}

func (l *Link) write(frames ...[]byte) error {
	var errs []error
	for _, f := range frames {
		if _, err := l.conn.WriteTo(f, &packet.Addr{HardwareAddr: f[:6]}); err != nil {
			errs = append(errs, fmt.Errorf("send on %s: %w", l.ifi.Name, err))
		}
	}
	return errors.Join(errs...)
}

// Announce tells the link that the address is here.
func (l *Link) Announce() {
	frames := [][]byte{ndpAnnouncement(l.mac, l.addr)}
	if l.addr.Is4() {
		frames = arpAnnouncements(l.mac, l.addr)
	}
	if err := l.write(frames...); err != nil {
		l.o.Log.Warn("could not announce the virtual ip", "error", err)
	}
}

// Hold puts the address onto the interface for the time of the lease, or renews
// that. It ends a stay.
func (l *Link) Hold() error {
	if err := l.put(l.ifi.Index, l.bits); err != nil {
		return fmt.Errorf("put %v on %s: %w", l.addr, l.ifi.Name, err)
	}
	l.setHeld(true)
	if l.staying {
		if err := l.leave(); err != nil {
			l.o.Log.Warn("could not end the stay of the virtual ip", "error", err)
		}
	}
	return nil
}

func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

// Release takes the address off this machine; it may be gone already.
func (l *Link) Release() error {
	l.setHeld(false)
	err := l.takeOff(l.ifi.Index, l.bits)
	if l.staying {
		err = errors.Join(err, l.leave())
	}
	return err
}

// gateway finds the default gateway behind the interface, and the address of
// this host with which to ask it. Both are invalid when there is none.
func (l *Link) gateway() (gw, own netip.Addr) {
	family := netlink.FAMILY_V4
	if l.addr.Is6() {
		family = netlink.FAMILY_V6
	}
	routes, err := l.nl.RouteList(nil, family)
	if err != nil {
		l.o.Log.Warn("could not read the routes", "error", err)
		return gw, own
	}
	for _, r := range routes {
		addr, ok := netip.AddrFromSlice(r.Gw)
		if ok && r.LinkIndex == l.ifi.Index && isDefault(r.Dst) {
			gw = addr.Unmap()
			break
		}
	}
	addrs, err := l.ifi.Addrs()
	if !gw.IsValid() || err != nil {
		return netip.Addr{}, own
	}
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		addr, ok := netip.AddrFromSlice(n.IP)
		if addr = addr.Unmap(); ok && addr.Is4() == gw.Is4() && addr != l.addr && (n.Contains(gw.AsSlice()) || !own.IsValid()) {
			own = addr
		}
	}
	if !own.IsValid() {
		return netip.Addr{}, own
	}
	return gw, own
}

func isDefault(dst *net.IPNet) bool {
	if dst == nil {
		return true
	}
	ones, _ := dst.Mask.Size()
	return ones == 0
}

// Remains reports whether the address is on the interface of this host though
// nobody holds it here: left behind, or configured for good.
func (l *Link) Remains() bool {
	addrs, err := l.ifi.Addrs()
	if err != nil {
		return false
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.Equal(l.addr.AsSlice()) {
			return true
		}
	}
	return false
}
