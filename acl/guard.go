package acl

import (
	"net"
	"net/netip"
)

// Denied is a refused destination.
type Denied struct {
	Addr   netip.AddrPort
	Reason string // loopback, link-local, metadata, unspecified, multicast, own-service …
}

func (d *Denied) Error() string {
	return "destination " + d.Addr.String() + " is not allowed: " + d.Reason
}

// The reasons of Denied beside those of the special networks.
const (
	DeniedLoop       = "loop"        // one of our own proxy addresses: the request would come back
	DeniedOwnService = "own-service" // another service of this node or its cluster
	DeniedRule       = "rule"        // a rule denies the destination network
	DeniedPort       = "port"        // port 0
)

// special are the networks that nobody should reach through a proxy on the
// strength of the proxy's own position. The first match names the reason.
var special = []struct {
	net    netip.Prefix
	reason string
}{
	// Instance metadata services hand out credentials to whoever asks from the
	// machine. Those of most clouds are in 169.254.0.0/16.
	{netip.MustParsePrefix("169.254.169.254/32"), "metadata"},
	{netip.MustParsePrefix("169.254.170.2/32"), "metadata"},
	{netip.MustParsePrefix("100.100.100.200/32"), "metadata"},
	{netip.MustParsePrefix("168.63.129.16/32"), "metadata"},
	{netip.MustParsePrefix("192.0.0.192/32"), "metadata"},
	{netip.MustParsePrefix("fd00:ec2::254/128"), "metadata"},
	{netip.MustParsePrefix("fd00:ec2::23/128"), "metadata"},
	{netip.MustParsePrefix("fd20:ce::254/128"), "metadata"},
	{netip.MustParsePrefix("fd00:c1::a9fe:a9fe/128"), "metadata"},
	{netip.MustParsePrefix("fd00:42::42/128"), "metadata"},

	{netip.MustParsePrefix("127.0.0.0/8"), "loopback"},
	{netip.MustParsePrefix("::1/128"), "loopback"},
	{netip.MustParsePrefix("0.0.0.0/8"), "unspecified"},
	{netip.MustParsePrefix("::/128"), "unspecified"},
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local"},
	{netip.MustParsePrefix("fe80::/10"), "link-local"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},
	{netip.MustParsePrefix("ff00::/8"), "multicast"},
	{netip.MustParsePrefix("255.255.255.255/32"), "broadcast"},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved"},
}

// DialAllowed is the destination guard: whether the proxy may open a connection
// to this very address. It is called with the address that is dialled, after DNS.
// The error is a *Denied.
//
// Own services are refused first and always. Then the special networks are, and
// IPv6 addresses that carry one of theirs inside, unless allow_to contains the
// address. Last come the rules, as far as the address alone decides them.
func (l *List) DialAllowed(addr netip.AddrPort) error {
	ip := plain(addr.Addr())
	if !ip.IsValid() {
		return &Denied{addr, "unspecified"}
	}
	if addr.Port() == 0 {
		return &Denied{addr, DeniedPort}
	}
	if reason := l.serviceAt(netip.AddrPortFrom(ip, addr.Port())); reason != "" {
		return &Denied{addr, reason}
	}
	if reason := l.specialReason(ip); reason != "" {
		return &Denied{addr, reason}
	}
	if l.ruledOut(ip, addr.Port()) {
		return &Denied{addr, DeniedRule}
	}
	return nil
}

// guarded reports whether the guard refuses a destination before it is
// resolved, because it is an address or a name for loopback. With a parent
// proxy this is the only check, for then the parent is dialled.
func (l *List) guarded(dst destination) bool {
	if dst.literal.IsValid() {
		return l.specialReason(dst.literal) != ""
	}
	if !isLocalhost(dst.name) {
		return false
	}
	return !l.vouched.contains(netip.AddrFrom4([4]byte{127, 0, 0, 1})) && !l.vouched.contains(netip.IPv6Loopback())
}

func (l *List) specialReason(ip netip.Addr) string {
	if l.vouched.contains(ip) {
		return ""
	}
	if reason := specialNetwork(ip); reason != "" {
		return reason
	}
	inner, n := embedded(ip)
	for _, v4 := range inner[:n] {
		if reason := specialNetwork(v4); reason != "" {
			return reason
		}
	}
	return ""
}

func specialNetwork(ip netip.Addr) string {
	for i := range special {
		if special[i].net.Contains(ip) {
			return special[i].reason
		}
	}
	return ""
}

var (
	compatible  = netip.MustParsePrefix("::/96")           // RFC 4291 §2.5.5.1
	translated  = netip.MustParsePrefix("::ffff:0:0:0/96") // RFC 2765 §2.1
	nat64       = netip.MustParsePrefix("64:ff9b::/96")    // RFC 6052 §2.1
	nat64Local  = netip.MustParsePrefix("64:ff9b:1::/48")  // RFC 8215
	sixToFour   = netip.MustParsePrefix("2002::/16")       // RFC 3056
	teredo      = netip.MustParsePrefix("2001::/32")       // RFC 4380
	isatapMarks = [2][4]byte{{0, 0, 0x5e, 0xfe}, {2, 0, 0x5e, 0xfe}}
)

// embedded returns the IPv4 addresses that packets to an IPv6 address may end
// up at, because a translator or a tunnel takes them out of it.
func embedded(ip netip.Addr) (v4 [2]netip.Addr, n int) {
	if !ip.Is6() {
		return v4, 0
	}
	b := ip.As16()
	low := netip.AddrFrom4([4]byte(b[12:16]))
	switch {
	case compatible.Contains(ip), translated.Contains(ip), nat64.Contains(ip):
		return [2]netip.Addr{low}, 1
	case nat64Local.Contains(ip):
		if [5]byte(b[11:16]) == [5]byte{} { // a /48 prefix, RFC 6052 §2.2
			low = netip.AddrFrom4([4]byte{b[6], b[7], b[9], b[10]})
		}
		return [2]netip.Addr{low}, 1
	case sixToFour.Contains(ip):
		return [2]netip.Addr{netip.AddrFrom4([4]byte(b[2:6]))}, 1
	case teredo.Contains(ip):
		client := netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]})
		return [2]netip.Addr{netip.AddrFrom4([4]byte(b[4:8])), client}, 2
	}
	if mark := [4]byte(b[8:12]); mark == isatapMarks[0] || mark == isatapMarks[1] { // RFC 5214 §6.1
		return [2]netip.Addr{low}, 1
	}
	return v4, 0
}

// serviceAt names why a plain address is one of our own services, or "".
func (l *List) serviceAt(addr netip.AddrPort) string {
	for _, s := range l.services() {
		if s.Addr.Port() != addr.Port() {
			continue
		}
		own := plain(s.Addr.Addr())
		if own != addr.Addr() && (!own.IsUnspecified() || !l.ownAddress(addr.Addr())) {
			continue
		}
		if s.Proxy {
			return DeniedLoop
		}
		return DeniedOwnService
	}
	return ""
}

// ownAddress reports whether connections to ip stay on this machine. It asks
// the kernel, but only for dials to a port that we listen on ourselves.
func (l *List) ownAddress(ip netip.Addr) bool {
	if ip.IsLoopback() || ip.IsUnspecified() {
		return true
	}
	list, err := l.interfaces()
	if err != nil {
		return true // better a refused dial than a loop
	}
	for _, a := range list {
		if n, ok := a.(*net.IPNet); ok {
			if own, ok := netip.AddrFromSlice(n.IP); ok && plain(own) == ip {
				return true
			}
		}
	}
	return false
}

// ruledOut finds the rule that denies an address, if it can be told from the
// address alone. It stops at a rule that may have allowed the request: then
// Check has decided, and knew more.
func (l *List) ruledOut(ip netip.Addr, port uint16) bool {
	for i := range l.rules {
		r := &l.rules[i]
		if !r.to.empty() && !r.to.contains(ip) || len(r.ports) > 0 && !r.ports.contains(port) {
			continue
		}
		if r.verdict.Allow {
			return false
		}
		if r.addressOnly {
			return true
		}
	}
	return false
}
