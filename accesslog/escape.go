package accesslog

import (
	"strings"
	"unicode/utf8"
)

// maxField bounds what one field contributes to a line, in bytes before
// escaping. A URL that the server accepts fits whole.
const maxField = 16 << 10

// percent says what happens to a percent sign in a word.
type percent bool

const (
	keepPercent   percent = false // the text is percent-encoded already, as URLs are
	escapePercent percent = true  // the text is raw: escape, so that it can be decoded
)

const hexDigits = "0123456789ABCDEF"

// appendEscape appends c as %XX.
func appendEscape(buf []byte, c byte) []byte {
	return append(buf, '%', hexDigits[c>>4], hexDigits[c&15])
}

// unsafeByte reports bytes that could end a line or a quoted field, that a terminal
// would act upon, or that are not ASCII.
func unsafeByte(c byte) bool { return c < ' ' || c >= 0x7f || c == '"' || c == '\\' }

// appendWord appends s as a field without spaces, "-" when it is empty.
func appendWord(buf []byte, s string, p percent) []byte {
	if s == "" {
		return append(buf, '-')
	}
	s = s[:min(len(s), maxField)]
	done := 0 // of s
	for i := range len(s) {
		if c := s[i]; !plainByte[c] || c == '%' && p == escapePercent {
			buf = append(buf, s[done:i]...)
			buf = appendEscape(buf, c)
			done = i + 1
		}
	}
	return append(buf, s[done:]...)
}

// plainByte are the bytes that stand for themselves in a field without spaces.
var plainByte = func() (set [256]bool) {
	for i := range set {
		set[i] = !unsafeByte(byte(i)) && i != ' '
	}
	return set
}()

// appendURL appends s as a field, without its userinfo.
func appendURL(buf []byte, s string) []byte {
	head, tail := withoutUserinfo(s)
	if head == "" {
		return appendWord(buf, tail, keepPercent)
	}
	buf = appendWord(buf, head, keepPercent)
	if tail == "" {
		return buf
	}
	return appendWord(buf, tail, keepPercent)
}

// appendQuoted appends s as the inside of a quoted field, where spaces may
// stand; "-" when it is empty. A URL loses its userinfo.
func appendQuoted(buf []byte, s string, url bool) []byte {
	if s == "" {
		return append(buf, '-')
	}
	head := ""
	if url {
		head, s = withoutUserinfo(s)
	}
	return appendSpaced(appendSpaced(buf, head), s)
}

func appendSpaced(buf []byte, s string) []byte {
	for i := range min(len(s), maxField) {
		if c := s[i]; unsafeByte(c) {
			buf = appendEscape(buf, c)
		} else {
			buf = append(buf, c)
		}
	}
	return buf
}

// withoutUserinfo cuts the userinfo (RFC 3986 §3.2.1) out of a URL or an
// authority: the result is the text before it and the text after it. It errs on
// the side of cutting too much when the URL is malformed.
func withoutUserinfo(s string) (head, tail string) {
	if strings.IndexByte(s, '@') < 0 {
		return "", s
	}
	start := 0
	if i := strings.Index(s, "//"); i >= 0 && !strings.ContainsAny(s[:i], "/?#@") {
		start = i + 2
	}
	end := len(s)
	if i := strings.IndexAny(s[start:], "/?#"); i >= 0 {
		end = start + i
	}
	at := strings.LastIndexByte(s[start:end], '@')
	if at < 0 {
		return "", s
	}
	return s[:start], s[start+at+1:]
}

// appendText appends s as a JSON string, quotes included, in ASCII: a terminal
// that shows the line sees no control characters, C1 ones included. Bytes that
// are not UTF-8 become U+FFFD.
func appendText(buf []byte, s string) []byte {
	buf = append(buf, '"')
	s = s[:min(len(s), maxField)]
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			buf = append(buf, '\\', c)
			i++
		case c >= ' ' && c < 0x7f:
			buf = append(buf, c)
			i++
		default:
			r, size := utf8.DecodeRuneInString(s[i:])
			buf = appendRune(buf, r)
			i += size
		}
	}
	return append(buf, '"')
}

// appendRune appends r as \uXXXX, as a surrogate pair beyond the basic plane.
func appendRune(buf []byte, r rune) []byte {
	if r > 0xffff {
		r -= 0x10000
		buf = appendUnit(buf, 0xd800+uint16(r>>10))
		return appendUnit(buf, 0xdc00+uint16(r&0x3ff))
	}
	return appendUnit(buf, uint16(r))
}

func appendUnit(buf []byte, u uint16) []byte {
	return append(buf, '\\', 'u', hexDigits[u>>12], hexDigits[u>>8&15], hexDigits[u>>4&15], hexDigits[u&15])
}
