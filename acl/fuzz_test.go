package acl

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

func FuzzParseBasic(f *testing.F) {
	f.Add("Basic YWxpY2U6b3BlbnNlc2FtZQ==")
	f.Add("basic  Og==")
	f.Add("Basic YWxpY2U=")
	f.Fuzz(func(t *testing.T, value string) {
		user, password, ok := parseBasic(value)
		if !ok {
			return
		}
		if user == "" || strings.Contains(user, ":") {
			t.Fatalf("user %q", user)
		}
		if u, p, ok := parseBasic(basic(user, password)); !ok || u != user || p != password {
			t.Fatalf("%q and %q do not come back", user, password)
		}
	})
}

func FuzzHostLiteral(f *testing.F) {
	for _, s := range []string{"127.0.0.1", "0177.0.0.1", "0x7f.1", "2130706433", "127.1", "[::1]", "::ffff:1.2.3.4", "example.com", "１２７.0.0.1", "a.0x", "", "[", "localhost."} {
		f.Add(s)
	}
	l := newList(f, nil)
	f.Fuzz(func(t *testing.T, host string) {
		addr, ok, err := HostLiteral(host)
		if ok && (err != nil || !addr.IsValid()) {
			t.Fatalf("%q: %v %v %v", host, addr, ok, err)
		}
		v := l.Check(&Query{Client: insider, Method: "GET", Host: host, Port: 80, Time: noon})
		if !v.Allow {
			return
		}
		if ok {
			if err := l.DialAllowed(netip.AddrPortFrom(addr, 80)); err != nil {
				t.Fatalf("%q is allowed, but %v", host, err)
			}
			return
		}
		name, err := NormalizeHost(host)
		if err != nil {
			t.Fatalf("%q is allowed: %v", host, err)
		}
		if again, err := NormalizeHost(name); again != name || err != nil {
			t.Fatalf("%q is %q the second time: %v", name, again, err)
		}
	})
}

func FuzzParseHours(f *testing.F) {
	for _, s := range []string{"Mon-Fri 08:00-18:00", "Sat,Sun", "22:00-06:00", "Fri-Mon 0:00-24:00; Tue"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		h, err := parseHours(s)
		if err != nil {
			return
		}
		hit := false
		for m := range 7 * dayMinutes {
			hit = hit || h.contains(noon.Add(time.Duration(m)*time.Minute))
		}
		if !hit {
			t.Fatalf("%q never matches", s)
		}
	})
}

func FuzzParseUserFile(f *testing.F) {
	for _, s := range []string{
		"a:$apr1$abcdefgh$hnz8AY7O7E7QvKAVjuw920", "a:{SHA}F2GPAaOiG5EcklvLUlodIavTBnM=", "a:{SSHA}AAAA", "a:$1$s$x",
		"a:$5$saltsalt$jbxAgW5X5LNk4yh.NmUXL1XLS9OoRHueeuIinWYHZ9D", "a:$5$rounds=1000$s$" + rep("a", 43), "a:$2y$04$" + rep("a", 53), "# x\n\nb:",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := parseUserFile("f", strings.NewReader(text))
		if err != nil {
			return
		}
		for user := range u.index {
			u.verify(user, "password", 0) // must neither panic nor take for ever
		}
		if u.verify("nobody at all:", "password", 7) {
			t.Fatal("an unknown user is let in")
		}
	})
}

func FuzzNetworks(f *testing.F) {
	f.Add("10.0.0.0/8 10.1.0.0/16 ::1 all", "10.2.3.4")
	f.Add("::ffff:1.2.3.0/120 255.255.255.255 ::/0", "::")
	f.Fuzz(func(t *testing.T, list, client string) {
		addr, err := netip.ParseAddr(client)
		if err != nil {
			return
		}
		addr = plain(addr)
		var n networks
		want := false
		for s := range strings.FieldsSeq(list) {
			if n.add(s) != nil {
				continue
			}
			if s == "all" {
				want = true
				continue
			}
			p, _ := parseNetwork(s)
			want = want || p.Contains(addr)
		}
		n.merge()
		if got := n.contains(addr); got != want {
			t.Fatalf("%q contains %s: %v", list, addr, got)
		}
	})
}
