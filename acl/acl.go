// Package acl says who may ask for what: clients, destinations, ports, methods
// and times, in rules of which the first match decides, and which addresses may
// be dialled at all. It opens no connection and resolves no name.
package acl

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"time"
)

// List is a compiled set of rules. Everything but the memory of passwords and
// of failed log-ins is immutable; it is safe for concurrent use. A change of
// the options or of a file they name takes a new List.
type List struct {
	clients networks // allow_from
	vouched networks // allow_to
	connect ports
	safe    ports
	rules   []rule
	last    closing
	auth    *authenticator // nil: no authentication is configured

	services   func() []Service
	interfaces func() ([]net.Addr, error)
	zone       *time.Location
	text       builtin
}

// closing is what happens to a request that no rule decided.
type closing struct {
	needUser bool
	text     string
}

// New compiles o and reads the files it names. The error joins every problem
// found, each named by its key.
func New(o Options) (*List, error) {
	var p problems
	l := &List{
		clients:    p.networks("acl.allow_from", o.AllowFrom),
		vouched:    p.networks("acl.allow_to", o.AllowTo),
		connect:    p.ports("acl.connect_ports", o.ConnectPorts),
		safe:       p.ports("acl.safe_ports", o.SafePorts),
		rules:      p.rules(o),
		auth:       p.authenticator(o.Auth),
		services:   o.Services,
		interfaces: net.InterfaceAddrs,
		zone:       time.Local,
	}
	if l.services == nil {
		l.services = func() []Service { return nil }
	}
	l.last = closing{text: "allow everything else"}
	if l.auth != nil && o.Auth.Required {
		l.last = closing{needUser: true, text: "allow everything else: auth required"}
	}
	l.text = l.builtin()
	if err := errors.Join(p.found...); err != nil {
		return nil, err
	}
	return l, nil
}

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

	// Sibling says that another cache of ours asks for what is stored, and only
	// for that: neither allow_from nor authentication are its concern.
	Sibling bool

	// Addrs are the addresses Host resolves to, when they are known. Rules with
	// destination networks cannot match a name without them; see
	// List.WantsAddrs.
	Addrs []netip.Addr
}

// Verdict is what the rules say.
type Verdict struct {
	Allow    bool
	NeedAuth bool   // answer 407: the deciding rule wants a user and there is none
	Rule     string // the deciding rule as `config show` prints it
	Reason   string // bounded label for cachenode_denied_total: client, destination, port, method, time, auth, rule
}

// The reasons of a Verdict that does not allow.
const (
	reasonClient      = "client"
	reasonDestination = "destination"
	reasonPort        = "port"
	reasonMethod      = "method"
	reasonTime        = "time"
	reasonAuth        = "auth"
	reasonRule        = "rule"
)

// Check returns the first matching rule's decision. Before the configured rules
// stand the built-in ones: the client must be in allow_from, a destination
// given as an address must pass the guard of DialAllowed (own services aside,
// which only the dial can tell), and the port must be one of connect_ports or
// safe_ports. After them, allowed clients may do what no rule decided.
func (l *List) Check(q *Query) Verdict {
	if !q.Sibling && !l.clients.contains(plain(q.Client)) {
		return Verdict{Rule: l.text.clients, Reason: reasonClient}
	}
	dst, err := readDestination(q)
	if err != nil {
		return Verdict{Rule: l.text.literals, Reason: reasonDestination}
	}
	if l.guarded(dst) {
		return Verdict{Rule: l.text.guard, Reason: reasonDestination}
	}
	if rule, ok := l.portAllowed(q, dst); !ok {
		return Verdict{Rule: rule, Reason: reasonPort}
	}
	for i := range l.rules {
		switch l.rules[i].match(q, dst, l.zone) {
		case matched:
			return l.rules[i].verdict
		case needsUser:
			if q.Sibling {
				continue
			}
			return Verdict{NeedAuth: true, Rule: l.rules[i].verdict.Rule, Reason: reasonAuth}
		}
	}
	if l.last.needUser && q.User == "" && !q.Sibling {
		return Verdict{NeedAuth: true, Rule: l.last.text, Reason: reasonAuth}
	}
	return Verdict{Allow: true, Rule: l.last.text}
}

// portAllowed is the port policy. For an address that allow_to names the
// operator has vouched: tunnels may go to its unprivileged ports beside
// connect_ports, so that `--allow-to 127.0.0.0/8` is enough to tunnel to a test
// server, and other requests to any port. A name gets no such grace, whatever it
// resolves to.
func (l *List) portAllowed(q *Query, dst destination) (rule string, ok bool) {
	if q.Port == 0 {
		return l.text.safe, false
	}
	if q.Method != "CONNECT" {
		return l.text.safe, l.safe.contains(q.Port) || l.vouchedFor(dst)
	}
	if l.connect.contains(q.Port) {
		return "", true
	}
	return l.text.connect, q.Port >= 1024 && l.vouchedFor(dst)
}

// vouchedFor reports whether dst is an address that allow_to names.
func (l *List) vouchedFor(dst destination) bool {
	return dst.literal.IsValid() && l.vouched.contains(dst.literal)
}

// WantsAddrs reports whether some rule looks at destination networks, so that a
// Query for a name is decided well only with its Addrs.
func (l *List) WantsAddrs() bool {
	return slices.ContainsFunc(l.rules, func(r rule) bool { return !r.to.empty() })
}

// Steady reports that Check says the same of all queries that have client, method,
// scheme, host, port, user and addresses in common: no rule looks at the URL or the
// time.
func (l *List) Steady() bool {
	return !slices.ContainsFunc(l.rules, func(r rule) bool { return r.url != nil || len(r.hours) > 0 })
}

// Authenticate checks Basic credentials from a Proxy-Authorization value.
// ok is false when they are missing or wrong; retry is how long this client
// must wait after too many failures (then the password is not even looked at).
// With no user file configured it returns "", true, 0 for every value.
func (l *List) Authenticate(client netip.Addr, value string, now time.Time) (user string, ok bool, retry time.Duration) {
	if l.auth == nil {
		return "", true, 0
	}
	return l.auth.check(client, value, now)
}

// Realm is the realm of Proxy-Authenticate; empty: no authentication is configured.
func (l *List) Realm() string {
	if l.auth == nil {
		return ""
	}
	return l.auth.realm
}
