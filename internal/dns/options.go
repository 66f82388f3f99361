package dns

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/cachenode/cachenode/internal/units"
)

// Options of name resolution and of connecting.
type Options struct {
	// Servers lists name servers as ADDRESS or ADDRESS:PORT, instead of those in
	// resolv_conf.
	Servers []string `yaml:"servers"`
	// Search lists the domains that are tried after a name of a single label,
	// instead of those in resolv_conf.
	Search []string `yaml:"search"`
	// ResolvConf is the file that names the servers and search domains. It is
	// read again when it changes.
	ResolvConf string `yaml:"resolv_conf"`
	// Hosts is a file of addresses and names that come before the servers'
	// answers. It is read again when it changes; empty: none is read.
	Hosts string `yaml:"hosts"`
	// Timeout is how long a look-up may take in all.
	Timeout units.Duration `yaml:"timeout"`
	// RetryAfter is how long a server may take before the next is asked too, or
	// the same again if there is no other.
	RetryAfter units.Duration `yaml:"retry_after"`
	// MinTTL is how long an answer is kept at least, whatever its TTL.
	MinTTL units.Duration `yaml:"min_ttl"`
	// MaxTTL is how long an answer is kept at most without asking again.
	MaxTTL units.Duration `yaml:"max_ttl"`
	// NegativeTTL is how long the answer that a name does not exist is kept at
	// most; its SOA record may say less.
	NegativeTTL units.Duration `yaml:"negative_ttl"`
	// Stale is how long after its TTL an answer is still served while no server
	// answers (RFC 8767); 0 switches that off.
	Stale units.Duration `yaml:"stale"`
	// StaleAfter is how long a look-up waits for a new answer before it makes do
	// with a stale one.
	StaleAfter units.Duration `yaml:"stale_after"`
	// Prefetch refreshes the answers of names in use shortly before they expire.
	Prefetch bool `yaml:"prefetch"`
	// CacheEntries is how many names are cached at most.
	CacheEntries int `yaml:"cache_entries"`
	// MaxLookups is how many names are asked for at the same time at most;
	// further look-ups wait their turn within their timeout. Each may hold
	// several sockets while servers are slow.
	MaxLookups int `yaml:"max_lookups"`
	// Connect says how connections to the answers are made.
	Connect Connect `yaml:"connect"`
}

// Connect is about opening connections.
type Connect struct {
	// Timeout is how long one address may take to accept a connection.
	Timeout units.Duration `yaml:"timeout"`
	// TotalTimeout is how long all addresses of a name may take together.
	TotalTimeout units.Duration `yaml:"total_timeout"`
	// AttemptDelay is how long an address may take before the next one is tried
	// beside it (RFC 8305, happy eyeballs).
	AttemptDelay units.Duration `yaml:"attempt_delay"`
	// MaxAddresses is how many addresses of a name are tried at most.
	MaxAddresses int `yaml:"max_addresses"`
	// AvoidFailed is how long an address that did not accept a connection is
	// tried after all others; 0 switches that off.
	AvoidFailed units.Duration `yaml:"avoid_failed"`
}

// DefaultOptions returns the defaults.
func DefaultOptions() Options {
	return Options{
		ResolvConf:   "/etc/resolv.conf",
		Hosts:        "/etc/hosts",
		Timeout:      units.Duration(4 * time.Second),
		RetryAfter:   units.Duration(time.Second),
		MinTTL:       units.Duration(time.Second),
		MaxTTL:       units.Duration(24 * time.Hour),
		NegativeTTL:  units.Duration(5 * time.Minute),
		Stale:        units.Duration(24 * time.Hour),
		StaleAfter:   units.Duration(500 * time.Millisecond),
		Prefetch:     true,
		CacheEntries: 10_000,
		MaxLookups:   128,
		Connect: Connect{
			Timeout:      units.Duration(10 * time.Second),
			TotalTimeout: units.Duration(20 * time.Second),
			AttemptDelay: units.Duration(250 * time.Millisecond),
			MaxAddresses: 8,
			AvoidFailed:  units.Duration(time.Minute),
		},
	}
}

// Validate reports every problem of o, each named by its key.
func (o Options) Validate() error {
	var found []error
	bad := func(key, format string, args ...any) {
		found = append(found, fmt.Errorf("dns."+key+": "+format, args...))
	}
	for i, s := range o.Servers {
		if _, err := parseServer(s); err != nil {
			bad(fmt.Sprintf("servers[%d]", i), "%w", err)
		}
	}
	for i, s := range o.Search {
		if _, literal, err := parseHost(s); err != nil || literal.IsValid() {
			bad(fmt.Sprintf("search[%d]", i), "invalid domain %q", s)
		}
	}
	if len(o.Servers) == 0 && o.ResolvConf == "" {
		bad("servers", "want at least one server, or dns.resolv_conf")
	}
	for _, d := range []struct {
		key string
		v   units.Duration
		min units.Duration
	}{
		{"timeout", o.Timeout, 1}, {"retry_after", o.RetryAfter, 1},
		{"min_ttl", o.MinTTL, 0}, {"max_ttl", o.MaxTTL, 0}, {"negative_ttl", o.NegativeTTL, 0},
		{"stale", o.Stale, 0}, {"stale_after", o.StaleAfter, 0},
		{"connect.timeout", o.Connect.Timeout, 1}, {"connect.total_timeout", o.Connect.TotalTimeout, 1},
		{"connect.attempt_delay", o.Connect.AttemptDelay, 0}, {"connect.avoid_failed", o.Connect.AvoidFailed, 0},
	} {
		if d.v < d.min {
			bad(d.key, "%s is too short", d.v)
		}
	}
	if o.MinTTL > o.MaxTTL {
		bad("min_ttl", "%s is more than max_ttl, %s", o.MinTTL, o.MaxTTL)
	}
	for _, n := range []struct {
		key string
		v   int
	}{{"cache_entries", o.CacheEntries}, {"max_lookups", o.MaxLookups}, {"connect.max_addresses", o.Connect.MaxAddresses}} {
		if n.v < 1 {
			bad(n.key, "%d: want 1 or more", n.v)
		}
	}
	return errors.Join(found...)
}

// parseServer reads ADDRESS or ADDRESS:PORT.
func parseServer(s string) (netip.AddrPort, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.AddrPortFrom(a, 53), nil
	}
	host, port, err := net.SplitHostPort(s)
	if err == nil {
		a, err1 := netip.ParseAddr(host)
		n, err2 := strconv.ParseUint(port, 10, 16)
		if err1 == nil && err2 == nil && n > 0 {
			return netip.AddrPortFrom(a, uint16(n)), nil
		}
	}
	return netip.AddrPort{}, fmt.Errorf("invalid name server %q: want an address, or an address with a port", s)
}
