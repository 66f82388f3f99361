package acl

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

var errHost = errors.New("not a host name")

// HostLiteral reads a host that is an IP address, with or without brackets. ok
// says that it is one; neither ok nor an error means that it is a name.
//
// A host whose last label is a number is never a name (no top-level domain is
// one), but inet_aton and some resolvers read 0177.0.0.1, 0x7f.1, 2130706433
// and 127.1 as addresses. Those are errors: what two readers understand
// differently must not get past the destination guard.
func HostLiteral(host string) (addr netip.Addr, ok bool, err error) {
	bracketed := strings.HasPrefix(host, "[")
	if bracketed {
		if host, ok = strings.CutSuffix(host[1:], "]"); !ok {
			return netip.Addr{}, false, fmt.Errorf("host %q: unbalanced bracket", host)
		}
	}
	if bracketed || strings.IndexByte(host, ':') >= 0 {
		addr, err = netip.ParseAddr(host)
		if err != nil || !addr.Is6() {
			return netip.Addr{}, false, fmt.Errorf("host %q: invalid IPv6 address", host)
		}
		return addr, true, nil
	}
	host = strings.TrimSuffix(host, ".")
	if !isNumber(host[strings.LastIndexByte(host, '.')+1:]) {
		return netip.Addr{}, false, nil
	}
	addr, err = netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}, false, fmt.Errorf("host %q: invalid IPv4 address: want four decimal numbers", host)
	}
	return addr, true, nil
}

// isNumber reports whether inet_aton could take the label for a number: decimal
// or octal digits, or 0x and hexadecimal ones, even none.
func isNumber(label string) bool {
	if label == "" || label[0] < '0' || label[0] > '9' {
		return false
	}
	digits := "0123456789"
	if len(label) > 1 && label[1]|0x20 == 'x' {
		label, digits = label[2:], "0123456789abcdefABCDEF"
	}
	return strings.Trim(label, digits) == ""
}

// NormalizeHost returns a host name as rules compare it: A-labels (RFC 5891)
// in lower case, without a trailing dot. Names that need nothing done are
// returned as they are. Labels are of letters, digits, hyphens and underscores.
func NormalizeHost(host string) (string, error) {
	host = strings.TrimSuffix(host, ".")
	lower, label := true, 0
	for i := 0; i < len(host); i++ {
		switch c := host[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
			label++
		case 'A' <= c && c <= 'Z':
			label++
			lower = false
		case c == '.' && label > 0:
			label = 0
		case c >= utf8.RuneSelf:
			return toASCII(host)
		default:
			return "", errHost
		}
	}
	if label == 0 || len(host) > 253 {
		return "", errHost
	}
	if lower {
		return host, nil
	}
	return strings.ToLower(host), nil
}

// toASCII maps with the profile that browsers use for look-ups, so that what
// looks the same in an address bar is the same to a rule.
func toASCII(host string) (string, error) {
	ascii, err := idna.Lookup.ToASCII(host)
	if err != nil || strings.ContainsFunc(ascii, func(r rune) bool { return r >= utf8.RuneSelf }) {
		return "", errHost
	}
	return NormalizeHost(ascii)
}

// destination is where a request wants to go.
type destination struct {
	name    string     // normalised; empty for an address
	literal netip.Addr // plain; invalid for a name
	addrs   []netip.Addr
}

func readDestination(q *Query) (destination, error) {
	literal, ok, err := HostLiteral(q.Host)
	if err != nil {
		return destination{}, err
	}
	if ok {
		return destination{literal: plain(literal)}, nil
	}
	name, err := NormalizeHost(q.Host)
	if err != nil {
		return destination{}, err
	}
	if name != q.Host {
		// Mapping may have made an address out of other digits and dots.
		if literal, ok, err = HostLiteral(name); err != nil || ok {
			return destination{literal: plain(literal)}, err
		}
	}
	return destination{name: name, addrs: q.Addrs}, nil
}

// isLocalhost reports whether name is one that RFC 6761 §6.3 reserves for
// loopback.
func isLocalhost(name string) bool {
	rest, ok := strings.CutSuffix(name, "localhost")
	return ok && (rest == "" || rest[len(rest)-1] == '.')
}
