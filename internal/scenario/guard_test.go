package scenario

import (
	"net"
	"net/http"
	"strings"
	"testing"
)

// This machine and what only machines know are no destinations, however they
// are written.
func TestForbiddenDestinations(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	library(o)
	_, port, err := net.SplitHostPort(o.addr())
	must(t, err)
	n := startWith(t, setup{guarded: true})
	for _, host := range []string{
		"127.0.0.1", "127.1", "127.0.1", "0177.0.0.1", "0x7f.0.0.1", "0x7f000001", "2130706433", "017700000001", "127.0.0.1.",
		"[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::]", "0.0.0.0", "0", "localhost",
		"169.254.169.254", "0251.0376.0251.0376", "2852039166", "[fe80::1]", "[::ffff:169.254.169.254]", "[fd00:ec2::254]",
		"224.0.0.1", "255.255.255.255", "[ff02::1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::1]",
	} {
		for _, r := range []string{
			n.raw("GET http://%s:%s/1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", host, port),
			n.raw("CONNECT %s:443 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", host),
		} {
			if !strings.HasPrefix(r, "HTTP/1.1 403 ") || !strings.Contains(r, "ERR_ACCESS_DENIED") {
				t.Errorf("%s is answered %q", host, clip(r, 400))
			}
		}
	}
	if o.asked("*") != 0 {
		t.Error("a request got through")
	}
	if denied := n.metrics("cachenode_denied_total", `reason="destination"`); denied < 20 {
		t.Errorf("%v refusals are counted", denied)
	}
}

// The node's own services stay shut to its clients, and its own address is a
// loop, also where loopback is allowed.
func TestOwnAddresses(t *testing.T) {
	t.Parallel()
	n := start(t)
	for _, host := range []string{"127.0.0.1", "[::ffff:127.0.0.1]", "2130706433", "localhost", "127.0.0.2"} {
		_, admin, err := net.SplitHostPort(n.admin)
		must(t, err)
		for _, got := range []string{
			n.raw("GET http://%s:%s/metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", host, admin),
			n.raw("CONNECT %s:%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", host, admin),
		} {
			if host == "localhost" || host == "127.0.0.2" {
				// Other addresses too, where nobody listens: that may be said instead.
				if strings.HasPrefix(got, "HTTP/1.1 2") {
					t.Errorf("admin answers at %s", host)
				}
			} else if !strings.HasPrefix(got, "HTTP/1.1 403 ") {
				t.Errorf("admin at %s is answered %q", host, clip(got, 300))
			}
		}
	}
	n.get("http://"+n.proxy+"/").wantError(t, 502, "ERR_CANNOT_FORWARD", "proxy_loop_detected")
	n.get("http://127.0.0.9:1/", "Via: 1.1 n1 (cachenode)").wantError(t, 502, "ERR_CANNOT_FORWARD", "proxy_loop_detected")
}

// A name that changes its address between check and use gets nowhere: the
// address that is dialled is the one that is checked.
func TestRebinding(t *testing.T) {
	t.Parallel()
	names, o := newNameServer(t), newOrigin(t)
	library(o)
	_, port, err := net.SplitHostPort(o.addr())
	must(t, err)
	names.answer("rebind.test.", "192.0.2.1", "127.0.0.1")
	names.answer("cloud.test.", "169.254.169.254")
	names.answer("inside.test.", "127.0.0.1")
	n := startWith(t, setup{guarded: true, args: []string{"--config",
		config(t, "dns: {servers: [%q], hosts: %q, min_ttl: 0s, connect: {timeout: 300ms, total_timeout: 1s}}\n", names.addr, "")}})
	for _, name := range []string{"cloud.test", "inside.test"} {
		n.get("http://"+name+":"+port+"/1").wantError(t, 403, "ERR_ACCESS_DENIED", "destination_ip_prohibited")
	}
	eventually(t, "answers that forbid the name", func() bool {
		r := n.get("http://rebind.test:" + port + "/1")
		if r.StatusCode == http.StatusOK {
			t.Fatal("a name that changed its address got through")
		}
		return r.StatusCode == http.StatusForbidden
	})
	if o.asked("*") != 0 {
		t.Error("the origin was asked")
	}
}

// The same with rules: a name whose address is in a denied network is denied.
func TestRulesByAddress(t *testing.T) {
	t.Parallel()
	names, o := newNameServer(t), newOrigin(t)
	library(o)
	_, port, err := net.SplitHostPort(o.addr())
	must(t, err)
	names.answer("denied.test.", "127.0.0.1")
	n := start(t, "--config", config(t, `
dns: {servers: [%q], hosts: ""}
acl:
  rules:
  - {name: no loopback here, action: deny, to: [127.0.0.0/8], methods: [GET]}
  - {name: no secrets, action: deny, domains: [.secret.test]}
`, names.addr))
	n.get("http://denied.test:"+port+"/1").wantError(t, 403, "ERR_ACCESS_DENIED", "http_request_denied")
	n.get("http://a.secret.test:"+port+"/1").wantError(t, 403, "ERR_ACCESS_DENIED", "http_request_denied")
	if o.asked("*") != 0 {
		t.Error("the origin was asked")
	}
}
