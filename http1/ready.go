package http1

import (
	"net/http"
)

// A response on the short lane is the same, byte for byte, as the one that the
// long way would have written: status line, fields in the order of their names,
// how the body is framed, and whether the connection ends.

// AppendStatus appends a status line (RFC 9112 §4).
func AppendStatus(b []byte, status int) []byte { return appendStatus(b, status) }

// AppendFields appends the fields of h whose names are not below from and below
// to, where that is not empty, sorted by name, but those that AppendFraming
// writes.
func AppendFields(b []byte, h http.Header, from, to string) []byte {
	return appendFields(b, h, func(name string) bool {
		return name < from || to != "" && name >= to || framingField[name] && name != "Date"
	})
}

// AppendFraming ends a head: the length of the body, negative where the status
// has none, and the end of the connection if it is not kept.
func AppendFraming(b []byte, length int64, keep bool) []byte {
	if length >= 0 {
		b = appendLength(b, length)
	}
	if !keep {
		b = append(b, "Connection: close\r\n"...)
	}
	return append(b, crlf...)
}
