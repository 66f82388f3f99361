package cache

import (
	"net/http"
	"net/url"
	"slices"
)

// Invalidates lists the keys that a non-error response to an unsafe request
// makes invalid (RFC 9111 §4.4): the target and, on the same origin, Location
// and Content-Location.
func Invalidates(r *Request, u *url.URL, status int, h http.Header) []string {
	if safe(r.Method) || status < 200 || status > 399 {
		return nil
	}
	keys := []string{r.Key}
	for _, name := range []string{"Location", "Content-Location"} {
		for _, line := range h[name] {
			target, err := u.Parse(trimOWS(line))
			if err != nil || !sameOrigin(u, target) {
				continue
			}
			if key := Key(target); !slices.Contains(keys, key) {
				keys = append(keys, key)
			}
		}
	}
	return keys
}

// safe lists the registered methods that change nothing; a method that is not
// known may (RFC 9111 §4.4).
func safe(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodConnect,
		"PROPFIND", "REPORT", "SEARCH", "QUERY":
		return true
	}
	return false
}

func sameOrigin(a, b *url.URL) bool {
	schemeA, schemeB := lowerASCII(a.Scheme), lowerASCII(b.Scheme)
	return schemeA == schemeB && authority(schemeA, a.Host) == authority(schemeB, b.Host)
}
