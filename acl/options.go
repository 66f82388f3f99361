package acl

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/cachenode/cachenode/internal/units"
)

// Options of access control.
type Options struct {
	// AllowFrom lists the client networks that may use the proxy, as addresses,
	// CIDR networks, or "all". A client outside gets 403 whatever the rules say.
	// The address of the connection counts; X-Forwarded-For is never believed.
	// The default is loopback, the private networks of RFC 1918, unique local
	// and link-local addresses. The shared space of RFC 6598 (100.64.0.0/10) is
	// not among them, since a provider's other customers are in it too.
	AllowFrom []string `yaml:"allow_from"`
	// AllowTo lists destination networks that may be reached although the proxy
	// otherwise refuses them: loopback, link-local, cloud metadata, multicast
	// and reserved addresses. The node's own services stay refused. On an
	// address in this list CONNECT may also reach ports from 1024 up, and other
	// requests any port.
	AllowTo []string `yaml:"allow_to"`
	// ConnectPorts lists the ports and port ranges that CONNECT may tunnel to.
	ConnectPorts []string `yaml:"connect_ports"`
	// SafePorts lists the ports and port ranges that requests other than CONNECT
	// may go to. The default leaves out the privileged ports that speak
	// something other than HTTP, so that nobody can have the proxy talk to a
	// mail server.
	SafePorts []string `yaml:"safe_ports"`
	// Rules are tried in order and the first that matches decides; what none of
	// them decides is allowed. A rule without conditions matches everything, so
	// a list that should only allow ends with {action: deny}.
	Rules []Rule `yaml:"rules"`
	// Auth asks clients for a user name and a password.
	Auth Auth `yaml:"auth"`

	// Services lists the addresses where this node and its cluster listen. It is
	// called for every dial; nil means none.
	Services func() []Service `yaml:"-"`
}

// Rule allows or denies the requests that meet all of its conditions; within
// one condition any of its values will do.
type Rule struct {
	// Action says what happens to a request that matches: allow or deny.
	Action string `yaml:"action"`
	// Name is printed in logs and by `config show`.
	Name string `yaml:"name,omitempty"`
	// From lists client networks.
	From []string `yaml:"from,omitempty"`
	// Users lists the users to whom the rule applies. A request without a user
	// that meets every other condition is asked to log in.
	Users []string `yaml:"users,omitempty"`
	// Auth, set to "required", makes the rule apply to every user who has logged
	// in, and asks others to.
	Auth string `yaml:"auth,omitempty"`
	// Methods lists request methods, for example GET or CONNECT.
	Methods []string `yaml:"methods,omitempty"`
	// Domains lists destination domains: example.com is that name alone,
	// .example.com also every name below it.
	Domains []string `yaml:"domains,omitempty"`
	// DomainsFile is a file of more such domains, one a line, # begins a comment.
	DomainsFile string `yaml:"domains_file,omitempty"`
	// DomainsRegexp lists regular expressions (RE2) that are searched in the
	// destination's name, ignoring case.
	DomainsRegexp []string `yaml:"domains_regexp,omitempty"`
	// DomainsRegexpFile is a file of more such expressions, one a line, # begins
	// a comment.
	DomainsRegexpFile string `yaml:"domains_regexp_file,omitempty"`
	// To lists destination networks. A name is looked up for it; a rule that
	// denies applies when any of its addresses is listed, one that allows when
	// all are.
	To []string `yaml:"to,omitempty"`
	// Ports lists destination ports and port ranges.
	Ports []string `yaml:"ports,omitempty"`
	// URLRegexp is a regular expression (RE2) searched in the whole URL. For
	// CONNECT that is host:port.
	URLRegexp string `yaml:"url_regexp,omitempty"`
	// Time says when the rule applies, in the node's local time: "Mon-Fri
	// 08:00-18:00", "Sat,Sun", "22:00-06:00" (past midnight). Several such
	// ranges are separated by semicolons.
	Time string `yaml:"time,omitempty"`
}

// Auth is Basic authentication.
type Auth struct {
	// Htpasswd is a file of users and hashed passwords as the htpasswd command
	// writes it (bcrypt, SHA, MD5-apr1, SSHA or SHA-crypt). Empty: nobody is
	// asked for a password.
	Htpasswd string `yaml:"htpasswd"`
	// Realm is what a browser shows when it asks for the password.
	Realm string `yaml:"realm"`
	// Required asks for a user on every request that no rule decides. Switched
	// off, only rules with users or with auth: required ask.
	Required bool `yaml:"required"`
	// CacheTTL is how long a password that was right is remembered, so that
	// bcrypt is not paid for each request; 0 switches the memory off.
	CacheTTL units.Duration `yaml:"cache_ttl"`
	// CacheEntries is how many such passwords are remembered at most. Only
	// keyed hashes are kept.
	CacheEntries int `yaml:"cache_entries"`
	// FreeFailures is how many wrong passwords a client may send before it has
	// to wait. One is forgotten a minute.
	FreeFailures int `yaml:"free_failures"`
	// MaxBackoff is the longest wait between two attempts; the first is 1s and
	// each further failure doubles it. 0 switches the waiting off.
	MaxBackoff units.Duration `yaml:"max_backoff"`
}

// Service is an address where this node or its cluster listens. No request is
// forwarded there, whatever allow_to says.
type Service struct {
	// Addr is where it listens. An unspecified address stands for each of this
	// machine's own addresses.
	Addr netip.AddrPort
	// Proxy says that requests to it would come back: a forwarding loop.
	Proxy bool
}

// DefaultOptions returns the defaults: loopback and private clients may use
// the proxy, nobody may reach loopback, link-local, metadata or unspecified
// addresses through it, CONNECT goes to port 443.
func DefaultOptions() Options {
	return Options{
		AllowFrom: []string{
			"127.0.0.0/8", "::1/128",
			"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7",
			"169.254.0.0/16", "fe80::/10",
		},
		ConnectPorts: []string{"443"},
		SafePorts:    []string{"80", "443", "1024-65535"},
		Auth: Auth{
			Realm:        "cachenode",
			Required:     true,
			CacheTTL:     units.Duration(10 * time.Minute),
			CacheEntries: 10_000,
			FreeFailures: 5,
			MaxBackoff:   units.Duration(time.Minute),
		},
	}
}

// Validate reports every problem of o, the files it names included.
func (o Options) Validate() error {
	_, err := New(o)
	return err
}

// problems gathers what is wrong with the options, so that all of it can be
// told at once.
type problems struct{ found []error }

func (p *problems) add(key string, err error) {
	if err != nil {
		p.found = append(p.found, fmt.Errorf("%s: %w", key, err))
	}
}

func (p *problems) networks(key string, list []string) networks {
	var set networks
	for i, s := range list {
		p.add(fmt.Sprintf("%s[%d]", key, i), set.add(s))
	}
	set.merge()
	return set
}

func (p *problems) ports(key string, list []string) ports {
	var set ports
	for i, s := range list {
		p.add(fmt.Sprintf("%s[%d]", key, i), set.add(s))
	}
	return set
}

func (p *problems) rules(o Options) []rule {
	list := make([]rule, 0, len(o.Rules))
	for i, r := range o.Rules {
		list = append(list, p.rule(fmt.Sprintf("acl.rules[%d]", i), r, o.Auth.Htpasswd != ""))
	}
	return list
}

func (p *problems) authenticator(o Auth) *authenticator {
	if o.CacheTTL < 0 || o.MaxBackoff < 0 || o.CacheEntries < 0 || o.FreeFailures < 0 {
		p.add("acl.auth", fmt.Errorf("cache_ttl, cache_entries, free_failures and max_backoff must not be negative"))
	}
	if o.Htpasswd == "" {
		return nil
	}
	if strings.ContainsFunc(o.Realm, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) || o.Realm == "" {
		p.add("acl.auth.realm", fmt.Errorf("invalid realm %q: want printable ASCII without quotes or backslashes", o.Realm))
	}
	users, err := readUserFile(o.Htpasswd)
	if err != nil {
		p.add("acl.auth.htpasswd", err)
		return nil
	}
	return newAuthenticator(o, users)
}
