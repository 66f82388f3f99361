package proxy

import (
	"net/http"
	"strings"

	"github.com/cachenode/cachenode/cache"
	"github.com/cachenode/cachenode/http1"
)

// plainTarget reads a target that exchange.check would accept and that is its
// own cache key and log text: nothing in it could be written otherwise. False
// says nothing: the long way looks closer.
func plainTarget(s string) (target, bool) {
	t := target{scheme: "http", port: 80}
	rest, ok := strings.CutPrefix(s, "http://")
	if !ok {
		if rest, ok = strings.CutPrefix(s, "https://"); !ok {
			return target{}, false
		}
		t.scheme, t.port = "https", 443
	}
	slash := strings.IndexByte(rest, '/')
	if slash <= 0 || !plainPath(rest[slash:]) {
		return target{}, false
	}
	var port string
	var explicit bool
	t.host, port, explicit = strings.Cut(rest[:slash], ":")
	if explicit {
		usual := t.port
		if t.port, ok = plainPort(port); !ok || t.port == usual {
			return target{}, false
		}
	}
	return t, validHost(t.host)
}

// plainPort reads a port in its one shortest form.
func plainPort(s string) (uint16, bool) {
	if s == "" || len(s) > 5 || s[0] == '0' {
		return 0, false
	}
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return uint16(n), n <= 65535
}

// plainPath accepts a path and a query that package net/url reads and leaves as
// they are.
func plainPath(s string) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c <= ' ', c >= 0x7f, c == '\\', c == '#':
			return false
		case c == '%':
			if i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2]) {
				return false
			}
		}
	}
	return true
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f'
}

// fieldViews are the fields of a request that somebody on the short lane reads:
// the policy, the log. They are views of the connection's buffer.
type fieldViews struct {
	header    http.Header // for the policy: nil while it would be empty
	userAgent string
	referer   string

	agents, referers int         // how many there were
	kept             http.Header // header, when there is one
	values           []string    // what its slices are cut from
}

func (v *fieldViews) reset() {
	clear(v.kept)
	clear(v.values)
	*v = fieldViews{kept: v.kept, values: v.values[:0]}
}

func (v *fieldViews) add(name, value string) {
	if v.kept == nil {
		v.kept = make(http.Header)
	}
	v.header = v.kept
	if lines := v.header[name]; lines != nil {
		v.header[name] = append(lines, value) // full: this copies them
		return
	}
	v.values = append(v.values, value)
	n := len(v.values)
	v.header[name] = v.values[n-1 : n : n]
}

// get is the first value of a field, "" for none.
func (v *fieldViews) get(name string) string {
	if lines := v.header[name]; lines != nil {
		return lines[0]
	}
	return ""
}

// laneFields are the fields that mean something on the short lane, by the length
// of their names: those that the policy may read whatever is stored
// (cache.Request, Policy.Lookup, Policy.Reuse, cache.Evaluate), those that
// exchange.check looks at, and what is logged.
var laneFields = [...][]string{
	3:  {"Via"},
	5:  {"Range"},
	6:  {"Pragma", "Expect", "X-Host"},
	7:  {"Referer", "Upgrade"},
	8:  {"If-Range", "If-Match"},
	9:  {"Forwarded"},
	10: {"User-Agent", "Connection"},
	13: {"Cache-Control", "If-None-Match", "X-Http-Method", "X-Rewrite-Url"},
	14: {"Content-Length", "X-Original-Url"},
	15: {"X-Original-Host"},
	16: {"X-Forwarded-Host", "X-Forwarded-Port"},
	17: {"If-Modified-Since", "Transfer-Encoding", "X-Forwarded-Proto", "X-Method-Override"},
	18: {"X-Forwarded-Prefix", "X-Forwarded-Scheme", "X-Forwarded-Server"},
	19: {"If-Unmodified-Since"},
	22: {"X-Http-Method-Override"},
}

// laneField is the canonical name of a field among them, "" for another.
func laneField(name string) string {
	if len(name) < len(laneFields) {
		for _, known := range laneFields[len(name)] {
			if strings.EqualFold(name, known) {
				return known
			}
		}
	}
	return ""
}

// read takes what laneFields are there. False: one of them takes the long way.
func (v *fieldViews) read(fields []http1.Field, node string) bool {
	for i := range fields {
		f := &fields[i]
		value := view(f.Value)
		switch name := laneField(view(f.Name)); name {
		case "":
		case "User-Agent":
			first(&v.userAgent, &v.agents, value)
		case "Referer":
			first(&v.referer, &v.referers, value)
		case "Connection":
			if !plainConnection(value) {
				return false
			}
		case "Via":
			if strings.Contains(value, node) { // perhaps a loop
				return false
			}
		case "Expect", "Upgrade", "If-Match", "If-Unmodified-Since", "Content-Length", "Transfer-Encoding":
			return false
		default:
			v.add(name, value)
		}
	}
	return true
}

// first keeps the first of several values.
func first(kept *string, n *int, value string) {
	if *n++; *n == 1 {
		*kept = value
	}
}

// plainConnection reports a Connection that names no fields.
func plainConnection(s string) bool {
	return strings.EqualFold(s, "keep-alive") || strings.EqualFold(s, "close")
}

// selecting takes the fields that a stored response was selected by as well.
// False: one of them is not what the client sent when it comes to the policy.
func (v *fieldViews) selecting(vary []cache.Selector, fields []http1.Field, forwardedFor string) bool {
	for i := range vary {
		name := vary[i].Name
		switch name {
		case "host", "connection", "keep-alive", "proxy-connection", "te", "trailer", "upgrade",
			"transfer-encoding", "content-length", "proxy-authorization":
			return false
		case "x-forwarded-for":
			if forwardedFor != "keep" {
				return false
			}
		}
		canonical := http.CanonicalHeaderKey(name)
		if v.header[canonical] != nil {
			continue
		}
		for j := range fields {
			if strings.EqualFold(view(fields[j].Name), name) {
				v.add(canonical, view(fields[j].Value))
			}
		}
	}
	return true
}
