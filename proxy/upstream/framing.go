package upstream

import (
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
)

// bodyKind says how a response's end is told (RFC 9112 §6.3).
type bodyKind uint8

const (
	bodyNone bodyKind = iota
	bodyLength
	bodyChunked
	bodyUntilClose
)

// framing is where a response ends, and what that means for the connection.
type framing struct {
	kind   bodyKind
	length int64 // announced length, -1 if none; for bodyNone it describes what a GET would get
	keep   bool  // the connection may carry another request after this response
}

// frame decides by the request's method and the response's head. Whatever two
// recipients could read in two ways is a protocolError.
func frame(method string, h *head) (framing, error) {
	length, err := contentLength(h.fields)
	if err != nil {
		return framing{}, err
	}
	chunked, err := transferCoding(h)
	if err != nil {
		return framing{}, err
	}
	if _, coded := h.fields["Transfer-Encoding"]; coded && length >= 0 {
		return framing{}, protocolError("Content-Length with Transfer-Encoding")
	}
	f := framing{length: length, keep: persistent(h)}
	switch {
	case method == http.MethodHead, h.code == http.StatusNotModified:
		f.kind = bodyNone
	case h.code < 200, h.code == http.StatusNoContent:
		// A length here is forbidden, and bytes may follow that its sender
		// takes for a body.
		f.kind, f.keep, f.length = bodyNone, f.keep && length <= 0 && !chunked, 0
	case chunked:
		f.kind = bodyChunked
	case length >= 0:
		f.kind = bodyLength
	default:
		f.kind, f.keep = bodyUntilClose, false
	}
	return f, nil
}

// contentLength returns the announced length, -1 if there is none.
func contentLength(h http.Header) (int64, error) {
	v := h["Content-Length"]
	switch len(v) {
	case 0:
		return -1, nil
	case 1:
	default:
		return 0, protocolError("more than one Content-Length")
	}
	for _, c := range []byte(v[0]) {
		if c < '0' || c > '9' {
			return 0, protocolError("Content-Length is not a number")
		}
	}
	n, err := strconv.ParseInt(v[0], 10, 64)
	if err != nil {
		return 0, protocolError("Content-Length is empty or out of range")
	}
	return n, nil
}

// registeredCodings change the body in ways that we neither asked for nor undo.
var registeredCodings = map[string]bool{
	"compress": true, "x-compress": true, "deflate": true, "gzip": true, "x-gzip": true,
	"identity": true, "trailers": true,
}

// transferCoding accepts one coding, chunked, from an HTTP/1.1 sender. A coding
// that is not even registered changes nothing but where the body ends: at the
// end of the connection (RFC 9112 §6.3).
func transferCoding(h *head) (chunked bool, err error) {
	v, ok := h.fields["Transfer-Encoding"]
	if !ok {
		return false, nil
	}
	if h.minor == 0 {
		return false, protocolError("Transfer-Encoding in HTTP/1.0")
	}
	if len(v) == 1 && sameToken(v[0], "chunked") {
		return true, nil
	}
	if len(v) != 1 || !validToken(v[0]) || registeredCodings[strings.ToLower(v[0])] ||
		strings.Contains(strings.ToLower(v[0]), "chunked") { // close enough to be taken for it
		return false, protocolError("Transfer-Encoding is not a single chunked")
	}
	return false, nil
}

// persistent reports whether the sender keeps the connection (RFC 9112 §9.3).
func persistent(h *head) bool {
	if hasToken(h.fields["Connection"], "close") {
		return false
	}
	return h.minor >= 1 || hasToken(h.fields["Connection"], "keep-alive")
}

// hasToken reports whether the comma-separated lists in lines contain token.
func hasToken(lines []string, token string) bool {
	for _, line := range lines {
		for m := range strings.SplitSeq(line, ",") {
			if sameToken(textproto.TrimString(m), token) {
				return true
			}
		}
	}
	return false
}

// sameToken compares without case, in ASCII: the few other letters that Unicode
// folds into it, such as the Kelvin sign, are longer.
func sameToken(a, b string) bool { return len(a) == len(b) && strings.EqualFold(a, b) }
