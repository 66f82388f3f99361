package http1

import "bytes"

// The bytes of a token (RFC 9110 §5.6.2), of a field value (§5.5), and those
// that may stand in a request target: visible ASCII but '#' and '\', of which
// readers think differently.
var (
	tokenByte  = bytesOf("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
	valueByte  = bytesWhere(func(c byte) bool { return c >= ' ' && c != 0x7f || c == '\t' })
	targetByte = bytesWhere(func(c byte) bool { return c > ' ' && c < 0x7f && c != '#' && c != '\\' })
	// hostByte are those of a reg-name (RFC 3986 §3.2.2) but '%', which no name
	// that can be looked up has, and the comma, which may be two Host fields
	// made one.
	hostByte = bytesOf("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-._~!$&'()*+;=")
)

type byteSet [256]bool

func bytesOf(s string) *byteSet {
	return bytesWhere(func(c byte) bool { return bytes.IndexByte([]byte(s), c) >= 0 })
}

func bytesWhere(in func(c byte) bool) *byteSet {
	var set byteSet
	for c := range set {
		set[c] = in(byte(c))
	}
	return &set
}

// all reports whether b has only bytes of the set.
func (s *byteSet) all(b []byte) bool {
	for _, c := range b {
		if !s[c] {
			return false
		}
	}
	return true
}

// isToken reports whether b is a token.
func isToken(b []byte) bool { return len(b) > 0 && tokenByte.all(b) }

// trim cuts the white space off both ends of a field value (OWS, RFC 9110
// §5.6.3).
func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// member cuts the first member off a comma-separated list.
func member(list []byte) (first, rest []byte) {
	first, rest, more := bytes.Cut(list, []byte(","))
	if !more {
		rest = nil
	}
	return trim(first), rest
}

// equalFold compares a token with a name in ASCII, without case.
func equalFold(b []byte, name string) bool {
	if len(b) != len(name) {
		return false
	}
	for i, c := range b {
		d := name[i]
		if c != d && (c|0x20 != d|0x20 || c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return true
}

// decimal reads 1*DIGIT that fits an int64 (RFC 9110 §8.6).
func decimal(b []byte) (n int64, ok bool) {
	if len(b) == 0 || len(b) > 19 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
		if n < 0 {
			return 0, false
		}
	}
	return n, true
}

// validHost reports whether b may be the value of Host: uri-host [":" port]
// (RFC 9110 §7.2), also empty.
func validHost(b []byte) bool {
	if len(b) > 0 && b[0] == '[' {
		end := bytes.IndexByte(b, ']')
		return end > 1 && isAddrLiteral(b[1:end]) && validPort(b[end+1:])
	}
	host, port := b, []byte(nil)
	if i := bytes.IndexByte(b, ':'); i >= 0 {
		host, port = b[:i], b[i:]
		if i == 0 {
			return false
		}
	}
	return hostByte.all(host) && validPort(port)
}

// isAddrLiteral accepts what may be an IPv6 address; whether it is one is seen
// where it is used.
func isAddrLiteral(b []byte) bool {
	for _, c := range b {
		if hexDigit(c) < 0 && c != ':' && c != '.' {
			return false
		}
	}
	return bytes.Count(b, []byte(":")) >= 2
}

// validPort accepts nothing, a colon, or a colon and a port.
func validPort(b []byte) bool {
	if len(b) <= 1 {
		return len(b) == 0 || b[0] == ':'
	}
	n, ok := decimal(b[1:])
	return b[0] == ':' && ok && n <= 65535
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
