package dns

import (
	"errors"
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

var errName = errors.New("not a host name")

// parseHost reads an address literal, or a name, which it returns in lower
// case, as A-labels and without a trailing dot.
func parseHost(host string) (name string, literal netip.Addr, err error) {
	if strings.IndexByte(host, ':') >= 0 {
		host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
		if literal, err = netip.ParseAddr(host); err != nil {
			return "", literal, errName
		}
		return "", literal.Unmap(), nil
	}
	if name, err = parseName(strings.TrimSuffix(host, ".")); err != nil {
		return "", literal, err
	}
	// No top-level domain begins with a digit: it is an address, or what some
	// would take for one (0x7f.1, 127.1) and must not be asked for as a name.
	if c := name[strings.LastIndexByte(name, '.')+1]; '0' <= c && c <= '9' {
		if literal, err = netip.ParseAddr(name); err != nil {
			return "", literal, errName
		}
		return "", literal, nil
	}
	return name, literal, nil
}

// parseName accepts letters, digits, hyphens and underscores, which is more
// than RFC 952 and all that names with addresses are made of.
func parseName(name string) (string, error) {
	lower := true
	label := 0
	for i := 0; i < len(name); i++ {
		c := name[i]
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
			label++
		case 'A' <= c && c <= 'Z':
			label++
			lower = false
		case c == '.' && label > 0:
			label = 0
		case c >= utf8.RuneSelf:
			return toASCII(name)
		default:
			return "", errName
		}
		if label > 63 {
			return "", errName
		}
	}
	if label == 0 || len(name) > 253 {
		return "", errName
	}
	if lower {
		return name, nil
	}
	return strings.ToLower(name), nil
}

func toASCII(name string) (string, error) {
	ascii, err := idna.Lookup.ToASCII(name)
	if err != nil {
		return "", errName
	}
	return parseName(strings.TrimSuffix(ascii, "."))
}

var loopback = []netip.Addr{netip.IPv6Loopback(), netip.AddrFrom4([4]byte{127, 0, 0, 1})}

// special answers for the names that are not to be asked for: localhost is
// loopback, invalid and onion have no address (RFC 6761 §6.3 and §6.4, RFC 7686).
func special(name string) (addrs []netip.Addr, ok bool) {
	switch name[strings.LastIndexByte(name, '.')+1:] {
	case "localhost":
		return loopback, true
	case "invalid", "onion":
		return nil, true
	}
	return nil, false
}
