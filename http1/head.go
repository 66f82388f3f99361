package http1

import "bytes"

// limits bound a head.
type limits struct {
	head   int // bytes in all
	uri    int // bytes of the request target
	fields int
}

// maxMethod is far beyond any registered method.
const maxMethod = 64

// parse reads a head from b. It returns false without a problem when b does not
// hold a whole one yet. Fields that r.Fields has room for are not allocated.
func (r *Request) parse(b []byte, lim *limits) (whole bool, bad *problem) {
	r.Method, r.Target, r.Host, r.Fields = nil, nil, nil, r.Fields[:0]
	r.Minor, r.Length, r.Persist, r.HeadLen, r.marks = 1, 0, true, 0, 0
	at, bad := startOfLine(b)
	if at < 0 || bad != nil {
		return false, bad
	}
	end := bytes.IndexByte(b[at:], '\n')
	if end < 0 {
		return false, partOfLine(b[at:], lim)
	}
	if bad = r.requestLine(b[at:at+end+1], lim); bad != nil {
		return false, bad
	}
	at += end + 1
	for {
		end = bytes.IndexByte(b[at:], '\n')
		if end < 0 {
			return false, partOfField(b[at:], len(b) >= lim.head)
		}
		if end == 0 || b[at+end-1] != '\r' {
			return false, bareLF
		}
		line := b[at : at+end-1]
		at += end + 1
		if len(line) == 0 {
			break
		}
		if bad = r.field(line); bad != nil {
			return false, bad
		}
	}
	r.HeadLen = at
	switch {
	case at > lim.head:
		return false, longHead
	case len(r.Fields) > lim.fields:
		return false, manyFields
	}
	bad = r.settle()
	return bad == nil, bad
}

// startOfLine is where the request line begins, -1 when that is not there yet.
// One empty line may stand before it (RFC 9112 §2.2).
func startOfLine(b []byte) (int, *problem) {
	at := 0
	if len(b) > 0 && b[0] == '\r' {
		if len(b) > 1 && b[1] != '\n' {
			return 0, badStart
		}
		at = 2
	}
	if len(b) <= at {
		return -1, nil
	}
	if !tokenByte[b[at]] {
		return 0, badStart
	}
	return at, nil
}

// partOfLine judges a request line that has not ended: what is none is told so
// at once, without waiting for an end that other protocols never send.
func partOfLine(b []byte, lim *limits) *problem {
	method, rest, spaced := bytes.Cut(b, []byte(" "))
	switch {
	case len(method) > 0 && !spaced && method[len(method)-1] == '\r':
		return oldVersion
	case !isToken(method):
		return badStart
	case len(method) > maxMethod:
		return longMethod
	}
	target, _, _ := bytes.Cut(rest, []byte(" "))
	for _, c := range target {
		if !targetByte[c] && c != '\r' {
			return badTarget
		}
	}
	if len(target) > lim.uri {
		return longTarget
	}
	if len(b) >= lim.head || bareCR(b) >= 0 {
		return badRequestLine
	}
	return nil
}

// partOfField judges a field line that has not ended, in a head that may be full.
func partOfField(b []byte, full bool) *problem {
	if i := bareCR(b); i >= 0 {
		_, bad := parseField(b[:i+2])
		return bad
	}
	if full {
		return longHead
	}
	return nil
}

// bareCR is where in a line that has no end yet a CR stands that no LF follows;
// -1: none does so far. Whoever ends lines with CR alone sends no LF to wait for.
func bareCR(b []byte) int {
	if i := bytes.IndexByte(b, '\r'); i < len(b)-1 {
		return i
	}
	return -1
}

// requestLine reads the line, its end included (RFC 9112 §3).
func (r *Request) requestLine(line []byte, lim *limits) *problem {
	if len(line) < 2 || line[len(line)-2] != '\r' {
		return bareLF
	}
	line = line[:len(line)-2]
	n := bytes.IndexByte(line, ' ')
	if n < 0 {
		if isToken(line) {
			return oldVersion
		}
		return badStart
	}
	method, rest := line[:n], line[n+1:]
	if !isToken(method) {
		return badMethod
	}
	if n > maxMethod {
		return longMethod
	}
	r.Method = method
	n = bytes.IndexByte(rest, ' ')
	if n < 0 {
		n = len(rest)
	}
	target := rest[:n]
	if len(target) > lim.uri {
		return longTarget
	}
	if len(target) == 0 {
		return badRequestLine
	}
	if !targetByte.all(target) {
		return badTarget
	}
	r.Target = target
	if n == len(rest) {
		return oldVersion
	}
	return r.version(rest[n+1:])
}

// version reads HTTP-version (RFC 9112 §2.3). A higher minor version of ours is
// answered as ours (RFC 9110 §2.5).
func (r *Request) version(v []byte) *problem {
	const shape = "HTTP/1.1"
	if len(v) == len(shape) && string(v[:7]) == "HTTP/1." && v[7] >= '0' && v[7] <= '9' {
		r.Minor = min(int(v[7]-'0'), 1)
		return nil
	}
	if bytes.IndexByte(v, ' ') >= 0 {
		return badRequestLine
	}
	digit := func(c byte) bool { return c >= '0' && c <= '9' }
	switch {
	case len(v) != len(shape) || string(v[:5]) != "HTTP/" || !digit(v[5]) || v[6] != '.' || !digit(v[7]):
		return badVersion
	case string(r.Method) == "PRI" && string(r.Target) == "*":
		return http2Preface
	}
	return otherVersion
}

// field reads one line of the header section (RFC 9112 §5).
func (r *Request) field(line []byte) *problem {
	f, bad := parseField(line)
	if bad != nil {
		return bad
	}
	r.Fields = append(r.Fields, f)
	switch name := f.Name; len(name) {
	case 4:
		if equalFold(name, "Host") {
			if r.marks&hasHost != 0 {
				return twoHosts
			}
			r.marks |= hasHost
			r.Host = f.Value
		}
	case 6:
		if equalFold(name, "Expect") {
			return r.expect(f.Value)
		}
	case 7:
		if equalFold(name, "Upgrade") {
			r.marks |= hasUpgrade
		}
	case 10:
		if equalFold(name, "Connection") {
			r.connection(f.Value)
		}
	case 14:
		if equalFold(name, "Content-Length") {
			return r.contentLength(f.Value)
		}
	case 17:
		if equalFold(name, "Transfer-Encoding") {
			return r.transferCoding(f.Value)
		}
	}
	return nil
}

func parseField(line []byte) (Field, *problem) {
	n := 0
	for n < len(line) && tokenByte[line[n]] {
		n++
	}
	if n == len(line) || line[n] != ':' || n == 0 {
		return Field{}, noName(line, n)
	}
	value := trim(line[n+1:])
	if !valueByte.all(value) {
		return Field{}, badFieldValue
	}
	return Field{line[:n], value}, nil
}

// noName says what is wrong with a line that begins with a token of n bytes and
// no colon behind it.
func noName(line []byte, n int) *problem {
	switch {
	case n == 0 && (line[0] == ' ' || line[0] == '\t'):
		return foldedLine
	case n > 0 && n < len(line) && (line[n] == ' ' || line[n] == '\t') && bytes.HasPrefix(trim(line[n:]), []byte(":")):
		return spaceColon
	}
	return badFieldName
}
