package upstream

import (
	"net/http"
	"net/textproto"
	"strings"
)

// head is a response's status line and fields.
type head struct {
	minor  int    // of HTTP/1.x
	code   int    // 100 to 599
	status string // code and reason: "404 Not Found"
	fields http.Header
}

// parseHead reads a whole head as inbox.block returns it (RFC 9112 §4, §5). It
// is strict where readers could differ about what a head means, and lenient
// only where the RFC says how: line ends, a missing reason, obs-fold, space
// before a colon. The error is a protocolError.
func parseHead(block []byte) (head, error) {
	text := string(block)
	line, rest := cutLine(text)
	h, err := parseStatusLine(line)
	if err != nil {
		return head{}, err
	}
	h.fields, err = parseFields(rest)
	return h, err
}

func parseStatusLine(line string) (head, error) {
	const shape = len("HTTP/1.1 200")
	if len(line) < shape || line[:7] != "HTTP/1." || line[7] < '0' || line[7] > '9' || line[8] != ' ' {
		return head{}, protocolError("status line is not HTTP/1.x")
	}
	h := head{minor: int(line[7] - '0'), status: line[9:]}
	for _, c := range []byte(line[9:shape]) {
		if c < '0' || c > '9' {
			return head{}, protocolError("status is not a number")
		}
		h.code = h.code*10 + int(c-'0')
	}
	if h.code < 100 || h.code > 599 {
		return head{}, protocolError("status " + line[9:shape] + " is out of range")
	}
	if len(line) > shape && line[shape] != ' ' {
		return head{}, protocolError("status has more than three digits")
	}
	if !validValue(line[shape:]) {
		return head{}, protocolError("invalid byte in the reason")
	}
	return h, nil
}

// parseFields reads field lines up to the empty line that ends text. Values
// share one array, as they share text.
func parseFields(text string) (http.Header, error) {
	n := strings.Count(text, "\n")
	fields := make(http.Header, max(n-1, 0))
	values := make([]string, 0, max(n, 1))
	last := "" // name of the field above, for obs-fold
	for text != "" {
		var line string
		if line, text = cutLine(text); line == "" {
			break
		}
		if line[0] == ' ' || line[0] == '\t' {
			if err := unfold(fields, last, line); err != nil {
				return nil, err
			}
			continue
		}
		name, value, err := parseField(line)
		if err != nil {
			return nil, err
		}
		if old, ok := fields[name]; ok {
			fields[name] = append(old, value)
		} else {
			values = append(values, value)
			fields[name] = values[len(values)-1 : len(values) : len(values)]
		}
		last = name
	}
	return fields, nil
}

// trimOWS cuts off the white space around a value (RFC 9110 §5.6.3). A CR is none:
// whoever takes it for the end of the line reads on elsewhere.
func trimOWS(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	return trimRightOWS(s)
}

func trimRightOWS(s string) string {
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

func parseField(line string) (name, value string, err error) {
	raw, value, ok := strings.Cut(line, ":")
	if !ok {
		return "", "", protocolError("field line without a colon")
	}
	token := trimRightOWS(raw)
	if !validToken(token) {
		return "", "", protocolError("invalid field name")
	}
	name = textproto.CanonicalMIMEHeaderKey(token)
	if len(token) != len(raw) && isFraming(name) {
		return "", "", protocolError("space between " + name + " and its colon")
	}
	if value = trimOWS(value); !validValue(value) {
		return "", "", protocolError("invalid byte in field " + name)
	}
	return name, value, nil
}

// unfold joins a continuation line to the field above with one space, as RFC
// 9112 §5.2 asks of a proxy.
func unfold(fields http.Header, name, line string) error {
	if name == "" {
		return protocolError("space before the first field")
	}
	if isFraming(name) {
		return protocolError("folded " + name)
	}
	more := trimOWS(line)
	if !validValue(more) {
		return protocolError("invalid byte in field " + name)
	}
	v := fields[name]
	v[len(v)-1] = trimOWS(v[len(v)-1] + " " + more)
	return nil
}

func isFraming(name string) bool {
	return name == "Content-Length" || name == "Transfer-Encoding"
}

// cutLine cuts one line and its CRLF or LF off text.
func cutLine(text string) (line, rest string) {
	line, rest, _ = strings.Cut(text, "\n")
	return strings.TrimSuffix(line, "\r"), rest
}

// tokenByte marks the bytes of a token (RFC 9110 §5.6.2).
var tokenByte = func() (t [256]bool) {
	for _, c := range []byte("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") {
		t[c] = true
	}
	return t
}()

func validToken(s string) bool {
	for i := range len(s) {
		if !tokenByte[s[i]] {
			return false
		}
	}
	return s != ""
}

// validValue reports whether s has only bytes of a field value (RFC 9110
// §5.5): no controls but tab.
func validValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
