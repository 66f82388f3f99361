package cache

import (
	"net/url"
	"strings"
)

// Key normalises a request's target URI into the primary cache key: scheme and
// host in lower case, no default port, no fragment or userinfo, an empty path
// as "/"; path and query bytes stay as they are. An Opaque that begins with a
// slash, beside a Host, is the path as it was written.
func Key(u *url.URL) string {
	scheme := lowerASCII(u.Scheme)
	path := u.EscapedPath()
	switch {
	case strings.HasPrefix(u.Opaque, "/") && u.Host != "":
		path = u.Opaque // the path as it was written, beside a host
	case u.Opaque != "":
		return scheme + ":" + u.Opaque + query(u)
	}
	if path == "" {
		path = "/"
	}
	return scheme + "://" + authority(scheme, u.Host) + path + query(u)
}

func query(u *url.URL) string {
	if u.RawQuery == "" && !u.ForceQuery {
		return ""
	}
	return "?" + u.RawQuery
}

// authority is host in lower case, less the default port of scheme.
func authority(scheme, host string) string {
	host = lowerASCII(host)
	colon := strings.LastIndexByte(host, ':')
	if colon < 0 || strings.IndexByte(host[colon:], ']') >= 0 {
		return host
	}
	switch port := host[colon+1:]; {
	case port == "", scheme == "http" && port == "80", scheme == "https" && port == "443":
		return host[:colon]
	}
	return host
}

// lowerASCII lowers A to Z only. Unicode's rules would give one key to two
// hosts, for example where one has a Kelvin sign or invalid UTF-8.
func lowerASCII(s string) string {
	for i := range len(s) {
		if s[i] >= 'A' && s[i] <= 'Z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				if b[i] >= 'A' && b[i] <= 'Z' {
					b[i] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}
