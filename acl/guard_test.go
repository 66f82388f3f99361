package acl

import (
	"errors"
	"net"
	"net/netip"
	"testing"
)

func TestDestinationGuard(t *testing.T) {
	l := newList(t, nil)
	for addr, want := range map[string]string{
		"192.0.2.1": "", "8.8.8.8": "", "10.0.0.1": "", "192.168.1.1": "", "100.64.0.1": "", "2001:db8::1": "", "fd00::1": "",
		"127.0.0.1": "loopback", "127.255.255.254": "loopback", "::1": "loopback",
		"0.0.0.0": "unspecified", "0.1.2.3": "unspecified", "::": "unspecified",
		"169.254.1.1": "link-local", "fe80::1": "link-local", "fe80::1%eth0": "link-local", "febf::1": "link-local",
		"169.254.169.254": "metadata", "169.254.170.2": "metadata", "100.100.100.200": "metadata", "192.0.0.192": "metadata",
		"168.63.129.16": "metadata", "fd00:ec2::254": "metadata",
		"224.0.0.1": "multicast", "239.255.255.255": "multicast", "ff02::1": "multicast",
		"255.255.255.255": "broadcast", "240.0.0.1": "reserved", "254.1.2.3": "reserved",
		// IPv4 inside IPv6
		"::ffff:127.0.0.1": "loopback", "::ffff:169.254.169.254": "metadata", "::ffff:192.0.2.1": "",
		"::127.0.0.1": "loopback", "::192.0.2.1": "", "::ffff:0:127.0.0.1": "loopback",
		"64:ff9b::127.0.0.1": "loopback", "64:ff9b::a9fe:a9fe": "metadata", "64:ff9b::192.0.2.1": "",
		"64:ff9b:1::127.0.0.1": "loopback", "64:ff9b:1:7f00:0:100::": "loopback", "64:ff9b:1:c000:2:100::": "",
		"2002:7f00:1::1": "loopback", "2002:a9fe:a9fe::": "metadata", "2002:c000:201::1": "",
		"2001:0:c000:201:0:0:80ff:fffe": "loopback", "2001:0:7f00:1::": "loopback", "2001:0:c000:201::3fff:fdfe": "",
		"2001:db8::5efe:7f00:1": "loopback", "fd00::200:5efe:127.0.0.1": "loopback", "2001:db8::5efe:192.0.2.1": "",
	} {
		err := l.DialAllowed(netip.AddrPortFrom(netip.MustParseAddr(addr), 80))
		got := ""
		if d, ok := errors.AsType[*Denied](err); ok {
			got = d.Reason
		}
		if got != want || (err == nil) != (want == "") {
			t.Errorf("%s: %v, want %q", addr, err, want)
		}
	}
	if err := l.DialAllowed(netip.MustParseAddrPort("192.0.2.1:0")); err == nil {
		t.Error("port 0 may be dialled")
	}
	if err := l.DialAllowed(netip.AddrPort{}); err == nil {
		t.Error("no address may be dialled")
	}
}

func TestAllowToOpensTheGuard(t *testing.T) {
	l := newList(t, func(o *Options) { o.AllowTo = []string{"127.0.0.0/8", "fd00:ec2::254"} })
	for addr, want := range map[string]bool{
		"127.0.0.1": true, "::ffff:127.0.0.1": true, "fd00:ec2::254": true,
		"::1": false, "169.254.169.254": false, "64:ff9b::127.0.0.1": false,
	} {
		if err := l.DialAllowed(netip.AddrPortFrom(netip.MustParseAddr(addr), 80)); (err == nil) != want {
			t.Errorf("%s: %v", addr, err)
		}
	}
	if v := l.Check(get("localhost")); !v.Allow {
		t.Errorf("localhost: %+v", v)
	}
}

func TestOwnServicesAreRefusedAlways(t *testing.T) {
	l := newList(t, func(o *Options) {
		o.AllowTo = []string{"127.0.0.0/8"}
		o.Services = func() []Service {
			return []Service{
				{Addr: netip.MustParseAddrPort("0.0.0.0:3128"), Proxy: true},
				{Addr: netip.MustParseAddrPort("127.0.0.1:3180")},
				{Addr: netip.MustParseAddrPort("[::]:7946")},
				{Addr: netip.MustParseAddrPort("10.0.0.9:3128"), Proxy: true},
			}
		}
	})
	l.interfaces = interfacesOf("10.0.0.5", "2001:db8::5")
	for addr, want := range map[string]string{
		"127.0.0.1:3128": DeniedLoop, "127.9.9.9:3128": DeniedLoop, "10.0.0.5:3128": DeniedLoop, "[::ffff:10.0.0.5]:3128": DeniedLoop,
		"0.0.0.0:3128": DeniedLoop, "10.0.0.9:3128": DeniedLoop, "10.0.0.6:3128": "",
		"127.0.0.1:3180": DeniedOwnService, "127.0.0.2:3180": "", "10.0.0.5:3180": "",
		"10.0.0.5:7946": DeniedOwnService, "[2001:db8::5]:7946": DeniedOwnService, "[2001:db8::6]:7946": "",
		"10.0.0.5:80": "", "127.0.0.1:8080": "",
	} {
		got := ""
		if d, ok := errors.AsType[*Denied](l.DialAllowed(netip.MustParseAddrPort(addr))); ok {
			got = d.Reason
		}
		if got != want {
			t.Errorf("%s: %q, want %q", addr, got, want)
		}
	}
	l.interfaces = func() ([]net.Addr, error) { return nil, errors.New("no") }
	if err := l.DialAllowed(netip.MustParseAddrPort("192.0.2.1:3128")); err == nil {
		t.Error("a possible loop is dialled when the interfaces are not known")
	}
}

// What Check cannot know of a name, the dial does.
func TestRulesAtTheDial(t *testing.T) {
	l := newList(t, withRules(
		Rule{Action: "allow", To: []string{"198.51.100.0/28"}, Users: nil, Methods: []string{"GET"}},
		Rule{Action: "deny", To: []string{"198.51.100.0/24"}, Ports: []string{"80"}},
		Rule{Action: "deny", To: []string{"203.0.113.0/24"}, Methods: []string{"POST"}},
		Rule{Action: "deny", Domains: []string{"a.test"}},
		Rule{Action: "allow"},
		Rule{Action: "deny", To: []string{"192.0.2.0/24"}},
	))
	for addr, want := range map[string]bool{
		"198.51.100.1:80":   true, // the first rule may have allowed it
		"198.51.100.99:80":  false,
		"198.51.100.99:443": true,
		"203.0.113.1:80":    true, // only Check knows the method
		"192.0.2.1:80":      true, // the rule before it allows everything
	} {
		err := l.DialAllowed(netip.MustParseAddrPort(addr))
		if d, ok := errors.AsType[*Denied](err); (err == nil) != want || ok && d.Reason != DeniedRule {
			t.Errorf("%s: %v", addr, err)
		}
	}
}

func TestLiteralDestinationsBeforeTheDial(t *testing.T) {
	l := newList(t, nil)
	for host, want := range map[string]bool{
		"192.0.2.1": true, "2001:db8::1": true, "[2001:db8::1]": true, "192.0.2.1.": true, "1e100.net": true, "4chan.test": true, "0xdeadbeef.test": true, "a.b.7up": true,
		"127.0.0.1": false, "127.0.0.1.": false, "::1": false, "[::1]": false, "::ffff:127.0.0.1": false, "fe80::1%25eth0": false,
		"0177.0.0.1": false, "0x7f.1": false, "0x7f.0.0.1": false, "2130706433": false, "127.1": false, "0": false, "0x": false, "017700000001": false,
		"127.0.0.0x1": false, "127.0.0.01": false, "256.1.1.1": false, "1.2.3.4.5": false, "192.0.2": false, "192.0.2.1.0X10": false, "foo.1": false,
		"１２７.0.0.1": false, "127。0。0。1": false, "①②⑦.0.0.1": false, "１９２.0.2.1": false,
		"localhost": false, "LOCALHOST": false, "localhost.": false, "a.localhost": false, "notlocalhost": true, "localhost.test": true,
		"": false, ".": false, "a b": false, "a\x00b": false, "::1]": false, "[192.0.2.1]": false, "1:2": false, ".example.com": false,
	} {
		if v := l.Check(get(host)); v.Allow != want || !want && v.Reason != "destination" {
			t.Errorf("%q: %+v", host, v)
		}
	}
}

func BenchmarkDialAllowed(b *testing.B) {
	l := newList(b, func(o *Options) {
		o.Services = func() []Service { return nil }
	})
	addr := netip.MustParseAddrPort("192.0.2.1:443")
	b.ReportAllocs()
	for b.Loop() {
		if l.DialAllowed(addr) != nil {
			b.Fatal("denied")
		}
	}
}
