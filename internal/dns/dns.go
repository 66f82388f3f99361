// Package dns resolves names with a cache that honours the records' TTL, goes
// on with stale answers while the resolver is down, and dials the answers by
// happy eyeballs (RFC 8305). It knows nothing of HTTP.
package dns

import (
	"context"
	"net"
	"net/netip"
)

// Options of name resolution and of connecting. (yaml tags: lower_snake.)
type Options struct{}

// DefaultOptions returns the defaults.
func DefaultOptions() Options { panic("todo") }

// Resolver is a caching stub resolver.
type Resolver struct{}

// New reads resolv.conf and hosts unless o names servers. No goroutine runs before the first look-up; Close waits for all.
func New(o Options) (*Resolver, error) { panic("todo") }

// Lookup returns the addresses of host, which may be an address literal. The
// error is an *Error.
func (r *Resolver) Lookup(ctx context.Context, host string) ([]netip.Addr, error) { panic("todo") }

// Error is a failed resolution.
type Error struct {
	Host    string
	Timeout bool // no server answered in time, as opposed to a negative answer
	Reason  string
}

func (e *Error) Error() string { return "resolve " + e.Host + ": " + e.Reason }

// Dialer connects to names by happy eyeballs.
type Dialer struct {
	Resolver *Resolver
	// Allowed is asked with every address before it is dialled, from
	// net.Dialer.Control, so that what is checked is what is dialled.
	Allowed func(netip.AddrPort) error
	// …Options
}

// DialContext connects to "host:port". When every address fails the error
// wraps the most telling one: a refusal by Allowed, an *Error, a
// *net.OpError.
func (d *Dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	panic("todo")
}
