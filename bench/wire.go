package bench

import (
	"bytes"
	"errors"
	"fmt"
)

// head is what the load loop looks at in the head of a response. Its slices
// belong to the buffer that was parsed.
type head struct {
	status  int
	minor   byte  // of HTTP/1.x
	length  int64 // of the body as announced; -1 where it is not
	chunked bool
	closes  bool // the connection ends with this response

	cacheStatus []byte // the last member's line; earlier lines in moreStatus
	moreStatus  []byte
	xCache      []byte
	xCacheKind  []byte // X-Cache-Status of nginx
	proxyStatus []byte
	age, date   []byte
	etag        []byte
	contentPart []byte // Content-Range
	object      []byte // Bench-Object
	via, server []byte
}

var (
	errMalformed = errors.New("not HTTP/1.1")
	errHeadLong  = errors.New("the head of the response is too long")
)

// parseHead reads a response head from the beginning of b. n is its length with
// the empty line, 0 when b does not hold all of it yet. It is strict where a
// lenient reader could be lied to: line ends, framing, field syntax.
func parseHead(b []byte, h *head) (n int, err error) {
	*h = head{length: -1}
	line, n := cutLine(b)
	if n == 0 {
		return 0, nil
	}
	if err := h.statusLine(line); err != nil {
		return 0, err
	}
	for {
		line, m := cutLine(b[n:])
		if m == 0 {
			return 0, nil
		}
		n += m
		if string(line) == "\r" {
			break
		}
		if err := h.field(line); err != nil {
			return 0, err
		}
	}
	if h.chunked && h.length >= 0 {
		return 0, fmt.Errorf("%w: both Content-Length and Transfer-Encoding", errMalformed)
	}
	return n, nil
}

// cutLine returns the first line with its CR, and its length with CR and LF; 0
// where there is no LF.
func cutLine(b []byte) (line []byte, n int) {
	i := bytes.IndexByte(b, '\n')
	return b[:max(i, 0)], i + 1
}

// statusLine reads "HTTP/1.1 200 OK" CR.
func (h *head) statusLine(line []byte) error {
	if len(line) < 13 || string(line[:7]) != "HTTP/1." || line[8] != ' ' || line[len(line)-1] != '\r' {
		return fmt.Errorf("%w: %.80q", errMalformed, line)
	}
	if line[12] != ' ' && line[12] != '\r' || line[7] != '0' && line[7] != '1' {
		return fmt.Errorf("%w: %.80q", errMalformed, line)
	}
	for _, c := range line[9:12] {
		if c < '0' || c > '9' {
			return fmt.Errorf("%w: status %.80q", errMalformed, line)
		}
		h.status = h.status*10 + int(c-'0')
	}
	if h.status < 100 {
		return fmt.Errorf("%w: status %d", errMalformed, h.status)
	}
	h.minor = line[7] - '0'
	h.closes = h.minor == 0
	return nil
}

// field reads one field line, CR at its end.
func (h *head) field(line []byte) error {
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 || len(line) < 2 || line[len(line)-1] != '\r' || !isName(line[:colon]) {
		return fmt.Errorf("%w: field %.80q", errMalformed, line)
	}
	value := trim(line[colon+1 : len(line)-1])
	if bytes.IndexByte(value, '\r') >= 0 || bytes.IndexByte(value, 0) >= 0 {
		return fmt.Errorf("%w: field %.80q", errMalformed, line)
	}
	return h.take(line[:colon], value)
}

// take keeps a field that somebody looks at. The length of the name is told
// apart first: it rules out most fields at once.
func (h *head) take(name, value []byte) error {
	switch len(name) {
	case 3:
		if is(name, "age") {
			h.age = value
		} else if is(name, "via") {
			h.via = value
		}
	case 4:
		if is(name, "date") {
			h.date = value
		} else if is(name, "etag") {
			h.etag = value
		}
	case 6:
		if is(name, "server") {
			h.server = value
		}
	case 7:
		if is(name, "x-cache") {
			h.xCache = value
		}
	case 10:
		if is(name, "connection") {
			h.closes = h.minor == 0 && !hasToken(value, "keep-alive") || hasToken(value, "close")
		}
	case 12:
		if is(name, "cache-status") {
			h.moreStatus, h.cacheStatus = h.cacheStatus, value
		} else if is(name, "bench-object") {
			h.object = value
		} else if is(name, "proxy-status") {
			h.proxyStatus = value
		}
	case 13:
		if is(name, "content-range") {
			h.contentPart = value
		}
	case 14:
		if is(name, "content-length") {
			return h.takeLength(value)
		} else if is(name, "x-cache-status") {
			h.xCacheKind = value
		}
	case 17:
		if is(name, "transfer-encoding") {
			if h.chunked || !is(value, "chunked") {
				return fmt.Errorf("%w: Transfer-Encoding %.80q", errMalformed, value)
			}
			h.chunked = true
		}
	}
	return nil
}

func (h *head) takeLength(value []byte) error {
	n, ok := digits(value)
	if !ok || h.length >= 0 && h.length != n {
		return fmt.Errorf("%w: Content-Length %.80q", errMalformed, value)
	}
	h.length = n
	return nil
}

// hasBody applies RFC 9112 §6.3 to a response of GET (or of HEAD).
func (h *head) hasBody(toHead bool) bool {
	return !toHead && h.status >= 200 && h.status != 204 && h.status != 304
}

// is compares without regard to case; want is in lower case.
func is(name []byte, want string) bool {
	if len(name) != len(want) {
		return false
	}
	for i, c := range name {
		if c != want[i] && (c|0x20 != want[i] || c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}

func hasToken(value []byte, want string) bool {
	for part := range bytes.SplitSeq(value, []byte(",")) {
		if is(trim(part), want) {
			return true
		}
	}
	return false
}

func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// digits reads a decimal number of at most 18 digits and nothing else.
func digits(b []byte) (n int64, ok bool) {
	if len(b) == 0 || len(b) > 18 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

func isName(b []byte) bool {
	for _, c := range b {
		if !nameBytes[c] {
			return false
		}
	}
	return true
}

// nameBytes are those of a token (RFC 9110 §5.6.2).
var nameBytes = func() (t [256]bool) {
	for c := range 128 {
		alnum := c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
		t[c] = alnum || bytes.IndexByte([]byte("!#$%&'*+-.^_`|~"), byte(c)) >= 0
	}
	return t
}()
