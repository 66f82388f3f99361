// Package hostile lists requests that a server must refuse before it asks
// anybody because of them. It only lists: tests send them, over sockets, to what
// they test.
package hostile

import (
	"fmt"
	"strings"
)

// Request is one of them.
type Request struct {
	Name   string
	Bytes  string
	Status int    // what it is answered; the connection is then closed
	Kind   string // why, in package http1's words; empty: in some of them
}

// Requests returns them, asking for target where that is not what is wrong.
func Requests(target string) []Request {
	all := []Request{
		{"method of two words", "GET X TARGET HTTP/1.1\r\nHost: x\r\n\r\n", 400, "request-line"},
		{"two spaces", "GET  TARGET HTTP/1.1\r\nHost: x\r\n\r\n", 400, "request-line"},
		{"two spaces before the version", "GET TARGET  HTTP/1.1\r\nHost: x\r\n\r\n", 400, "request-line"},
		{"space behind the version", "GET TARGET HTTP/1.1 \r\nHost: x\r\n\r\n", 400, "request-line"},
		{"tab between", "GET\tTARGET\tHTTP/1.1\r\nHost: x\r\n\r\n", 400, ""},
		{"tab in the target", "GET TARGET\tb HTTP/1.1\r\nHost: x\r\n\r\n", 400, "target"},
		{"space in the target", "GET TARGET b HTTP/1.1\r\nHost: x\r\n\r\n", 400, "request-line"},
		{"fragment", "GET TARGET#b HTTP/1.1\r\nHost: x\r\n\r\n", 400, "target"},
		{"backslash", "GET TARGET\\b HTTP/1.1\r\nHost: x\r\n\r\n", 400, "target"},
		{"NUL in the target", "GET TARGET\x00 HTTP/1.1\r\nHost: x\r\n\r\n", 400, "target"},
		{"DEL in the target", "GET TARGET\x7f HTTP/1.1\r\nHost: x\r\n\r\n", 400, "target"},
		{"UTF-8 in the target", "GET TARGET\xc3\xbc HTTP/1.1\r\nHost: x\r\n\r\n", 400, "target"},
		{"no target", "GET  HTTP/1.1\r\nHost: x\r\n\r\n", 400, "request-line"},
		{"asterisk", "GET * HTTP/1.1\r\nHost: x\r\n\r\n", 400, "target"},
		{"query alone", "GET ?a HTTP/1.1\r\nHost: x\r\n\r\n", 400, "target"},
		{"invalid method", "G@T TARGET HTTP/1.1\r\nHost: x\r\n\r\n", 400, ""},
		{"method and colon", "GET: TARGET HTTP/1.1\r\nHost: x\r\n\r\n", 400, ""},
		{"endless method", strings.Repeat("A", 100) + " TARGET HTTP/1.1\r\nHost: x\r\n\r\n", 501, "method-too-long"},
		{"space first", " GET TARGET HTTP/1.1\r\nHost: x\r\n\r\n", 400, "not-http"},
		{"two empty lines first", "\r\n\r\nGET TARGET HTTP/1.1\r\nHost: x\r\n\r\n", 400, "not-http"},
		{"bare LF first", "\nGET TARGET HTTP/1.1\r\nHost: x\r\n\r\n", 400, "not-http"},
		{"bare CR first", "\rGET TARGET HTTP/1.1\r\nHost: x\r\n\r\n", 400, "not-http"},

		{"HTTP/0.9", "GET TARGET\r\n", 400, "http-0.9"},
		{"HTTP/0.9 with a URL", "GET TARGET\r\n\r\n", 400, "http-0.9"},
		{"method alone", "GET\r\n\r\n", 400, "http-0.9"},
		{"HTTP/9.9", "GET TARGET HTTP/9.9\r\nHost: x\r\n\r\n", 505, "version-not-supported"},
		{"HTTP/2.0", "GET TARGET HTTP/2.0\r\nHost: x\r\n\r\n", 505, "version-not-supported"},
		{"HTTP/0.0", "GET TARGET HTTP/0.0\r\nHost: x\r\n\r\n", 505, "version-not-supported"},
		{"HTTP/1", "GET TARGET HTTP/1\r\nHost: x\r\n\r\n", 400, "version"},
		{"HTTP/1.10", "GET TARGET HTTP/1.10\r\nHost: x\r\n\r\n", 400, "version"},
		{"HTTP/01.1", "GET TARGET HTTP/01.1\r\nHost: x\r\n\r\n", 400, "version"},
		{"HTTP/1,1", "GET TARGET HTTP/1,1\r\nHost: x\r\n\r\n", 400, "version"},
		{"http/1.1", "GET TARGET http/1.1\r\nHost: x\r\n\r\n", 400, "version"},
		{"HTTPS/1.1", "GET TARGET HTTPS/1.1\r\nHost: x\r\n\r\n", 400, "version"},
		{"ICY", "GET TARGET ICY/1.1\r\nHost: x\r\n\r\n", 400, "version"},
		{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "http2-preface"},
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "not-http"},
		{"SOCKS 5", "\x05\x01\x00", 400, "not-http"},
		{"SOCKS 4", "\x04\x01\x00\x50\x7f\x00\x00\x01\x00", 400, "not-http"},
		{"zeros", strings.Repeat("\x00", 600), 400, "not-http"},
		{"SSH", "SSH-2.0-OpenSSH_9.2\r\n", 400, "http-0.9"},
		{"a token and a NUL", "abc\x00", 400, ""},
		{"PROXY header", "PROXY TCP4 192.0.2.1 127.0.0.1 5 80\r\nGET TARGET HTTP/1.1\r\nHost: x\r\n\r\n", 400, ""},

		{"bare LF behind the request line", "GET TARGET HTTP/1.1\nHost: x\r\n\r\n", 400, "bare-lf"},
		{"bare LF behind a field", "GET TARGET HTTP/1.1\r\nHost: x\nX: y\r\n\r\n", 400, "bare-lf"},
		{"bare LF at the end", "GET TARGET HTTP/1.1\r\nHost: x\r\n\n", 400, "bare-lf"},
		{"bare LF everywhere", "GET TARGET HTTP/1.1\nHost: x\n\n", 400, "bare-lf"},
		{"bare CR everywhere", "GET TARGET HTTP/1.1\rHost: x\r\r", 400, "request-line"},
		{"bare CR behind a field", "GET TARGET HTTP/1.1\r\nHost: x\rX: y\r\r", 400, "field-value"},
		{"bare CR at the end", "GET TARGET HTTP/1.1\r\nHost: x\r\n\r\r", 400, "field-name"},
		{"space before the first field", "GET TARGET HTTP/1.1\r\n Host: x\r\n\r\n", 400, "folded-line"},
		{"folded field", "GET TARGET HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n", 400, "folded-line"},
		{"folded with tab", "GET TARGET HTTP/1.1\r\nHost: x\r\nX: a\r\n\tb\r\n\r\n", 400, "folded-line"},

		{"no host", "GET TARGET HTTP/1.1\r\nX: y\r\n\r\n", 400, "no-host"},
		{"no fields", "GET TARGET HTTP/1.1\r\n\r\n", 400, "no-host"},
		{"two hosts", "GET TARGET HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", 400, "two-hosts"},
		{"two hosts, other case", "GET TARGET HTTP/1.1\r\nHost: x\r\nhOST: y\r\n\r\n", 400, "two-hosts"},
		{"two hosts in HTTP/1.0", "GET TARGET HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n", 400, "two-hosts"},

		{"CONNECT with a length", "CONNECT x:443 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", 400, "connect-with-body"},
		{"CONNECT with length 0", "CONNECT x:443 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 400, "connect-with-body"},
		{"CONNECT with a coding", "CONNECT x:443 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "connect-with-body"},
		{"other expectation", "POST TARGET HTTP/1.1\r\nHost: x\r\nExpect: 200-ok\r\nContent-Length: 3\r\n\r\nabc", 417, "expectation"},
		{"two expectations", "POST TARGET HTTP/1.1\r\nHost: x\r\nExpect: 100-continue, x\r\nContent-Length: 3\r\n\r\nabc", 417, "expectation"},
		{"coding in HTTP/1.0", "POST TARGET HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "coding-in-http-1.0"},

		{"head over 64 KiB", "GET TARGET HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("a", 70<<10) + "\r\n\r\n", 431, "head-too-large"},
		{"head over 64 KiB in many fields", "GET TARGET HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X: "+strings.Repeat("a", 1000)+"\r\n", 70) + "\r\n", 431, "head-too-large"},
		{"201 fields", "GET TARGET HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X: y\r\n", 200) + "\r\n", 431, "too-many-fields"},
		{"URI over 16 KiB", "GET TARGET/" + strings.Repeat("a", 16<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n", 414, "target-too-long"},
		{"URI without an end", "GET TARGET/" + strings.Repeat("a", 100<<10), 414, "target-too-long"},
	}
	for _, host := range []string{"a b", "a/b", "a@b", "u:p@a", "a?b", "a#b", "a,b", `a"b`, "a\\b", "<a>", "[::1", "::1", "[]", "[::1]x", "[x]", "a:b", "a:80:80", "a:65536", ":80", "a%zz", "a%41", "a%00", "a%2fb", "\xc3\xbc", "a^b", "a|b", "{a}"} {
		all = append(all, Request{fmt.Sprintf("Host %q", host), "GET TARGET HTTP/1.1\r\nHost: " + host + "\r\n\r\n", 400, "host"})
	}
	for _, line := range []struct{ name, line, kind string }{
		{"bare CR in a value", "X: a\rb", "field-value"},
		{"bare CR at the end of a value", "X: a\r", "field-value"},
		{"NUL in a value", "X: a\x00b", "field-value"},
		{"control in a value", "X: a\x0bb", "field-value"},
		{"DEL in a value", "X: a\x7fb", "field-value"},
		{"no colon", "X", "field-name"},
		{"no name", ": x", "field-name"},
		{"space before the colon", "X : a", "space-before-colon"},
		{"tab before the colon", "X\t: a", "space-before-colon"},
		{"space in the name", "X y: a", "field-name"},
		{"NUL in the name", "X\x00: a", "field-name"},
		{"CR in the name", "X\ry: a", "field-name"},
		{"slash in the name", "X/y: a", "field-name"},
		{"UTF-8 in the name", "\xc3\xbc: a", "field-name"},
		{"bracket in the name", "X[1]: a", "field-name"},
		{"length and space", "Content-Length : 6", "space-before-colon"},
		{"coding and space", "Transfer-Encoding : chunked", "space-before-colon"},
		{"coding and CR", "Transfer-Encoding\r: chunked", "field-name"},
		{"coding folded", "Transfer-Encoding:\r\n chunked", ""},
		{"coding behind a CR", "X: y\rTransfer-Encoding: chunked", "field-value"},
	} {
		all = append(all, Request{line.name, "POST TARGET HTTP/1.1\r\nHost: x\r\n" + line.line + "\r\n\r\n", 400, line.kind})
	}
	for _, length := range []string{"+6", "-1", "0x6", "1_0", "", "6, 6", "6,6", "6 6", "6.0", "1e1", "six", "6;", "\"6\"", "9223372036854775808", "99999999999999999999", "00000000000000000000006", "\x0b6", "6\x00"} {
		kind := "length"
		if strings.ContainsAny(length, "\x0b\x00") {
			kind = "field-value"
		}
		all = append(all, Request{fmt.Sprintf("length %q", length), "POST TARGET HTTP/1.1\r\nHost: x\r\nContent-Length: " + length + "\r\n\r\nabcdef", 400, kind})
	}
	for _, fields := range []struct {
		fields string
		status int
		kind   string
	}{
		{"Content-Length: 6\r\nContent-Length: 6", 400, "two-lengths"},
		{"Content-Length: 6\r\nContent-Length: 5", 400, "two-lengths"},
		{"Content-Length: 6\r\ncontent-length: 5", 400, "two-lengths"},
		{"Content-Length: 6\r\nTransfer-Encoding: chunked", 400, "length-and-coding"},
		{"Transfer-Encoding: chunked\r\nContent-Length: 6", 400, "length-and-coding"},
		{"Transfer-Encoding: chunked\r\nContent-Length: 0", 400, "length-and-coding"},
		{"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 400, "two-codings"},
		{"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", 400, "two-codings"},
		{"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", 400, ""},
		{"Transfer-Encoding: identity", 400, "coding"},
		{"Transfer-Encoding: chunked, chunked", 400, "coding"},
		{"Transfer-Encoding: chunked, identity", 400, "coding"},
		{"Transfer-Encoding: chunked, gzip", 400, "coding"},
		{"Transfer-Encoding: chunked,", 400, "coding"},
		{"Transfer-Encoding: ,chunked", 400, "coding"},
		{"Transfer-Encoding:", 400, "coding"},
		{"Transfer-Encoding: \"chunked\"", 400, "coding"},
		{"Transfer-Encoding: chunked;a=b", 400, "coding"},
		{"Transfer-Encoding: chunked;", 400, "coding"},
		{"Transfer-Encoding: chun ked", 400, "coding"},
		{"Transfer-Encoding: \x0bchunked", 400, "field-value"},
		{"Transfer-Encoding: chunked\x00", 400, "field-value"},
		{"Transfer-Encoding: gzip", 400, "coding"},
		{"Transfer-Encoding: gzip, chunked", 501, "coding-unknown"},
		{"Transfer-Encoding: xchunked", 501, "coding-unknown"},
		{"Transfer-Encoding: x, chunked", 501, "coding-unknown"},
		{"Transfer-Encoding: chunkedx", 501, "coding-unknown"},
	} {
		all = append(all, Request{strings.ReplaceAll(fields.fields, "\r\n", " and "), "POST TARGET HTTP/1.1\r\nHost: x\r\n" + fields.fields + "\r\n\r\n0\r\n\r\n", fields.status, fields.kind})
	}
	for _, body := range []struct{ name, body, kind string }{
		{"size ended by bare LF", "3\nabc\r\n0\r\n\r\n", "chunk-line"},
		{"extension ended by bare LF", "3;a=b\nabc\r\n0\r\n\r\n", "chunk-line"},
		{"last chunk ended by bare LF", "3\r\nabc\r\n0\n\r\n", "chunk-line"},
		{"data ended by bare LF", "3\r\nabc\n0\r\n\r\n", "chunk-end"},
		{"trailers ended by bare LF", "3\r\nabc\r\n0\r\n\n", "chunk-line"},
		{"trailer ended by bare LF", "3\r\nabc\r\n0\r\nX: y\n\r\n", "chunk-line"},
		{"0x2", "0x2\r\nab\r\n0\r\n\r\n", "chunk-size"},
		{"plus", "+2\r\nab\r\n0\r\n\r\n", "chunk-size"},
		{"minus", "-2\r\nab\r\n0\r\n\r\n", "chunk-size"},
		{"underscore", "1_0\r\nab\r\n0\r\n\r\n", "chunk-size"},
		{"space before the size", " 2\r\nab\r\n0\r\n\r\n", "chunk-size"},
		{"space behind the size", "2 \r\nab\r\n0\r\n\r\n", "chunk-size"},
		{"space before the extension", "2 ;a\r\nab\r\n0\r\n\r\n", "chunk-size"},
		{"tab behind the size", "2\t\r\nab\r\n0\r\n\r\n", "chunk-size"},
		{"no size", "\r\nab\r\n0\r\n\r\n", "chunk-size"},
		{"extension without a size", ";a=b\r\nab\r\n0\r\n\r\n", "chunk-size"},
		{"17 digits", "00000000000000002\r\nab\r\n0\r\n\r\n", "chunk-size"},
		{"16 digits", "ffffffffffffffff\r\nab\r\n0\r\n\r\n", "chunk-size"},
		{"beyond 63 bits", "8000000000000000\r\nab\r\n0\r\n\r\n", "chunk-size"},
		{"missing CRLF", "3\r\nabc0\r\n\r\n", "chunk-end"},
		{"too much data", "3\r\nabcd\r\n0\r\n\r\n", "chunk-end"},
		{"CR behind the size", "2\r\rab\r\n0\r\n\r\n", "chunk-line"},
		{"bare CR in an extension", "2;a\rb\r\nab\r\n0\r\n\r\n", "chunk-line"},
		{"NUL in an extension", "2;a\x00\r\nab\r\n0\r\n\r\n", "chunk-extension"},
		{"16 KiB of extensions", "2;" + strings.Repeat("a", 16<<10) + "\r\nab\r\n0\r\n\r\n", "chunk-extension-too-long"},
		{"extensions in many chunks", strings.Repeat("1;"+strings.Repeat("a", 1000)+"\r\nx\r\n", 20) + "0\r\n\r\n", "chunk-extension-too-long"},
		{"second chunk", "3\r\nabc\r\n0x2\r\nab\r\n0\r\n\r\n", "chunk-size"},
		{"trailer with a length", "3\r\nabc\r\n0\r\nContent-Length: 6\r\n\r\n", "trailer"},
		{"trailer with a coding", "3\r\nabc\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n", "trailer"},
		{"trailer with a host", "3\r\nabc\r\n0\r\nHost: y\r\n\r\n", "trailer"},
		{"trailer without a colon", "3\r\nabc\r\n0\r\nX\r\n\r\n", "trailer"},
		{"trailer folded", "3\r\nabc\r\n0\r\nX: y\r\n z\r\n\r\n", "trailer"},
		{"trailer with space before the colon", "3\r\nabc\r\n0\r\nX : y\r\n\r\n", "trailer"},
		{"trailer with a bare CR", "3\r\nabc\r\n0\r\nX: y\rz\r\n\r\n", "trailer"},
		{"a request instead of a chunk", "GET /b HTTP/1.1\r\nHost: x\r\n\r\n", "chunk-size"},
	} {
		all = append(all, Request{"chunks: " + body.name, "POST TARGET HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + body.body, 400, body.kind})
	}
	for i := range all {
		all[i].Bytes = strings.ReplaceAll(all[i].Bytes, "TARGET", target)
	}
	return all
}
