// Package acl says who may ask for what: clients, destinations, ports, methods
// and times, in rules of which the first match decides, and which addresses may
// be dialled at all. It opens no connection.
package acl

import (
	"net/netip"
	"time"
)

// Options of access control. (yaml tags: lower_snake.)
type Options struct{}

// DefaultOptions returns the defaults: loopback and private clients may use
// the proxy, nobody may reach loopback, link-local, metadata or unspecified
// addresses through it, CONNECT goes to port 443.
func DefaultOptions() Options { panic("todo") }

// List is a compiled set of rules; immutable, safe for concurrent use.
type List struct{}

// New compiles o and reads the files it names.
func New(o Options) (*List, error) { panic("todo") }

// Query is one request as the rules see it.
type Query struct {
	Client netip.Addr
	Method string
	Scheme string // http, https; empty for CONNECT
	Host   string // lower case, no port, no brackets
	Port   uint16
	URL    string
	User   string // authenticated user, empty if none
	Time   time.Time
}

// Verdict is what the rules say.
type Verdict struct {
	Allow    bool
	NeedAuth bool   // answer 407: the deciding rule wants a user and there is none
	Rule     string // the deciding rule as `config show` prints it
	Reason   string // bounded label for cachenode_denied_total: client, destination, port, method, time, auth, rule
}

// Check returns the first matching rule's decision; no match denies.
func (l *List) Check(q *Query) Verdict { panic("todo") }

// DialAllowed is the destination guard: whether the proxy may open a connection to this very
// address. It is called with the address that is dialled (net.Dialer.Control), after DNS. connect says that it is for a
// CONNECT tunnel. The error is a *Denied.
func (l *List) DialAllowed(addr netip.AddrPort) error { panic("todo") }

// Denied is a refused destination.
type Denied struct {
	Addr   netip.AddrPort
	Reason string // loopback, link-local, metadata, unspecified, multicast, own-service …
}

func (d *Denied) Error() string { return "destination " + d.Addr.String() + " is not allowed: " + d.Reason }

// Authenticate checks Basic credentials from a Proxy-Authorization value.
// ok is false when they are missing or wrong; retry is how long this client
// must wait after too many failures (then the password is not even looked at).
// With no user file configured it returns "", true, 0 for every value.
func (l *List) Authenticate(client netip.Addr, value string, now time.Time) (user string, ok bool, retry time.Duration) {
	panic("todo")
}

// Realm is the realm of Proxy-Authenticate; empty: no authentication is configured.
func (l *List) Realm() string { panic("todo") }

// Rules prints the effective rules, one per line, in order, for `config show`.
func (l *List) Rules() []string { panic("todo") }
