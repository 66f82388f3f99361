package upstream

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// parseResponse reads one response to a method from raw bytes as a
// connection would.
func parseResponse(raw io.Reader, method string) (h *head, f framing, body []byte, trailer http.Header, err error) {
	cn := &conn{in: inbox{src: raw}}
	h = new(head)
	if err = readHead(cn, 64<<10, h); err != nil {
		return h, f, nil, nil, err
	}
	if f, err = frame(method, h); err != nil {
		return h, f, nil, nil, err
	}
	var src io.Reader = strings.NewReader("")
	switch f.kind {
	case bodyLength:
		src = &lengthReader{in: &cn.in, left: f.length}
	case bodyChunked:
		src = &chunkedReader{in: &cn.in, limit: 64 << 10}
	case bodyUntilClose:
		src = &cn.in
	}
	body, err = io.ReadAll(src)
	if c, ok := src.(*chunkedReader); ok {
		trailer = c.trailer
	}
	return h, f, body, trailer, err
}

var seeds = []string{
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=\"y\"\r\nhello\r\n0\r\nX: y\r\n\r\n",
	"HTTP/1.0 404 Not Found\r\nConnection: keep-alive\r\n\r\nhello",
	"HTTP/1.1 304\r\nEtag: \"x\"\r\n\r\n",
	"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n",
	"HTTP/1.1 200 OK\nA: b\n c\n\n",
	"HTTP/1.1 200 OK\r\nX : y\r\nx: z\r\nX:\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
	"HTTP/1.1 200 OK\r\nX: \x80\xff\r\n\r\n",
	"HTTP/0.9", "\r\n\r\n", "HTTP/1.1 999 X\r\n\r\n",
}

// FuzzResponse feeds the parser with anything, in one piece and byte by byte:
// the result is the same, nothing panics, and what passes is what net/http
// reads from the same bytes.
func FuzzResponse(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s), false)
		f.Add([]byte(s), true)
	}
	f.Add([]byte("HTTP/1.1 200 OK\nA:bc\n \n\n"), false)
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nby :\xaeX\r\n\r\n"), false)
	f.Fuzz(func(t *testing.T, raw []byte, isHead bool) {
		method := http.MethodGet
		if isHead {
			method = http.MethodHead
		}
		h, fr, body, trailer, err := parseResponse(bytes.NewReader(raw), method)
		h2, fr2, body2, _, err2 := parseResponse(iotest.OneByteReader(bytes.NewReader(raw)), method)
		if (err == nil) != (err2 == nil) || err == nil && (fmt.Sprint(h.fields, fr) != fmt.Sprint(h2.fields, fr2) || !bytes.Equal(body, body2)) {
			t.Fatalf("pieces matter: %v %q, %v %q", err, body, err2, body2)
		}
		if err != nil {
			return
		}
		agreesWithNetHTTP(t, raw, method, h, fr, body, trailer)
	})
}

// agreesWithNetHTTP checks a response that was accepted. net/http refuses some
// that RFC 9112 allows; those are left out.
func agreesWithNetHTTP(t *testing.T, raw []byte, method string, h *head, f framing, body []byte, trailer http.Header) {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(raw)), &http.Request{Method: method})
	if err != nil {
		return
	}
	if resp.StatusCode != h.code || resp.ProtoMinor != h.minor {
		t.Errorf("status %d HTTP/1.%d, net/http %d HTTP/1.%d", h.code, h.minor, resp.StatusCode, resp.ProtoMinor)
	}
	got, want := h.fields.Clone(), resp.Header.Clone()
	for _, name := range []string{"Transfer-Encoding", "Trailer", "Content-Length"} {
		delete(got, name) // net/http moves or drops them
		delete(want, name)
	}
	if spaced(want) {
		return
	}
	foldSpace(got) // what a folded line becomes differs in the number of spaces
	foldSpace(want)
	if resp.Header.Get("Pragma") == "no-cache" {
		delete(got, "Cache-Control") // it adds one
		delete(want, "Cache-Control")
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("fields %q, net/http %q", got, want)
	}
	if h.code < 200 {
		return // it takes them for final
	}
	theirs, err := io.ReadAll(resp.Body)
	if err != nil {
		return
	}
	if !bytes.Equal(body, theirs) {
		t.Errorf("body %q, net/http %q", body, theirs)
	}
	if spaced(resp.Trailer) {
		return
	}
	foldSpace(trailer)
	foldSpace(resp.Trailer)
	if f.kind == bodyChunked && len(trailer) > 0 && len(resp.Trailer) > 0 && fmt.Sprint(trailer) != fmt.Sprint(resp.Trailer) {
		t.Errorf("trailer %q, net/http %q", trailer, resp.Trailer)
	}
}

// spaced reports a name with the space before its colon, which net/http keeps
// and RFC 9112 §5.1 has a proxy remove.
func spaced(h http.Header) bool {
	for name := range h {
		if strings.ContainsAny(name, " \t") {
			return true
		}
	}
	return false
}

// foldSpace makes every run of white space in the values one space.
func foldSpace(h http.Header) {
	for _, values := range h {
		for i, v := range values {
			values[i] = strings.Join(strings.Fields(v), " ")
		}
	}
}

// dribble is a connection on which a piece arrives each time somebody waits.
type dribble struct {
	data  []byte
	piece int
	there int // of data has arrived
}

func (d *dribble) Read(p []byte) (int, error) {
	d.there = min(len(d.data), d.there+d.piece)
	if n, err := d.readNow(p); n > 0 || err != nil {
		return n, err
	}
	return 0, io.EOF
}

func (d *dribble) readNow(p []byte) (int, error) { //nolint:unparam // nowReader has it
	n := copy(p, d.data[:d.there])
	d.data, d.there = d.data[n:], d.there-n
	return n, nil
}

// readBothWays reads what is there, and waits only where there is nothing.
func readBothWays(r *chunkedReader) (all []byte, err error) {
	buf := make([]byte, 37)
	for {
		n, err := r.readNow(buf)
		if n == 0 && err == nil {
			n, err = r.Read(buf)
		}
		all = append(all, buf[:n]...)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
	}
}

// FuzzChunked decodes anything; what was encoded comes back unchanged.
func FuzzChunked(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s), 3)
	}
	f.Fuzz(func(t *testing.T, data []byte, piece int) {
		piece = 1 + max(0, piece)%5000
		plain, plainErr := io.ReadAll(&chunkedReader{in: &inbox{src: bytes.NewReader(data)}, limit: 1 << 10})
		patient, err := readBothWays(&chunkedReader{in: &inbox{src: &dribble{data: data, piece: piece}}, limit: 1 << 10})
		if !bytes.Equal(plain, patient) || (err == nil) != (plainErr == nil) { // which error it is may depend on what had come
			t.Fatalf("what has arrived reads as %q, %v, but all of it as %q, %v", patient, err, plain, plainErr)
		}
		var wire bytes.Buffer
		for rest := data; len(rest) > 0; {
			n := min(piece, len(rest))
			_, _ = fmt.Fprintf(&wire, "%X\r\n%s\r\n", n, rest[:n])
			rest = rest[n:]
		}
		wire.WriteString("0\r\n\r\nbehind")
		in := &inbox{src: iotest.HalfReader(&wire)}
		got, err := io.ReadAll(&chunkedReader{in: in, limit: 1 << 10})
		if err != nil || !bytes.Equal(got, data) {
			t.Fatalf("got %d of %d bytes, %v", len(got), len(data), err)
		}
		if rest, _ := io.ReadAll(in); string(rest) != "behind" {
			t.Fatalf("left behind: %q", rest)
		}
	})
}

func TestHeadLimitIsExact(t *testing.T) {
	const limit = 64 << 10
	fixed := "HTTP/1.1 200 OK\r\nX: \r\n\r\n"
	for size, ok := range map[int]bool{limit: true, limit + 1: false} {
		raw := strings.Replace(fixed, "X: ", "X: "+strings.Repeat("y", size-len(fixed)), 1)
		err := readHead(&conn{in: inbox{src: strings.NewReader(raw)}}, limit, new(head))
		if ok != (err == nil) || !ok && !errors.Is(err, errHeadTooLarge) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

func BenchmarkParseHead(b *testing.B) {
	block := []byte("HTTP/1.1 200 OK\r\nDate: Fri, 20 Nov 2026 12:00:00 GMT\r\nServer: nginx\r\nContent-Type: text/html; charset=utf-8\r\n" +
		"Content-Length: 10240\r\nLast-Modified: Thu, 19 Nov 2026 12:00:00 GMT\r\nEtag: \"5f3-abc\"\r\nCache-Control: max-age=3600\r\nAccept-Ranges: bytes\r\n\r\n")
	b.ReportAllocs()
	b.SetBytes(int64(len(block)))
	for b.Loop() {
		if _, err := parseHead(block); err != nil {
			b.Fatal(err)
		}
	}
}
