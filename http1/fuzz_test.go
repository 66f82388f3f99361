package http1

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/textproto"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/cachenode/cachenode/internal/hostile"
)

var fuzzLimits = limits{head: 64 << 10, uri: 16 << 10, fields: 200}

var goodHeads = []string{
	"GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET http://x:80/a?b HTTP/1.1\r\nhost: [::1]:80\r\nX-A:\r\nX-A: \t b \t\r\n\r\n",
	"POST /a HTTP/1.1\r\nHost: \r\nContent-Length: 5\r\nConnection: x, Close\r\n\r\nabcde",
	"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\nTrailer: X-T\r\n\r\n3;a=\"b\"\r\nabc\r\n0\r\nX-T: 1\r\n\r\n",
	"\r\nOPTIONS * HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\n\r\n",
	"CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n",
	"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
	"GET /a HTTP/1.7\r\nHost: x\r\nX: \x80\xff\r\n\r\n",
}

// What is accepted, net/http reads as the same message: method, target, fields
// and body. A head that is given in two pieces is read as in one.
func FuzzRequest(f *testing.F) {
	for _, s := range goodHeads {
		f.Add([]byte(s))
	}
	f.Add([]byte("POST /a HTTP/1.1\r\nHost: x\r\nTrailer: X-T\r\n\r\n"))
	for _, q := range hostile.Requests("/a") {
		f.Add([]byte(q.Bytes))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var r Request
		ok, bad := r.parse(in, &fuzzLimits)
		if ok && bad != nil {
			t.Fatal("accepted, with a problem")
		}
		if !ok {
			return
		}
		for cut := range r.HeadLen {
			var part Request
			if ok, bad := part.parse(in[:cut], &fuzzLimits); ok || bad != nil {
				t.Fatalf("%q of it is %v, %v", in[:cut], ok, bad)
			}
		}
		sameAsNetHTTP(t, in, &r)
	})
}

func sameAsNetHTTP(t *testing.T, in []byte, r *Request) {
	t.Helper()
	// net/http takes no empty line in front, and no other minor version for ours.
	text := bytes.TrimPrefix(in, []byte("\r\n"))
	br := bufio.NewReader(bytes.NewReader(text))
	q, err := http.ReadRequest(br)
	if err != nil {
		if _, urlErr := targetURL(string(r.Method), string(r.Target)); urlErr != nil {
			return // build refuses it
		}
		t.Fatalf("net/http refuses %q: %v", in, err)
	}
	if q.Method != string(r.Method) || q.RequestURI != string(r.Target) || min(q.ProtoMinor, 1) != r.Minor || q.ProtoMajor != 1 {
		t.Fatalf("net/http reads %s %s %s, not %s %s %d", q.Method, q.RequestURI, q.Proto, r.Method, r.Target, r.Minor)
	}
	if q.ContentLength != r.Length {
		t.Fatalf("net/http reads a body of %d, not %d, of %q", q.ContentLength, r.Length, in)
	}
	if u, err := targetURL(q.Method, q.RequestURI); err != nil || u.String() != q.URL.String() {
		t.Fatalf("net/http reads the URL %v, not %v, %v", q.URL, u, err)
	}
	if want := string(r.Host); q.URL.Host == "" && q.Host != want {
		t.Fatalf("net/http reads the host %q, not %q", q.Host, want)
	}
	got := http.Header{}
	for _, f := range r.Fields {
		name := textproto.CanonicalMIMEHeaderKey(string(f.Name))
		got[name] = append(got[name], string(f.Value))
	}
	for _, name := range []string{"Host", "Transfer-Encoding", "Trailer"} {
		delete(got, name)
		delete(q.Header, name) // net/http moves it when there are chunks
	}
	if _, ok := got["Cache-Control"]; !ok && len(got["Pragma"]) > 0 && got["Pragma"][0] == "no-cache" {
		delete(q.Header, "Cache-Control") // made up by net/http
	}
	for name, v := range got {
		if !slices.Equal(q.Header[name], v) {
			t.Fatalf("net/http reads %s: %q, not %q", name, q.Header[name], v)
		}
	}
	if len(q.Header) != len(got) {
		t.Fatalf("net/http reads %v, not %v", q.Header, got)
	}
	sameBody(t, q, in[r.HeadLen:], r)
}

// sameBody compares what the rest of the input is as a body.
func sameBody(t *testing.T, q *http.Request, rest []byte, r *Request) {
	t.Helper()
	if r.Length >= 0 {
		return
	}
	got, took, err := decodeAll(rest, len(rest)+1)
	if !errors.Is(err, io.EOF) {
		return // refused, or not whole
	}
	want, err := io.ReadAll(q.Body)
	if err != nil {
		if _, bad := (&chunks{trailer: trailerOf(rest[:took])}).fields(200); bad != nil || strings.Contains(err.Error(), "http: chunked line with too much") {
			return
		}
		t.Fatalf("net/http refuses the body of %q: %v", rest, err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("net/http reads the body %q, not %q", want, got)
	}
}

func trailerOf(body []byte) []byte {
	d := chunks{limit: 64 << 10, discard: true}
	_, _, _ = d.decode(nil, body)
	return d.trailer
}

// decodeAll decodes with a buffer of the given size for each step.
func decodeAll(in []byte, room int) (out []byte, took int, err error) {
	d := chunks{limit: 64 << 10}
	buf := make([]byte, room)
	for err == nil && took < len(in) {
		var put, n int
		put, n, err = d.decode(buf, in[took:])
		out, took = append(out, buf[:put]...), took+n
	}
	return out, took, err
}

// However the bytes arrive and are asked for, the result is the same; what is
// accepted, net/http accepts as the same bytes.
func FuzzChunks(f *testing.F) {
	for _, q := range hostile.Requests("/a") {
		if _, body, ok := strings.Cut(q.Bytes, "\r\n\r\n"); ok && strings.HasPrefix(q.Name, "chunks: ") {
			f.Add([]byte(body), uint8(3))
		}
	}
	f.Add([]byte("3\r\nabc\r\n0\r\n\r\n"), uint8(1))
	f.Add([]byte("3;a=b\r\nabc\r\nA\r\n0123456789\r\n000\r\nX: y\r\n\r\nGET"), uint8(7))
	f.Fuzz(func(t *testing.T, in []byte, step uint8) {
		want, took, wantErr := decodeAll(in, len(in)+1)
		room := int(step)%17 + 1
		got, took2, err := decodeAll(in, room)
		if !bytes.Equal(got, want) || took2 != took || fmt.Sprint(err) != fmt.Sprint(wantErr) {
			t.Fatalf("in steps of %d: %q, %d, %v, not %q, %d, %v", room, got, took2, err, want, took, wantErr)
		}
		d, look := chunks{limit: 64 << 10}, chunks{limit: 64 << 10, discard: true}
		var out, buf = []byte(nil), make([]byte, len(in)+1)
		var each error
		for i := 0; i < len(in) && each == nil; i++ {
			var put int
			put, _, each = d.decode(buf, in[i:i+1])
			out = append(out, buf[:put]...)
		}
		if !bytes.Equal(out, want) || fmt.Sprint(each) != fmt.Sprint(wantErr) {
			t.Fatalf("byte by byte: %q, %v, not %q, %v", out, each, want, wantErr)
		}
		if _, n, err := look.decode(nil, in); n != took || fmt.Sprint(err) != fmt.Sprint(wantErr) {
			t.Fatalf("looked at: %d, %v, not %d, %v", n, err, took, wantErr)
		}
		if !errors.Is(wantErr, io.EOF) {
			return
		}
		theirs, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(in)))
		if !bytes.Equal(theirs, want) || err != nil && !strings.Contains(err.Error(), "too much overhead") && !strings.Contains(err.Error(), "line too long") {
			t.Fatalf("net/http reads %q, %v, not %q", theirs, err, want)
		}
	})
}

// Every request that is fine by the grammar is accepted, and read as net/http
// reads it.
func TestValidRequests(t *testing.T) {
	token := rapid.StringMatching("[A-Za-z0-9!#$%&'*+.^_`|~-]{1,12}")
	value := rapid.StringMatching("([!-~]([ \t!-~]{0,30}[!-~])?)?")
	rapid.Check(t, func(rt *rapid.T) {
		var b strings.Builder
		method := rapid.SampledFrom([]string{"GET", "HEAD", "POST", "M-SEARCH", "get"}).Draw(rt, "method")
		target := rapid.SampledFrom([]string{"/", "http://x", "https://x:1/"}).Draw(rt, "start") + rapid.StringMatching("[a-zA-Z0-9._~!$&'()*+,;=:@/?|^{}<>\"-]{0,40}").Draw(rt, "rest")
		fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: x\r\n", method, target)
		for range rapid.IntRange(0, 10).Draw(rt, "fields") {
			name := token.Draw(rt, "name")
			switch strings.ToLower(name) {
			case "host", "content-length", "transfer-encoding", "expect", "trailer":
				continue
			}
			fmt.Fprintf(&b, "%s:%s%s%s\r\n", name, rapid.SampledFrom([]string{"", " ", "\t "}).Draw(rt, "ows"), value.Draw(rt, "value"), rapid.SampledFrom([]string{"", " "}).Draw(rt, "end"))
		}
		b.WriteString("\r\n")
		var r Request
		ok, bad := r.parse([]byte(b.String()), &fuzzLimits)
		if bad == badTarget {
			return
		}
		if !ok {
			rt.Fatalf("%q is refused: %v", b.String(), bad)
		}
		sameAsNetHTTP(t, []byte(b.String()), &r)
	})
}

func FuzzHost(f *testing.F) {
	for _, s := range []string{"", "x", "x:80", "[::1]:80", "x:", "a,b", "%41", "[::ffff:1.2.3.4]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, host string) {
		if validHost([]byte(host)) && strings.ContainsAny(host, " /\\@?#,\"<>\x00\r\n\t") {
			t.Fatalf("%q is taken for a host", host)
		}
	})
}
