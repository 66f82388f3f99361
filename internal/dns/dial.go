package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/cachenode/cachenode/internal/tcp"
)

// Dialer connects to names by happy eyeballs. How is said by the Connect options
// of its Resolver. It is safe for concurrent use and must not be copied.
type Dialer struct {
	Resolver *Resolver
	// Allowed is asked with every address right before it is dialled, so that what
	// is checked is what is dialled. nil: every address may be.
	Allowed func(netip.AddrPort) error

	failed recentFailures
	// dial replaces the network in tests.
	dial func(ctx context.Context, addr netip.AddrPort) (net.Conn, error)
}

// refusal marks an error as one of Allowed.
type refusal struct{ error }

func (r *refusal) Unwrap() error { return r.error }

// DialContext connects to "host:port" over tcp, tcp4 or tcp6. When every
// address fails the error wraps the most telling one: a refusal by Allowed if
// that is all there was, else the first *net.OpError. A name without an address
// is an *Error.
func (d *Dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	host, port, err := splitHostPort(addr)
	if err != nil {
		return nil, err
	}
	found, err := d.Resolver.Lookup(ctx, host)
	if err != nil {
		return nil, err
	}
	if len(found) == 1 && network == "tcp" { // there is nothing to arrange
		nc, err := d.connect(ctx, netip.AddrPortFrom(found[0], port))
		return nc, naming(addr, err)
	}
	addrs := d.arrange(found, network, port)
	switch len(addrs) {
	case 0:
		return nil, &Error{Host: host, Reason: "no address for " + network}
	case 1: // has a time-out of its own
		nc, err := d.connect(ctx, addrs[0])
		return nc, naming(addr, err)
	default:
		return d.connectAny(ctx, addr, addrs)
	}
}

// connectAny connects to one of several addresses.
func (d *Dialer) connectAny(ctx context.Context, addr string, addrs []netip.AddrPort) (net.Conn, error) {
	o := &d.Resolver.o.Connect
	ctx, cancel := context.WithTimeout(ctx, o.TotalTimeout.D())
	defer cancel()
	result := race(ctx, len(addrs), o.AttemptDelay.D(),
		func(ctx context.Context, i int) (net.Conn, error) { return d.connect(ctx, addrs[i]) },
		func(late net.Conn) { _ = late.Close() })
	d.remember(addrs, result)
	if result.winner >= 0 {
		return result.value, nil
	}
	return nil, naming(addr, mostTelling(result.errs))
}

// naming says in an error, if there is one, what was to be connected to.
func naming(addr string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("connect to %s: %w", addr, err)
}

func splitHostPort(addr string) (host string, port uint16, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, err
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return "", 0, &net.AddrError{Err: "invalid port", Addr: addr}
	}
	return host, uint16(n), nil
}

// arrange orders the addresses for the attempts: the families take turns,
// beginning with the first address's, and those that failed lately come last.
func (d *Dialer) arrange(found []netip.Addr, network string, port uint16) []netip.AddrPort {
	var families [2][]netip.AddrPort // the first address's family, the other one
	for _, a := range found {
		if network == "tcp4" && !a.Is4() || network == "tcp6" && a.Is4() {
			continue
		}
		other := 0
		if len(families[0]) > 0 && a.Is4() != families[0][0].Addr().Is4() {
			other = 1
		}
		families[other] = append(families[other], netip.AddrPortFrom(a, port))
	}
	list := make([]netip.AddrPort, 0, len(found))
	for i := range max(len(families[0]), len(families[1])) {
		for _, f := range families {
			if i < len(f) {
				list = append(list, f[i])
			}
		}
	}
	list = d.failed.last(list, d.Resolver.now())
	return list[:min(len(list), d.Resolver.o.Connect.MaxAddresses)]
}

func (d *Dialer) connect(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	if d.dial != nil {
		return d.dial(ctx, addr)
	}
	if d.Allowed != nil {
		if err := d.Allowed(addr); err != nil {
			return nil, refuse(addr, err)
		}
	}
	o := &d.Resolver.o.Connect
	return tcp.Dialer{Timeout: min(o.Timeout, o.TotalTimeout).D()}.Dial(ctx, addr)
}

func refuse(addr netip.AddrPort, err error) error {
	return &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(addr), Err: &refusal{err}}
}

func isRefusal(err error) bool {
	_, ok := errors.AsType[*refusal](err)
	return ok
}

// mostTelling picks the error to report: the first of a connection that was
// tried, or a refusal if all were refused.
func mostTelling(errs []error) error {
	var best error
	for _, err := range errs {
		if err != nil && (best == nil || isRefusal(best) && !isRefusal(err)) {
			best = err
		}
	}
	return best
}

// remember notes the addresses that failed, and those that were still trying
// when a later one was through.
func (d *Dialer) remember(addrs []netip.AddrPort, result raced[net.Conn]) {
	keep := d.Resolver.o.Connect.AvoidFailed.D()
	if keep == 0 {
		return
	}
	now := d.Resolver.now()
	for i, err := range result.errs {
		overtaken := i < result.winner
		if err != nil && !isRefusal(err) && (overtaken || !errors.Is(err, context.Canceled)) {
			d.failed.add(addrs[i], now, now.Add(keep))
		}
	}
	if result.winner >= 0 {
		d.failed.remove(addrs[result.winner])
	}
}

// recentFailures are addresses better tried after others.
type recentFailures struct {
	mu    sync.Mutex // guards until
	until map[netip.AddrPort]time.Time
}

const maxFailures = 4096 // addresses remembered

func (f *recentFailures) add(addr netip.AddrPort, now, until time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.until == nil {
		f.until = make(map[netip.AddrPort]time.Time)
	}
	if len(f.until) >= maxFailures {
		f.shrink(now)
	}
	f.until[addr] = until
}

// shrink drops what has expired, and then whatever comes first until a quarter is
// free, so that it is not called again for every address.
func (f *recentFailures) shrink(now time.Time) {
	for a, t := range f.until {
		if !now.Before(t) {
			delete(f.until, a)
		}
	}
	for a := range f.until {
		if len(f.until) <= maxFailures-maxFailures/4 {
			return
		}
		delete(f.until, a)
	}
}

func (f *recentFailures) remove(addr netip.AddrPort) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.until, addr)
}

// last moves the addresses that failed lately behind the others.
func (f *recentFailures) last(list []netip.AddrPort, now time.Time) []netip.AddrPort {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.until) == 0 {
		return list
	}
	good := make([]netip.AddrPort, 0, len(list))
	var bad []netip.AddrPort
	for _, a := range list {
		if now.Before(f.until[a]) {
			bad = append(bad, a)
		} else {
			good = append(good, a)
		}
	}
	return append(good, bad...)
}
