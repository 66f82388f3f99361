package dns

import (
	"net/netip"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/miekg/dns"
)

func FuzzParseHost(f *testing.F) {
	for _, s := range []string{"example.com", "EXAMPLE.com.", "127.0.0.1", "0x7f.1", "[::1]", "::1%eth0", "bücher.example", "xn--bcher-kva.example", "１２７.0.0.1", "a..b", "-", "_dmarc.a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, literal, err := parseHost(s)
		if err != nil {
			return
		}
		if literal.IsValid() == (name != "") {
			t.Fatalf("%q: name %q and literal %v", s, name, literal)
		}
		if name == "" {
			return
		}
		if _, err := netip.ParseAddr(name); err == nil || len(name) > 253 || name != strings.ToLower(name) || !utf8.ValidString(name) {
			t.Fatalf("%q became the name %q", s, name)
		}
		if again, _, err := parseHost(name); again != name || err != nil {
			t.Fatalf("%q is %q the second time: %v", name, again, err)
		}
		if _, ok := dns.IsDomainName(name); !ok {
			t.Fatalf("%q is no domain name", name)
		}
	})
}

func FuzzParseHosts(f *testing.F) {
	f.Add("127.0.0.1 localhost\n::1 ip6-localhost # x\n\nfe80::1%lo0 a\n1.2.3.4")
	f.Add("0.0.0.0 a.test b.test\r\n0.0.0.0\ta.test")
	f.Fuzz(func(t *testing.T, s string) {
		for name, addrs := range parseHosts(strings.NewReader(s)) {
			if got, _, err := parseHost(name); got != name || err != nil || len(addrs) == 0 {
				t.Fatalf("name %q with %v", name, addrs)
			}
		}
	})
}

func FuzzParseResolvConf(f *testing.F) {
	f.Add("nameserver 10.0.0.1\nnameserver fe80::1%eth0\nsearch a.test b.test\noptions ndots:5 timeout:1 attempts:99 rotate use-vc\n")
	f.Add("; comment\ndomain x\noptions timeout:-1 attempts:99999999999999999999")
	f.Fuzz(func(t *testing.T, s string) {
		c := parseConfig(strings.NewReader(s))
		if len(c.servers) > maxServers || len(c.search) > maxSearch || c.attempts < 1 || c.attempts > 5 || c.timeout < 0 {
			t.Fatalf("%+v", c)
		}
		for _, name := range c.candidates("a") {
			if len(name) > 253 {
				t.Fatalf("candidate of %d bytes", len(name))
			}
		}
	})
}

func FuzzParseReply(f *testing.F) {
	q := question("a.test", dns.TypeA)
	q.Id = 0x1234
	reply := new(dns.Msg)
	reply.SetReply(q)
	for _, s := range []string{"a.test. 60 CNAME b.test.", "b.test. 60 A 192.0.2.1", "b.test. 60 AAAA ::1"} {
		rr, _ := dns.NewRR(s)
		reply.Answer = append(reply.Answer, rr)
	}
	packed, _ := reply.Pack()
	f.Add(packed)
	f.Add(packed[:20])
	f.Fuzz(func(t *testing.T, b []byte) {
		m := parseReply(b, q)
		if m == nil {
			return
		}
		got := follow(m, "a.test", dns.TypeA)
		if len(got.addrs) > maxAddrs || got.ttl < 0 {
			t.Fatalf("%+v", got)
		}
		_ = negative("a.test", m, got.ttl)
		_ = isReferral(m)
	})
}
