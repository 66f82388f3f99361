package accesslog

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Format is one of the line formats. Its text form is the value of the
// configuration key.
type Format uint8

// The formats.
const (
	FormatSquid    Format = iota // squid: squid's native format
	FormatCommon                 // common: NCSA common plus squid's codes
	FormatCombined               // combined: common plus Referer and User-Agent
	FormatJSON                   // json: one object per line
)

var formatNames = [...]string{"squid", "common", "combined", "json"}

// String returns the name of the format.
func (f Format) String() string {
	if int(f) >= len(formatNames) {
		return "Format(" + strconv.Itoa(int(f)) + ")"
	}
	return formatNames[f]
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (f *Format) UnmarshalText(b []byte) error {
	for i, name := range formatNames {
		if name == string(b) {
			*f = Format(i)
			return nil
		}
	}
	return fmt.Errorf("unknown log format %q: want one of %s", b, strings.Join(formatNames[:], ", "))
}

// MarshalText implements encoding.TextMarshaler.
func (f Format) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// Append appends the line of e, newline included, and returns the extended
// buffer. Whatever e holds, exactly one line is added: bytes that could end a
// field or a line, or that a terminal would act upon, are escaped, and userinfo
// is taken out of URLs. It allocates nothing but the room buf lacks. node is
// the name of this node, which only JSON shows.
func Append(buf []byte, f Format, e *Entry, node string) []byte {
	switch f {
	case FormatCommon:
		buf = appendCommon(buf, e)
		buf = appendCodes(buf, e)
	case FormatCombined:
		buf = appendCommon(buf, e)
		buf = append(buf, '"')
		buf = appendQuoted(buf, e.Referer, true)
		buf = append(buf, `" "`...)
		buf = appendQuoted(buf, e.UserAgent, false)
		buf = append(buf, `" `...)
		buf = appendCodes(buf, e)
	case FormatJSON:
		buf = appendJSON(buf, e, node)
	default:
		buf = appendSquid(buf, e)
	}
	return append(buf, '\n')
}

// appendSquid lays out squid's native format:
//
//	%ts.%03tu %6tr %>a %Ss/%03>Hs %<st %rm %ru %[un %Sh/%<a %mt
func appendSquid(buf []byte, e *Entry) []byte {
	buf = appendSeconds(buf, e.Time, 9)
	buf = append(buf, ' ')
	buf = appendPadded(buf, max(e.Duration, 0).Milliseconds(), 6, ' ')
	buf = append(buf, ' ')
	buf = appendClient(buf, e)
	buf = append(buf, ' ')
	buf = append(buf, e.Result.String()...)
	buf = append(buf, '/')
	buf = appendPadded(buf, int64(e.Status), 3, '0')
	buf = append(buf, ' ')
	buf = strconv.AppendInt(buf, e.BytesOut, 10)
	buf = append(buf, ' ')
	buf = appendWord(buf, e.Method, keepPercent)
	buf = append(buf, ' ')
	buf = appendTarget(buf, e)
	buf = append(buf, ' ')
	buf = appendWord(buf, e.User, escapePercent)
	buf = append(buf, ' ')
	buf = append(buf, e.Hier.String()...)
	buf = append(buf, '/')
	buf = appendWord(buf, e.Peer, keepPercent)
	buf = append(buf, ' ')
	return appendWord(buf, mediaType(e.ContentType), keepPercent)
}

// appendCommon lays out what common and combined share:
//
//	%>a - %[un [%tl] "%rm %ru HTTP/%rv" %>Hs %<st
func appendCommon(buf []byte, e *Entry) []byte {
	buf = appendClient(buf, e)
	buf = append(buf, " - "...)
	buf = appendWord(buf, e.User, escapePercent)
	buf = append(buf, " ["...)
	buf = e.Time.AppendFormat(buf, "02/Jan/2006:15:04:05 -0700")
	buf = append(buf, `] "`...)
	buf = appendWord(buf, e.Method, keepPercent)
	buf = append(buf, ' ')
	buf = appendTarget(buf, e)
	buf = append(buf, ' ')
	if e.Proto == "" {
		buf = append(buf, "HTTP/0.0"...)
	} else {
		buf = appendWord(buf, e.Proto, keepPercent)
	}
	buf = append(buf, `" `...)
	buf = appendPadded(buf, int64(e.Status), 3, '0')
	buf = append(buf, ' ')
	buf = strconv.AppendInt(buf, e.BytesOut, 10)
	return append(buf, ' ')
}

// appendTarget appends the URL. A request that was never understood has none:
// then stands what squid writes there.
func appendTarget(buf []byte, e *Entry) []byte {
	switch {
	case e.URL != "":
		return appendURL(buf, e.URL)
	case e.Status == 0:
		return append(buf, "error:transaction-end-before-headers"...)
	}
	return append(buf, "error:invalid-request"...)
}

// appendCodes ends a common or combined line: %Ss:%Sh.
func appendCodes(buf []byte, e *Entry) []byte {
	buf = append(buf, e.Result.String()...)
	buf = append(buf, ':')
	return append(buf, e.Hier.String()...)
}

func appendClient(buf []byte, e *Entry) []byte {
	if !e.Client.IsValid() {
		return append(buf, '-')
	}
	return e.Client.WithZone("").Unmap().AppendTo(buf)
}

// appendSeconds appends the Unix time with milliseconds, the seconds padded to
// width.
func appendSeconds(buf []byte, t time.Time, width int) []byte {
	ms := max(t.UnixMilli(), 0)
	buf = appendPadded(buf, ms/1000, width, ' ')
	buf = append(buf, '.')
	return appendPadded(buf, ms%1000, 3, '0')
}

// appendPadded appends v with pad bytes in front up to width.
func appendPadded(buf []byte, v int64, width int, pad byte) []byte {
	var digits [20]byte
	text := strconv.AppendInt(digits[:0], v, 10)
	for range width - len(text) {
		buf = append(buf, pad)
	}
	return append(buf, text...)
}

// mediaType cuts the parameters off a Content-Type.
func mediaType(s string) string {
	if i := strings.IndexByte(s, ';'); i >= 0 {
		s = s[:i]
	}
	return strings.TrimSpace(s)
}
