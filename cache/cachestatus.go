package cache

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Status is this node's member of Cache-Status (RFC 9211). Hit excludes Fwd.
type Status struct {
	Node      string // names the cache
	Hit       bool
	Fwd       Fwd
	FwdStatus int // the status the next hop answered; 0 leaves it out
	HasTTL    bool
	TTL       time.Duration // may be negative
	Stored    bool
	Collapsed bool
	Key       string // "" leaves it out, as it does Detail
	Detail    string
}

// String is the member, such as "cachenode-n2; hit; ttl=376".
func (s Status) String() string { return string(s.Append(nil)) }

// Append appends the member to b.
func (s Status) Append(b []byte) []byte {
	b = appendItem(b, s.Node)
	switch {
	case s.Hit:
		b = append(b, "; hit"...)
	case s.Fwd != "":
		b = append(b, "; fwd="...)
		b = append(b, s.Fwd...)
		if s.FwdStatus != 0 {
			b = append(b, "; fwd-status="...)
			b = strconv.AppendInt(b, int64(s.FwdStatus), 10)
		}
	}
	if s.HasTTL {
		b = append(b, "; ttl="...)
		b = strconv.AppendInt(b, wholeSeconds(s.TTL), 10)
	}
	if s.Stored && !s.Hit {
		b = append(b, "; stored"...)
	}
	if s.Collapsed && !s.Hit {
		b = append(b, "; collapsed"...)
	}
	if s.Key != "" {
		b = append(b, "; key="...)
		b = appendString(b, s.Key)
	}
	if s.Detail != "" {
		b = append(b, "; detail="...)
		b = appendItem(b, s.Detail)
	}
	return b
}

// wholeSeconds rounds towards the past: what is stale is never 0.
func wholeSeconds(d time.Duration) int64 {
	n := int64(d / time.Second)
	if d%time.Second < 0 {
		n--
	}
	return n
}

// AppendMember adds s to the Cache-Status of h behind the members of the caches
// nearer to the origin. The lines that h had are not changed in place.
func AppendMember(h http.Header, s Status) {
	b := make([]byte, 0, 128)
	for _, line := range h["Cache-Status"] {
		if line = trimOWS(line); line != "" {
			b = append(b, line...)
			b = append(b, ", "...)
		}
	}
	h["Cache-Status"] = []string{string(s.Append(b))}
}

// appendItem appends a Token of RFC 9651 §3.3.4, or a String where s is none.
func appendItem(b []byte, s string) []byte {
	if isSFToken(s) {
		return append(b, s...)
	}
	return appendString(b, s)
}

func isSFToken(s string) bool {
	if s == "" {
		return false
	}
	if c := s[0] | 0x20; s[0] != '*' && (c < 'a' || c > 'z') {
		return false
	}
	for i := range len(s) {
		if !isTokenByte(s[i]) && s[i] != ':' && s[i] != '/' {
			return false
		}
	}
	return true
}

// appendString appends a String of RFC 9651 §3.3.3, which is ASCII only: other
// bytes are percent-encoded.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ' || c > '~':
			b = append(b, '%', hex[c>>4], hex[c&15])
		case strings.IndexByte(`"\`, c) >= 0:
			b = append(b, '\\', c)
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}
