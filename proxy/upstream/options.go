package upstream

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/cachenode/cachenode/internal/units"
)

// Options of the connections to origins and parent proxies.
type Options struct {
	// How long a connection to an origin or a parent may take to open, name resolution and waiting for a free connection included.
	ConnectTimeout units.Duration `yaml:"connect_timeout"`
	// How long the TLS handshake may take once connected.
	TLSTimeout units.Duration `yaml:"tls_timeout"`
	// How long the origin may take to begin its response after the request was sent; each interim (1xx) response starts the wait again.
	ResponseTimeout units.Duration `yaml:"response_timeout"`
	// How long the origin may pause in the middle of a body before the transfer is given up.
	ReadTimeout units.Duration `yaml:"read_timeout"`
	// How long the origin may take to accept more of a request before it is given up.
	WriteTimeout units.Duration `yaml:"write_timeout"`
	// How long a request with "Expect: 100-continue" waits for the origin's answer before its body is sent all the same.
	ExpectTimeout units.Duration `yaml:"expect_timeout"`
	// How long an unused connection is kept for the next request; 0 keeps none.
	IdleTimeout units.Duration `yaml:"idle_timeout"`
	// How many connections may be open to one origin at a time; 0 means no limit, and there is none for parents. Further requests wait for a free one, up to connect_timeout.
	MaxConnsPerHost int `yaml:"max_conns_per_host"`
	// How many unused connections are kept for one origin.
	MaxIdlePerHost int `yaml:"max_idle_per_host"`
	// How many unused connections are kept in all.
	MaxIdle int `yaml:"max_idle"`
	// Largest response head (status line and fields, or trailers) that is accepted; a larger one is answered with 502.
	MaxResponseHead units.Size `yaml:"max_response_head"`
	// How many interim (1xx) responses are accepted before the final one.
	MaxInterim int `yaml:"max_interim"`
	// TLS towards origins (https requests in absolute form) and https parents.
	TLS TLSOptions `yaml:"tls"`
	// Parent proxies, where the network needs one to get out.
	Parents ParentOptions `yaml:"parents"`
}

// TLSOptions says whom to trust.
type TLSOptions struct {
	// PEM file with certificate authorities that are trusted in addition to the system's.
	CAFile string `yaml:"ca_file"`
	// Oldest TLS version that is spoken: "1.2" or "1.3".
	MinVersion string `yaml:"min_version"`
}

// ParentOptions says which parents there are and when they are used.
type ParentOptions struct {
	// How a parent is chosen: "failover" takes the first that is up, "round-robin" takes them in turn.
	Policy string `yaml:"policy"`
	// When the origin is contacted directly although there are parents: "fallback" when no parent can be reached, "never" (but for exempt destinations).
	Direct string `yaml:"direct"`
	// The parents, in order of preference; empty means that every request goes direct.
	List []Parent `yaml:"list"`
	// Destinations that always go direct: domains (with their subdomains), addresses, or networks such as 10.0.0.0/8.
	Exempt []string `yaml:"exempt"`
	// How the parents are watched.
	Health HealthOptions `yaml:"health"`
}

// Parent is one parent proxy.
type Parent struct {
	// Name in logs and statistics; its host when empty.
	Name string `yaml:"name"`
	// Where it listens: host:port, http://host:port, or https://host:port for a parent that is spoken to over TLS.
	URL string `yaml:"url"`
	// User name for the parent, sent as Basic credentials.
	User string `yaml:"user"`
	// File whose first line is the password that belongs to user.
	PasswordFile string `yaml:"password_file"`
}

// HealthOptions of the parents.
type HealthOptions struct {
	// How often each parent is tried with a connection; 0 switches the checks off, and then no parent ever counts as down.
	Interval units.Duration `yaml:"interval"`
	// How long such a connection may take.
	Timeout units.Duration `yaml:"timeout"`
	// How many checks in a row must succeed before a parent that was down is used again.
	Rise int `yaml:"rise"`
	// How many connections in a row must fail before a parent counts as down.
	Fall int `yaml:"fall"`
}

// The parent policies and the ways of going direct.
const (
	policyFailover   = "failover"
	policyRoundRobin = "round-robin"
	directFallback   = "fallback"
	directNever      = "never"
)

// DefaultOptions returns the defaults: no parents, the system's certificate
// authorities, time-outs that suit browsers.
func DefaultOptions() Options {
	return Options{
		ConnectTimeout:  units.Duration(15 * time.Second),
		TLSTimeout:      units.Duration(10 * time.Second),
		ResponseTimeout: units.Duration(time.Minute),
		ReadTimeout:     units.Duration(5 * time.Minute),
		WriteTimeout:    units.Duration(time.Minute),
		ExpectTimeout:   units.Duration(time.Second),
		IdleTimeout:     units.Duration(50 * time.Second),
		MaxConnsPerHost: 512,
		MaxIdlePerHost:  64,
		MaxIdle:         1024,
		MaxResponseHead: 256 * units.KiB,
		MaxInterim:      100,
		TLS:             TLSOptions{MinVersion: "1.2"},
		Parents: ParentOptions{
			Policy: policyFailover,
			Direct: directFallback,
			Health: HealthOptions{
				Interval: units.Duration(5 * time.Second),
				Timeout:  units.Duration(2 * time.Second),
				Rise:     2,
				Fall:     3,
			},
		},
	}
}

// Validate returns every problem of o, each named by its key. It reads the files
// that o names.
func (o Options) Validate() error {
	var errs []error
	bad := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf("proxy.upstream."+key+": "+format, args...))
	}
	for _, t := range []struct {
		key string
		d   units.Duration
	}{
		{"connect_timeout", o.ConnectTimeout}, {"tls_timeout", o.TLSTimeout},
		{"response_timeout", o.ResponseTimeout}, {"read_timeout", o.ReadTimeout},
		{"write_timeout", o.WriteTimeout}, {"expect_timeout", o.ExpectTimeout},
	} {
		if t.d <= 0 {
			bad(t.key, "must be more than 0")
		}
	}
	for _, n := range []struct {
		key string
		n   int
	}{
		{"max_conns_per_host", o.MaxConnsPerHost}, {"max_idle_per_host", o.MaxIdlePerHost},
		{"max_idle", o.MaxIdle}, {"max_interim", o.MaxInterim},
	} {
		if n.n < 0 {
			bad(n.key, "%d is negative", n.n)
		}
	}
	if o.IdleTimeout < 0 {
		bad("idle_timeout", "must not be negative")
	}
	if o.MaxResponseHead < 4*units.KiB || o.MaxResponseHead > 16*units.MiB {
		bad("max_response_head", "%s is outside 4KiB to 16MiB", o.MaxResponseHead)
	}
	if _, ok := tlsVersions[o.TLS.MinVersion]; !ok {
		bad("tls.min_version", "%q is neither 1.2 nor 1.3", o.TLS.MinVersion)
	}
	if _, err := o.TLS.config(); err != nil {
		errs = append(errs, err)
	}
	o.Parents.validate(bad)
	return errors.Join(errs...)
}

func (o ParentOptions) validate(bad func(key, format string, args ...any)) {
	if o.Policy != policyFailover && o.Policy != policyRoundRobin {
		bad("parents.policy", "%q is neither %s nor %s", o.Policy, policyFailover, policyRoundRobin)
	}
	if o.Direct != directFallback && o.Direct != directNever {
		bad("parents.direct", "%q is neither %s nor %s", o.Direct, directFallback, directNever)
	}
	names := make(map[string]bool, len(o.List))
	for i, p := range o.List {
		key := fmt.Sprintf("parents.list[%d].", i)
		a, err := p.address()
		if err != nil {
			bad(key+"url", "%w", err)
			continue
		}
		if names[a.name] {
			bad(key+"name", "%q is taken by another parent; give each a name of its own", a.name)
		}
		names[a.name] = true
		if p.User == "" && p.PasswordFile != "" {
			bad(key+"user", "is missing beside password_file")
		}
		if strings.Contains(p.User, ":") {
			bad(key+"user", "must not contain a colon")
		}
		if _, err := p.credentials(); err != nil {
			bad(key+"password_file", "%w", err)
		}
	}
	for i, e := range o.Exempt {
		if _, err := parseExempt(e); err != nil {
			bad(fmt.Sprintf("parents.exempt[%d]", i), "%w", err)
		}
	}
	h := o.Health
	if h.Interval > 0 && h.Timeout <= 0 {
		bad("parents.health.timeout", "must be more than 0")
	}
	if h.Rise < 1 {
		bad("parents.health.rise", "must be at least 1")
	}
	if h.Fall < 1 {
		bad("parents.health.fall", "must be at least 1")
	}
}

// parentAddress is a parent's URL taken apart.
type parentAddress struct {
	name     string
	hostport string
	tls      bool
}

func (p Parent) address() (parentAddress, error) {
	raw := p.URL
	if !strings.Contains(raw, "://") {
		raw = "http://" + raw
	}
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || u.Port() == "" || (u.Path != "" && u.Path != "/") || u.RawQuery != "" {
		return parentAddress{}, fmt.Errorf("%q is no host:port or http://host:port", p.URL)
	}
	if u.User != nil {
		return parentAddress{}, errors.New("credentials belong into user and password_file")
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return parentAddress{}, fmt.Errorf("scheme %q is neither http nor https", u.Scheme)
	}
	if n, err := net.LookupPort("tcp", u.Port()); err != nil || n == 0 {
		return parentAddress{}, fmt.Errorf("%q is no port", u.Port())
	}
	a := parentAddress{name: p.Name, hostport: net.JoinHostPort(u.Hostname(), u.Port()), tls: u.Scheme == "https"}
	if a.name == "" {
		a.name = u.Hostname()
	}
	return a, nil
}

// exemption is one destination that goes direct: a domain or a network.
type exemption struct {
	domain string
	net    netip.Prefix
}

func parseExempt(s string) (exemption, error) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return exemption{net: p.Masked()}, nil
	}
	if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return exemption{net: netip.PrefixFrom(a, a.BitLen())}, nil
	}
	d := strings.ToLower(strings.Trim(strings.TrimPrefix(s, "*"), "."))
	if d == "" || strings.ContainsAny(d, " /:*\t\r\n") {
		return exemption{}, fmt.Errorf("%q is neither a domain nor a network", s)
	}
	return exemption{domain: d}, nil
}

func (e exemption) matches(host string) bool {
	if e.domain != "" {
		return host == e.domain || strings.HasSuffix(host, "."+e.domain)
	}
	a, err := netip.ParseAddr(host)
	return err == nil && e.net.Contains(a.Unmap())
}
