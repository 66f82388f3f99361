package acl

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	insider = netip.MustParseAddr("10.1.2.3")
	noon    = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC) // a Wednesday
)

// newList compiles the default options with a change.
func newList(t testing.TB, change func(*Options)) *List {
	t.Helper()
	o := DefaultOptions()
	if change != nil {
		change(&o)
	}
	l, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	l.zone = time.UTC
	return l
}

func withRules(rules ...Rule) func(*Options) { return func(o *Options) { o.Rules = rules } }

// get is a plain request from inside.
func get(host string) *Query {
	return &Query{Client: insider, Method: "GET", Scheme: "http", Host: host, Port: 80, URL: "http://" + host + "/", Time: noon}
}

func connect(host string, port uint16) *Query {
	return &Query{Client: insider, Method: "CONNECT", Host: host, Port: port, Time: noon}
}

func tempFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "list")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestClientsOfDefaultNetworks(t *testing.T) {
	l := newList(t, nil)
	for client, want := range map[string]bool{
		"127.0.0.1": true, "::1": true, "10.255.255.255": true, "172.16.0.1": true, "172.31.255.255": true, "192.168.7.7": true,
		"fd12::1": true, "fe80::1": true, "fe80::1%eth0": true, "169.254.3.4": true, "::ffff:10.0.0.1": true,
		"8.8.8.8": false, "172.32.0.1": false, "172.15.255.255": false, "11.0.0.0": false, "9.255.255.255": false,
		"100.64.0.1": false, "2001:db8::1": false, "::ffff:8.8.8.8": false,
	} {
		q := get("example.com")
		q.Client = netip.MustParseAddr(client)
		v := l.Check(q)
		if v.Allow != want || !want && v.Reason != "client" {
			t.Errorf("%s: %+v", client, v)
		}
	}
	q := get("example.com")
	q.Client = netip.Addr{}
	if l.Check(q).Allow {
		t.Error("a client without an address is allowed")
	}
	everybody := newList(t, func(o *Options) { o.AllowFrom = []string{"all"} })
	for _, client := range []string{"8.8.8.8", "2001:db8::1", "0.0.0.0", "255.255.255.255", "::"} {
		q.Client = netip.MustParseAddr(client)
		if v := everybody.Check(q); !v.Allow {
			t.Errorf("all: %s: %+v", client, v)
		}
	}
}

func TestPorts(t *testing.T) {
	l := newList(t, nil)
	local := newList(t, func(o *Options) { o.AllowTo = []string{"127.0.0.0/8"} })
	for _, c := range []struct {
		list *List
		q    *Query
		want bool
	}{
		{l, connect("example.com", 443), true},
		{l, connect("example.com", 80), false},
		{l, connect("example.com", 8443), false},
		{l, connect("example.com", 0), false},
		{l, connect("192.0.2.1", 22), false},
		{local, connect("127.0.0.1", 8443), true},
		{local, connect("127.0.0.1", 1024), true},
		{local, connect("127.0.0.1", 1023), false},
		{local, connect("127.0.0.1", 443), true},
		{local, connect("192.0.2.1", 8443), false},
		{local, connect("::ffff:127.0.0.1", 8443), true},
		{local, connect("localhost", 8443), false}, // a name gets no grace
		{local, connect("localhost", 443), true},
	} {
		if v := c.list.Check(c.q); v.Allow != c.want || !c.want && v.Reason != "port" {
			t.Errorf("CONNECT %s:%d: %+v", c.q.Host, c.q.Port, v)
		}
	}
	for port, want := range map[uint16]bool{80: true, 443: true, 1024: true, 8080: true, 65535: true, 0: false, 22: false, 25: false, 1023: false} {
		q := get("example.com")
		q.Port = port
		if v := l.Check(q); v.Allow != want || !want && v.Reason != "port" {
			t.Errorf("GET to port %d: %+v", port, v)
		}
	}
}

func TestFirstMatchDecides(t *testing.T) {
	l := newList(t, withRules(
		Rule{Action: "allow", Name: "exception", Domains: []string{"good.ads.example"}},
		Rule{Action: "deny", Name: "adverts", Domains: []string{".ads.example"}},
		Rule{Action: "allow", Domains: []string{".example"}},
		Rule{Action: "deny", Name: "rest"},
	))
	for host, want := range map[string]string{
		"good.ads.example":   `allow "exception": domains good.ads.example`,
		"x.good.ads.example": `deny "adverts": domains .ads.example`,
		"ads.example":        `deny "adverts": domains .ads.example`,
		"badads.example":     `allow: domains .example`,
		"example.com":        `deny "rest"`,
		"192.0.2.1":          `deny "rest"`,
	} {
		v := l.Check(get(host))
		if v.Rule != want || v.Allow != strings.HasPrefix(want, "allow") {
			t.Errorf("%s: %+v, want %s", host, v, want)
		}
	}
}

func TestDomainsAreCompared(t *testing.T) {
	file := tempFile(t, "# adverts\n.tracker.example\n\n  exact.example  # one\nBÜCHER.example\n")
	exprs := tempFile(t, "^ad[0-9]+\\.\n# (comment\n")
	l := newList(t, withRules(
		Rule{Action: "deny", DomainsFile: file, DomainsRegexp: []string{`Casino`}, DomainsRegexpFile: exprs},
	))
	for host, denied := range map[string]bool{
		"tracker.example": true, "a.b.tracker.example": true, "TRACKER.EXAMPLE": true, "tracker.example.": true, "a.tracker.example.": true,
		"nottracker.example": false, "tracker.example.com": false,
		"exact.example": true, "a.exact.example": false,
		"bücher.example": true, "xn--bcher-kva.example": true, "BÜCHER.example.": true,
		"my-casino.example": true, "ad7.example": true, "ads.example": false, "bad7.example": false,
	} {
		if v := l.Check(get(host)); v.Allow == denied || denied && v.Reason != "destination" {
			t.Errorf("%s: %+v", host, v)
		}
	}
}

func TestEmptyDomainFileMatchesNothing(t *testing.T) {
	l := newList(t, withRules(Rule{Action: "deny", DomainsFile: tempFile(t, "# nothing yet\n")}))
	if v := l.Check(get("example.com")); !v.Allow {
		t.Errorf("%+v", v)
	}
}

func TestConditionsOfRules(t *testing.T) {
	addr := netip.MustParseAddr
	for _, c := range []struct {
		name   string
		rule   Rule
		hit    func(*Query)
		miss   func(*Query)
		reason string
	}{
		{"from", Rule{From: []string{"10.9.0.0/16"}},
			func(q *Query) { q.Client = addr("10.9.1.1") }, func(q *Query) { q.Client = addr("10.8.1.1") }, "client"},
		{"methods", Rule{Methods: []string{"post", "PUT"}},
			func(q *Query) { q.Method = "POST" }, func(q *Query) { q.Method = "GET" }, "method"},
		{"ports", Rule{Ports: []string{"8000-8999"}},
			func(q *Query) { q.Port = 8080 }, func(q *Query) { q.Port = 80 }, "port"},
		{"time", Rule{Time: "Mon-Fri 08:00-18:00"},
			func(*Query) {}, func(q *Query) { q.Time = noon.Add(8 * time.Hour) }, "time"},
		{"url", Rule{URLRegexp: `\.exe$`},
			func(q *Query) { q.URL = "http://a.test/x.exe" }, func(q *Query) { q.URL = "http://a.test/x.EXE" }, "rule"},
		{"to, address", Rule{To: []string{"192.0.2.0/24"}},
			func(q *Query) { q.Host = "192.0.2.7" }, func(q *Query) { q.Host = "198.51.100.1" }, "destination"},
		{"to, name", Rule{To: []string{"192.0.2.0/24"}},
			func(q *Query) { q.Addrs = []netip.Addr{addr("198.51.100.1"), addr("::ffff:192.0.2.7")} }, func(*Query) {}, "destination"},
		{"two", Rule{Methods: []string{"GET"}, Domains: []string{"a.test"}},
			func(*Query) {}, func(q *Query) { q.Method = "HEAD" }, "rule"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.rule.Action = "deny"
			l := newList(t, withRules(c.rule))
			q := get("a.test")
			if c.hit(q); l.Check(q).Allow || l.Check(q).Reason != c.reason {
				t.Errorf("not denied: %+v gives %+v", q, l.Check(q))
			}
			q = get("a.test")
			if c.miss(q); !l.Check(q).Allow {
				t.Errorf("denied: %+v gives %+v", q, l.Check(q))
			}
		})
	}
}

// A name may have addresses on both sides of a network's edge.
func TestDestinationNetworksOfNames(t *testing.T) {
	inside, outside := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.1")
	l := newList(t, withRules(Rule{Action: "allow", To: []string{"192.0.2.0/24"}}, Rule{Action: "deny"}))
	if !l.WantsAddrs() || newList(t, nil).WantsAddrs() {
		t.Error("WantsAddrs is wrong")
	}
	for _, c := range []struct {
		addrs []netip.Addr
		want  bool
	}{{nil, false}, {[]netip.Addr{inside}, true}, {[]netip.Addr{inside, outside}, false}, {[]netip.Addr{outside}, false}} {
		q := get("a.test")
		q.Addrs = c.addrs
		if v := l.Check(q); v.Allow != c.want {
			t.Errorf("%v: %+v", c.addrs, v)
		}
	}
}

func TestRulesThatWantAUser(t *testing.T) {
	file := tempFile(t, "alice:{SHA}F2GPAaOiG5EcklvLUlodIavTBnM=\n")
	l := newList(t, func(o *Options) {
		o.Auth.Htpasswd = file
		o.Rules = []Rule{
			{Action: "allow", Domains: []string{"free.test"}},
			{Action: "allow", Domains: []string{"admin.test"}, Users: []string{"alice"}},
			{Action: "deny", Domains: []string{"admin.test"}},
			{Action: "deny", Domains: []string{"nobody.test"}},
			{Action: "deny", Domains: []string{"anonymous.test"}, Auth: "required"},
		}
	})
	for _, c := range []struct {
		host, user  string
		allow, need bool
	}{
		{"free.test", "", true, false},
		{"admin.test", "", false, true},
		{"admin.test", "alice", true, false},
		{"admin.test", "bob", false, false},
		{"nobody.test", "", false, false},
		{"anonymous.test", "", false, true},
		{"anonymous.test", "bob", false, false},
		{"other.test", "", false, true},
		{"other.test", "bob", true, false},
	} {
		q := get(c.host)
		q.User = c.user
		v := l.Check(q)
		if v.Allow != c.allow || v.NeedAuth != c.need || c.need && v.Reason != "auth" {
			t.Errorf("%s as %q: %+v", c.host, c.user, v)
		}
	}
	optional := newList(t, func(o *Options) { o.Auth.Htpasswd, o.Auth.Required = file, false })
	if v := optional.Check(get("other.test")); !v.Allow {
		t.Errorf("not required: %+v", v)
	}
}

func TestAllProblemsAreTold(t *testing.T) {
	o := DefaultOptions()
	o.AllowFrom = []string{"10.0.0.0/8", "10.0.0.0/33", "10.1.2.3/8", "fe80::1%eth0", "::ffff:0:0/64"}
	o.ConnectPorts = []string{"443", "0", "70000", "9-8", "+1", "http"}
	o.Rules = []Rule{
		{Action: "permit", Time: "Mon-Fry", Domains: []string{"*.example.com", "a b"}, DomainsRegexp: []string{"("}},
		{Action: "deny", Users: []string{"alice"}, Auth: "maybe", URLRegexp: "[", Methods: []string{"G T"}},
		{Action: "deny", DomainsFile: tempFile(t, strings.Repeat("a/b\n", 15)), DomainsRegexpFile: "/nonexistent/file"},
	}
	o.Auth.Htpasswd, o.Auth.Realm = tempFile(t, "alice:secret\n"), `a"b`
	err := o.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"acl.allow_from[1]: ", "acl.allow_from[2]: network \"10.1.2.3/8\" has bits set beyond its mask: want 10.0.0.0/8",
		"acl.allow_from[3]: ", "acl.allow_from[4]: ",
		"acl.connect_ports[1]: ", "acl.connect_ports[2]: ", "acl.connect_ports[3]: ", "acl.connect_ports[4]: ", "acl.connect_ports[5]: ",
		"acl.rules[0].action: ", "acl.rules[0].time: ", "acl.rules[0].domains[0]: ", "acl.rules[0].domains[1]: ",
		"acl.rules[0].domains_regexp[0]: invalid regular expression \"(\": missing closing )",
		"acl.rules[1].auth: ", "acl.rules[1].url_regexp: ", "acl.rules[1].methods[0]: ",
		"acl.rules[2].domains_file: ", ":10: ", "5 more lines", "acl.rules[2].domains_regexp_file: ",
		"acl.auth.htpasswd: ", ":1: user \"alice\": ", "acl.auth.realm: ",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "secret") {
		t.Error("the error tells a password")
	}
	o = DefaultOptions()
	o.Rules = []Rule{{Action: "deny", Users: []string{"alice"}}}
	if err := o.Validate(); err == nil || !strings.Contains(err.Error(), "acl.rules[0]: asks for a user") {
		t.Errorf("users without a file: %v", err)
	}
}

func TestEffectiveRules(t *testing.T) {
	l := newList(t, func(o *Options) {
		o.AllowTo = []string{"127.0.0.0/8"}
		o.Rules = []Rule{{Action: "deny", Name: "adverts", From: []string{"10.0.0.0/8"}, Domains: []string{".ads.example", "x.test"}, Time: "Sat,Sun"}}
	})
	want := []string{
		"deny clients: from other than 127.0.0.0/8 ::1/128 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7 169.254.0.0/16 fe80::/10",
		"deny hosts that are neither a name nor a plainly written address",
		"deny to loopback, link-local, metadata, multicast, unspecified and reserved addresses, also embedded in IPv6, except 127.0.0.0/8",
		"deny to this node's own services",
		"deny CONNECT: ports other than 443, except 1024-65535 on 127.0.0.0/8",
		"deny other methods: ports other than 80 443 1024-65535",
		`deny "adverts": from 10.0.0.0/8, domains .ads.example x.test, time Sat,Sun`,
		"allow everything else",
	}
	if got := l.Rules(); !slices.Equal(got, want) {
		t.Errorf("%s", strings.Join(got, "\n"))
	}
}

func TestNetworksAreMerged(t *testing.T) {
	var n networks
	for _, s := range []string{"10.0.0.0/8", "10.1.0.0/16", "9.0.0.0/8", "2001:db8::/32", "2001:db8::1", "255.255.255.255", "::/128"} {
		if err := n.add(s); err != nil {
			t.Fatal(err)
		}
	}
	n.merge()
	for s, want := range map[string]bool{
		"9.0.0.0": true, "10.1.2.3": true, "10.255.255.255": true, "11.0.0.0": false, "8.255.255.255": false, "0.0.0.0": false,
		"2001:db8::1": true, "2001:db8:ffff::": true, "2001:db9::": false, "255.255.255.255": true, "::": true, "::1": false,
	} {
		if got := n.contains(netip.MustParseAddr(s)); got != want {
			t.Errorf("%s: %v", s, got)
		}
	}
}

func interfacesOf(addrs ...string) func() ([]net.Addr, error) {
	return func() ([]net.Addr, error) {
		var list []net.Addr
		for _, a := range addrs {
			list = append(list, &net.IPNet{IP: net.ParseIP(a), Mask: net.CIDRMask(24, 32)})
		}
		return list, nil
	}
}

func BenchmarkCheck(b *testing.B) {
	for name, change := range map[string]func(*Options){
		"default": nil,
		"rules": withRules(
			Rule{Action: "deny", Domains: []string{".ads.example", ".tracker.example", "exact.example"}},
			Rule{Action: "deny", Methods: []string{"PUT"}, Ports: []string{"8000-9000"}},
			Rule{Action: "deny", From: []string{"192.168.9.0/24"}, Time: "Mon-Fri 08:00-18:00"},
		),
	} {
		b.Run(name, func(b *testing.B) {
			l := newList(b, change)
			q := get("www.example.com")
			b.ReportAllocs()
			for b.Loop() {
				if !l.Check(q).Allow {
					b.Fatal("denied")
				}
			}
		})
	}
}

// Steady lists are those whose word about a URL or a time holds for others.
func TestSteady(t *testing.T) {
	for _, c := range []struct {
		rules []Rule
		want  bool
	}{
		{nil, true},
		{[]Rule{{Action: "deny", Domains: []string{"a.example"}, Methods: []string{"GET"}, Ports: []string{"80"}}, {Action: "allow", From: []string{"10.0.0.0/8"}}}, true},
		{[]Rule{{Action: "deny", To: []string{"192.0.2.0/24"}}}, true},
		{[]Rule{{Action: "allow", From: []string{"10.0.0.0/8"}}, {Action: "deny", URLRegexp: "x"}}, false},
		{[]Rule{{Action: "deny", Time: "Mon-Fri 08:00-18:00"}}, false},
	} {
		if got := newList(t, withRules(c.rules...)).Steady(); got != c.want {
			t.Errorf("%+v: %v", c.rules, got)
		}
	}
}
