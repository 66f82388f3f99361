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
// to, where that is not empty, sorted by name, but those that AppendLength and
// AppendEnd write.
func AppendFields(b []byte, h http.Header, from, to string) []byte {
	return appendFields(b, h, func(name string) bool {
		return name < from || to != "" && name >= to || framingField[name] && name != "Date"
	})
}

// AppendLength appends the length of the body.
func AppendLength(b []byte, length int64) []byte { return appendLength(b, length) }

// AppendEnd ends a head behind its length: with the end of the connection if that
// is not kept.
func AppendEnd(b []byte, keep bool) []byte {
	if !keep {
		b = append(b, "Connection: close\r\n"...)
	}
	return append(b, crlf...)
}
