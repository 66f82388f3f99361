package http1

import (
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
)

// appendStatus appends a status line (RFC 9112 §4).
func appendStatus(b []byte, status int) []byte {
	b = append(b, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	b = append(b, http.StatusText(status)...)
	return append(b, crlf...)
}

// appendFields appends field lines, sorted by name, without those that skip
// names and those that are none. A value is cut into one line: bytes that could
// end it become spaces.
func appendFields(b []byte, h http.Header, skip func(name string) bool) []byte {
	var room [32]string
	names := room[:0]
	for name := range h {
		if validName(name) && !skip(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		for _, v := range h[name] {
			b = append(b, name...)
			b = append(b, ": "...)
			b = appendValue(b, v)
			b = append(b, crlf...)
		}
	}
	return b
}

func validName(s string) bool {
	for i := range len(s) {
		if !tokenByte[s[i]] {
			return false
		}
	}
	return s != ""
}

func appendValue(b []byte, v string) []byte {
	v = textproto.TrimString(v)
	at := len(b)
	b = append(b, v...)
	for i, c := range b[at:] {
		if !valueByte[c] {
			b[at+i] = ' '
		}
	}
	return b
}

func appendLength(b []byte, n int64) []byte {
	b = append(b, "Content-Length: "...)
	b = strconv.AppendInt(b, n, 10)
	return append(b, crlf...)
}

// listed reports whether the comma-separated lists in lines have the member.
func listed(lines []string, name string) bool {
	for _, line := range lines {
		for m := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(m), name) {
				return true
			}
		}
	}
	return false
}
