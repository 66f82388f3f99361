// Package proxyproto speaks version 2 of the PROXY protocol, by which a balancer
// tells the server behind it who its client is. It reads and writes the header
// and nothing else: whom to believe one is the business of who accepts the
// connection. Version 1, the one in text, is not spoken.
//
// The header comes before the first byte of the connection, all numbers in
// network order:
//
//	 0               8              12      13      14          16
//	+---------------+---------------+-------+-------+-----------+
//	| signature: 0D 0A 0D 0A 00 0D  | 2 |cmd| family| length of |
//	|   0A 51 55 49 54 0A           |       |       | the rest  |
//	+---------------+---------------+-------+-------+-----------+
//	16 (TCP over IPv4)   20              24          26         28
//	+--------------------+---------------+-----------+-----------+
//	| client's address   | local address | client's  | local     |
//	|                    |               | port      | port      |
//	+--------------------+---------------+-----------+-----------+
//	16 (TCP over IPv6)   32              48          50         52
//	+--------------------+---------------+-----------+-----------+
//	| client's address   | local address | client's  | local     |
//	|                    |               | port      | port      |
//	+--------------------+---------------+-----------+-----------+
//
// cmd is 0 (LOCAL: the balancer speaks for itself, the addresses of the
// connection hold) or 1 (PROXY: the addresses of the header do). family is 0x11
// for TCP over IPv4 and 0x21 for TCP over IPv6. Behind the addresses the length
// leaves room for extensions, each of a byte of type, two of length and a value;
// they are stepped over.
package proxyproto

import (
	"encoding/binary"
	"errors"
	"net/netip"
)

// Signature begins every header. No request of HTTP can begin like it.
const Signature = "\r\n\r\n\x00\r\nQUIT\n"

// MaxSize bounds a header in bytes, extensions included: it fits the smallest
// segment that every TCP can send.
const MaxSize = 536

const (
	fixed = len(Signature) + 4 // up to and with the length
	size4 = 2*4 + 2*2          // addresses and ports over IPv4
	size6 = 2*16 + 2*2

	version = 2 << 4
	local   = version // command 0
	proxied = version | 1

	unspec = 0x00
	tcp4   = 0x11
	tcp6   = 0x21
)

// Header is what a balancer says of the connection that it passes on.
type Header struct {
	// Proxied: the connection is that of a client, and the addresses say whose.
	// Otherwise it is the balancer's own, such as a check, and they are unset.
	Proxied bool
	Client  netip.AddrPort // where the client connects from
	Local   netip.AddrPort // where it has connected to
}

// ErrShort says that it is a header so far, and that more bytes are needed.
var ErrShort = errors.New("incomplete PROXY header")

// What is wrong with a header.
var (
	ErrSignature = errors.New("no PROXY header: wrong signature")
	ErrVersion   = errors.New("PROXY header of another version")
	ErrCommand   = errors.New("PROXY header with an unknown command")
	ErrFamily    = errors.New("PROXY header for something else than TCP over IPv4 or IPv6")
	ErrLength    = errors.New("PROXY header with a wrong length")
)

// Append appends the header of a client's connection to b. An IPv4 address mapped
// into IPv6 counts as IPv4; of two families, the IPv4 address is written mapped.
// When an address is not valid, the header is that of a connection of the
// balancer's own.
func Append(b []byte, client, here netip.AddrPort) []byte {
	b = append(b, Signature...)
	c, h := client.Addr().Unmap(), here.Addr().Unmap()
	switch {
	case !c.IsValid() || !h.IsValid():
		return append(b, local, unspec, 0, 0)
	case c.Is4() && h.Is4():
		b = append(b, proxied, tcp4, 0, size4)
		from, to := c.As4(), h.As4()
		b = append(append(b, from[:]...), to[:]...)
	default:
		b = append(b, proxied, tcp6, 0, size6)
		from, to := c.As16(), h.As16()
		b = append(append(b, from[:]...), to[:]...)
	}
	b = binary.BigEndian.AppendUint16(b, client.Port())
	return binary.BigEndian.AppendUint16(b, here.Port())
}

// Parse reads the header that b begins with, and returns how many bytes it has.
// It may be called with a buffer that grows: it returns ErrShort while b is the
// beginning of a header, and another error as soon as it cannot become one.
func Parse(b []byte) (h Header, n int, err error) {
	if err := checkFixed(b); err != nil {
		return Header{}, 0, err
	}
	rest := int(binary.BigEndian.Uint16(b[fixed-2:]))
	command, family := b[fixed-4], b[fixed-3]
	if err := checkLength(command, family, rest); err != nil {
		return Header{}, 0, err
	}
	n = fixed + rest
	if len(b) < n {
		return Header{}, 0, ErrShort
	}
	if command == local {
		return Header{}, n, nil // the rest means nothing
	}
	b = b[fixed:n]
	h.Proxied = true
	if family == tcp4 {
		h.Client, h.Local = pair(b, 4)
		b = b[size4:]
	} else {
		h.Client, h.Local = pair(b, 16)
		b = b[size6:]
	}
	if !extensions(b) {
		return Header{}, 0, ErrLength
	}
	return h, n, nil
}

// checkFixed looks at what is there of the signature, version, command and
// family.
func checkFixed(b []byte) error {
	if known := min(len(b), len(Signature)); string(b[:known]) != Signature[:known] {
		return ErrSignature
	}
	if at := len(Signature); len(b) > at {
		switch {
		case b[at]&0xf0 != version:
			return ErrVersion
		case b[at] != local && b[at] != proxied:
			return ErrCommand
		case b[at] == proxied && len(b) > at+1 && b[at+1] != tcp4 && b[at+1] != tcp6:
			return ErrFamily
		}
	}
	if len(b) < fixed {
		return ErrShort
	}
	return nil
}

func checkLength(command, family byte, rest int) error {
	least := 0
	if command == proxied {
		least = size6
		if family == tcp4 {
			least = size4
		}
	}
	if rest < least || fixed+rest > MaxSize {
		return ErrLength
	}
	return nil
}

// pair reads two addresses of size bytes each and their ports.
func pair(b []byte, size int) (client, here netip.AddrPort) {
	from, _ := netip.AddrFromSlice(b[:size])
	to, _ := netip.AddrFromSlice(b[size : 2*size])
	ports := b[2*size:]
	return netip.AddrPortFrom(from.Unmap(), binary.BigEndian.Uint16(ports)),
		netip.AddrPortFrom(to.Unmap(), binary.BigEndian.Uint16(ports[2:]))
}

// extensions reports whether b is a row of whole extensions.
func extensions(b []byte) bool {
	for len(b) > 0 {
		if len(b) < 3 {
			return false
		}
		end := 3 + int(binary.BigEndian.Uint16(b[1:]))
		if end > len(b) {
			return false
		}
		b = b[end:]
	}
	return true
}
