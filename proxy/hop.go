package proxy

import (
	"maps"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
)

// hopByHop are the fields that concern one connection only (RFC 9110 §7.6.1).
// Trailer and Transfer-Encoding are framing, which each side writes anew.
var hopByHop = []string{
	"Connection", "Proxy-Connection", "Keep-Alive", "Te", "Trailer",
	"Transfer-Encoding", "Upgrade", "Proxy-Authorization", "Proxy-Authenticate",
	"Proxy-Authentication-Info", "Http2-Settings",
}

// endToEnd are fields that nobody may declare hop-by-hop: dropping one of them
// on a client's word would change what the request means, or who is asking.
var endToEnd = map[string]bool{
	"Host": true, "Authorization": true, "Cache-Control": true, "Pragma": true,
	"Content-Length": true, "Content-Type": true, "Content-Encoding": true,
	"Transfer-Encoding": true, // not end to end, but a hop that drops it reads another body
	"Content-Range":     true, "Content-Location": true, "Range": true, "Expect": true,
	"If-Match": true, "If-None-Match": true, "If-Modified-Since": true,
	"If-Unmodified-Since": true, "If-Range": true, "Cookie": true, "Via": true,
	"Max-Forwards": true, "Forwarded": true, "X-Forwarded-For": true, "Date": true,
	"Age": true, "Expires": true, "Vary": true, "Etag": true, "Last-Modified": true,
	"Set-Cookie": true,
}

// stripHop returns a copy of a response's header without the fields that end at
// this hop. Values are shared with h and must not be appended to.
func stripHop(h http.Header) http.Header {
	out := make(http.Header, len(h)+2)
	maps.Copy(out, h)
	dropHop(out, true)
	return out
}

// dropHop takes the fields that end at this hop out of a header that is ours to
// change. On a response keepEndToEnd guards the fields that framing and caching rest
// on from the origin's list.
func dropHop(h http.Header, keepEndToEnd bool) {
	if h["Connection"] != nil {
		for name := range connectionOptions(http.Header{"Connection": h["Connection"]}) {
			if !keepEndToEnd || !endToEnd[name] {
				delete(h, name)
			}
		}
	}
	for _, name := range hopByHop {
		delete(h, name)
	}
}

// connectionOptions yields the field names that Connection lists, canonical.
func connectionOptions(h http.Header) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for _, line := range h["Connection"] {
			for opt := range strings.SplitSeq(line, ",") {
				if opt = textproto.TrimString(opt); opt != "" && !yield(textproto.CanonicalMIMEHeaderKey(opt)) {
					return
				}
			}
		}
	}
}

// addVia appends our member to a copy of the field (RFC 9110 §7.6.3).
func (p *Proxy) addVia(h http.Header, minor int) {
	line := p.via[min(max(minor, 0), 1) : min(max(minor, 0), 1)+1]
	old := h["Via"]
	if n := len(old); n > 0 && old[n-1] == p.via[0] {
		return // it came in HTTP/1.0, which was noted when it did
	}
	if len(old) == 0 {
		h["Via"] = slices.Clip(line) // shared: whoever appends must copy
		return
	}
	h["Via"] = append(slices.Clip(old), line...)
}

// looped reports whether this node is among those that handled the request.
func (p *Proxy) looped(h http.Header) bool {
	for _, line := range h["Via"] {
		for member := range strings.SplitSeq(line, ",") {
			if f := strings.Fields(member); len(f) >= 3 && f[1] == p.d.Node && f[2] == "(cachenode)" {
				return true
			}
		}
	}
	return false
}
