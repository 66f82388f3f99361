package http1

import (
	"bytes"
	"io"
	"net/http"
	"net/textproto"
)

const (
	maxChunkLine  = 4 << 10  // a size with its extensions
	maxExtensions = 16 << 10 // in one body
)

// chunks decodes the chunked coding (RFC 9112 §7.1) as its bytes come, and
// accepts nothing that another recipient could read differently. Its errors are
// io.EOF behind the last byte of the trailer section, and problems.
type chunks struct {
	limit   int  // bytes of the trailer section
	discard bool // look only: what is decoded goes nowhere

	state      chunkState
	size       int64 // of the chunk under way, what is left of it
	digits     int
	line       int // bytes of its first line so far
	extensions int // bytes of all of them
	trailer    []byte
	begun      int // chunks whose first line has been read
}

type chunkState uint8

const (
	inSize chunkState = iota
	inExtension
	inSizeEnd // the LF of a chunk's first line
	inData
	inDataEnd  // its CR
	inDataEnd2 // its LF
	inTrailer
	atEnd
)

// decode takes bytes from src and puts what they say into dst. It stops when one
// of the two is at its end, and at the end of the body.
func (d *chunks) decode(dst, src []byte) (put, took int, err error) {
	for took < len(src) && d.state != atEnd {
		if d.state == inData {
			n := int(min(d.size, int64(len(src)-took)))
			if !d.discard {
				if n = min(n, len(dst)-put); n == 0 {
					return put, took, nil
				}
				copy(dst[put:], src[took:took+n])
			}
			put, took = put+n, took+n
			if d.size -= int64(n); d.size == 0 {
				d.state = inDataEnd
			}
			continue
		}
		if d.state == inTrailer {
			n, bad := d.trailerLine(src[took:])
			took += n
			if bad != nil {
				return put, took, bad
			}
			continue
		}
		bad := d.step(src[took])
		took++
		if bad != nil {
			return put, took, bad
		}
	}
	if d.state == atEnd {
		return put, took, io.EOF
	}
	return put, took, nil
}

// inLine reports whether a line of the coding, or the trailer section, has begun
// and not ended.
func (d *chunks) inLine() bool { return d.state != inData && (d.state != inSize || d.digits > 0) }

// step takes one byte of what surrounds the data.
func (d *chunks) step(c byte) *problem {
	switch d.state {
	case inSize:
		return d.sizeByte(c)
	case inExtension:
		d.extensions++
		d.line++
		switch {
		case c == '\r':
			d.state = inSizeEnd
		case !valueByte[c]:
			if c == '\n' {
				return badChunkLine
			}
			return badExtension
		case d.line > maxChunkLine || d.extensions > maxExtensions:
			return longExtension
		}
	case inSizeEnd:
		if c != '\n' {
			return badChunkLine
		}
		d.state, d.digits, d.line = inData, 0, 0
		d.begun++
		if d.size == 0 {
			d.state = inTrailer
		}
	case inDataEnd:
		if c != '\r' {
			return badChunkEnd
		}
		d.state = inDataEnd2
	case inDataEnd2:
		if c != '\n' {
			return badChunkEnd
		}
		d.state = inSize
	}
	return nil
}

func (d *chunks) sizeByte(c byte) *problem {
	digit := hexDigit(c)
	switch {
	case digit >= 0:
		if d.digits++; d.digits > 16 || d.size >= 1<<59 {
			return badChunkSize
		}
		d.size = d.size<<4 | int64(digit)
		return nil
	case d.digits == 0:
		return badChunkSize
	case c == ';':
		d.state = inExtension
	case c == '\r':
		d.state = inSizeEnd
	case c == '\n':
		return badChunkLine
	default:
		return badChunkSize
	}
	return nil
}

// trailerLine takes a part of the trailer section, up to the end of a line.
func (d *chunks) trailerLine(b []byte) (took int, bad *problem) {
	took = len(b)
	end := bytes.IndexByte(b, '\n')
	if end >= 0 {
		took = end + 1
	}
	if len(d.trailer)+took > d.limit {
		return took, longTrailer
	}
	d.trailer = append(d.trailer, b[:took]...)
	if end < 0 {
		return took, nil
	}
	t := d.trailer
	if len(t) < 2 || t[len(t)-2] != '\r' {
		return took, badChunkLine
	}
	if len(t) == 2 || bytes.HasSuffix(t, []byte("\n\r\n")) {
		d.state = atEnd
	}
	return took, nil
}

// fields reads the trailer section once it is whole. Fields that no trailer may
// have (RFC 9110 §6.5.1) are left out, and those that frame or route a message
// are a problem.
func (d *chunks) fields(most int) (http.Header, *problem) {
	var h http.Header
	for t := d.trailer; len(t) > 2; {
		end := bytes.IndexByte(t, '\n')
		f, bad := parseField(t[:end-1])
		if bad != nil {
			return nil, badTrailer
		}
		t = t[end+1:]
		if most--; most < 0 {
			return nil, longTrailer
		}
		name := textproto.CanonicalMIMEHeaderKey(string(f.Name))
		switch trailerRule[name] {
		case refused:
			return nil, badTrailer
		case dropped:
			continue
		}
		if h == nil {
			h = http.Header{}
		}
		h[name] = append(h[name], string(f.Value))
	}
	return h, nil
}

type rule uint8

const (
	dropped rule = iota + 1
	refused
)

// trailerRule says what becomes of a field that must not stand in a trailer.
var trailerRule = map[string]rule{
	"Content-Length": refused, "Transfer-Encoding": refused, "Host": refused, "Connection": refused,
	"Trailer": dropped, "Te": dropped, "Upgrade": dropped, "Keep-Alive": dropped, "Proxy-Connection": dropped,
	"Content-Encoding": dropped, "Content-Type": dropped, "Content-Range": dropped,
	"Authorization": dropped, "Proxy-Authorization": dropped, "Cookie": dropped, "Set-Cookie": dropped,
	"Www-Authenticate": dropped, "Proxy-Authenticate": dropped, "Proxy-Authentication-Info": dropped,
	"Forwarded": dropped, "X-Forwarded-For": dropped, "Http2-Settings": dropped,
	"Cache-Control": dropped, "Pragma": dropped, "Expect": dropped, "Max-Forwards": dropped, "Range": dropped,
	"If-Match": dropped, "If-None-Match": dropped, "If-Modified-Since": dropped, "If-Unmodified-Since": dropped, "If-Range": dropped,
	"Via": dropped, "Vary": dropped, "Age": dropped, "Date": dropped, "Expires": dropped, "Location": dropped, "Retry-After": dropped,
	"Warning": dropped,
}
