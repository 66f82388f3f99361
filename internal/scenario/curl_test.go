package scenario

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func wantIn(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("no %q in\n%s", p, clip(text, 2000))
		}
	}
}

// The second request for a page is answered from the store, and says so.
func TestCurlMissThenHit(t *testing.T) {
	t.Parallel()
	n, o := start(t), newOrigin(t)
	o.page("/a", fresh("hello\n", `ETag: "1"`))
	first, _ := n.curl("-i", o.url("/a"))
	wantIn(t, first, "HTTP/1.1 200 OK", "hello\n", "Via: 1.1 n1 (cachenode)", "Cache-Status: n1; fwd=uri-miss; fwd-status=200; stored", `Etag: "1"`)
	second, _ := n.curl("-i", o.url("/a"))
	wantIn(t, second, "HTTP/1.1 200 OK", "hello\n", "Via: 1.1 n1 (cachenode)", "Cache-Status: n1; hit; ttl=", "Age: ", `Etag: "1"`)
	head, _ := n.curl("-I", o.url("/a"))
	wantIn(t, head, "HTTP/1.1 200 OK", "Content-Length: 6\r\n", "n1; hit")
	part, _ := n.curl("-i", "-r", "1-3", o.url("/a"))
	wantIn(t, part, "HTTP/1.1 206 ", "Content-Range: bytes 1-3/6", "\r\n\r\nell", "n1; hit")
	not, _ := n.curl("-i", "-H", `If-None-Match: "1"`, o.url("/a"))
	wantIn(t, not, "HTTP/1.1 304 ", "n1; hit")
	old, _ := n.curl("-i", "--http1.0", o.url("/a"))
	wantIn(t, old, " 200 OK", "hello\n")
	if n := o.asked("/a"); n != 1 {
		t.Errorf("the origin was asked %d times", n)
	}
	log := n.log(6)
	for i, want := range []string{"TCP_MISS/200", "TCP_MEM_HIT/200", "TCP_MEM_HIT/200", "TCP_MEM_HIT/206", "TCP_INM_HIT/304", "TCP_MEM_HIT/200"} {
		if got := log[i].result + "/" + log[i].status; got != want {
			t.Errorf("line %d says %s, want %s", i, got, want)
		}
	}
	if log[0].hier != "HIER_DIRECT/127.0.0.1" || log[1].hier != "HIER_NONE/-" {
		t.Errorf("hierarchy %s, %s", log[0].hier, log[1].hier)
	}
}

// sums answers with what it was sent: length field, coding, and a hash.
func sums(w http.ResponseWriter, r *http.Request) {
	h := sha256.New()
	size, err := io.Copy(h, r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	fmt.Fprintf(w, "length=%d te=%v size=%d sha=%s\n", r.ContentLength, r.TransferEncoding, size, hex.EncodeToString(h.Sum(nil)))
}

// Bodies of requests are streamed with the framing they came with.
func TestCurlUploads(t *testing.T) {
	t.Parallel()
	wants(t, "curl")
	n, o := start(t), newOrigin(t)
	o.page("/up", sums)
	body := pattern(5_000_000)
	sum := sha256.Sum256([]byte(body))
	path := file(t, "body", body)
	for name, args := range map[string][]string{
		"post":     {"--data-binary", "@" + path},
		"put":      {"-T", path},
		"expect":   {"-T", path, "-H", "Expect: 100-continue"},
		"chunked":  {"-T", path, "-H", "Transfer-Encoding: chunked"},
		"old http": {"--http1.0", "--data-binary", "@" + path},
	} {
		t.Run(name, func(t *testing.T) {
			out, code := n.curl(append(args, o.url("/up"))...)
			want := "length=5000000 te=[] size=5000000"
			if name == "chunked" {
				want = "length=-1 te=[chunked] size=5000000"
			}
			wantIn(t, out, want, hex.EncodeToString(sum[:]))
			if code != 0 {
				t.Errorf("curl ends with %d", code)
			}
		})
	}
}

// A request body is on its way to the origin before the client has sent all.
func TestUploadStreams(t *testing.T) {
	t.Parallel()
	n, o := start(t), newOrigin(t)
	first := make(chan string, 1)
	o.page("/up", func(w http.ResponseWriter, r *http.Request) {
		b := make([]byte, 5)
		_, _ = io.ReadFull(r.Body, b) // what came is compared
		first <- string(b)
		sums(w, r)
	})
	c := n.dial()
	fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 10\r\n\r\nfirst", o.url("/up"))
	select {
	case got := <-first:
		if got != "first" {
			t.Errorf("the origin got %q", got)
		}
	case <-time.After(patience):
		t.Fatal("the origin got nothing before the whole body was there")
	}
	io.WriteString(c, "later")
	out, err := io.ReadAll(c)
	must(t, err)
	wantIn(t, string(out), "size=5 ")
}

func TestIPv6Origin(t *testing.T) {
	t.Parallel()
	probe, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("no IPv6 on loopback")
	}
	probe.Close()
	n, o := start(t), newOriginOn(t, "[::1]:0")
	o.page("/six", fresh("over six\n"))
	out, _ := n.curl("-g", "-i", o.url("/six"))
	wantIn(t, out, "over six", "fwd=uri-miss")
	out, _ = n.curl("-g", "-i", o.url("/six"))
	wantIn(t, out, "over six", "n1; hit")
	if log := n.log(2); log[0].hier != "HIER_DIRECT/::1" || log[0].url != o.url("/six") {
		t.Errorf("log %+v", log[0])
	}
}

// caFile is the certificate of a TLS origin, for those who shall trust it.
func (o *origin) caFile(t *testing.T) string {
	t.Helper()
	b := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: o.srv.Certificate().Raw})
	return file(t, "ca.pem", string(b))
}

// A client that asks for an https URL in the clear gets verified TLS to the
// origin, and the store.
func TestAbsoluteHTTPS(t *testing.T) {
	t.Parallel()
	o := newTLSOrigin(t)
	o.page("/s", fresh("secret page\n"))
	n := start(t, "--config", config(t, "proxy: {upstream: {tls: {ca_file: %q}}}\n", o.caFile(t)))
	for _, want := range []string{"fwd=uri-miss; fwd-status=200; stored", "hit"} {
		got := n.raw("GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", o.url("/s"))
		wantIn(t, got, "HTTP/1.1 200 ", "Cache-Status: n1; "+want, "secret page\n")
	}
	if log := n.log(2); log[0].url != o.url("/s") || log[1].result != "TCP_MEM_HIT" {
		t.Errorf("log %+v", log)
	}
}

// An origin whose certificate nobody vouches for is not believed.
func TestUntrustedCertificate(t *testing.T) {
	t.Parallel()
	n, o := start(t), newTLSOrigin(t)
	o.page("/s", fresh("secret page\n"))
	got := n.raw("GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", o.url("/s"))
	wantIn(t, got, "HTTP/1.1 502 ", "ERR_SECURE_CONNECT_FAIL", "Proxy-Status: n1; error=tls_certificate_error")
	if o.asked("*") != 0 {
		t.Error("the request was sent nevertheless")
	}
}

// Nor is one whose certificate is another's.
func TestCertificateOfAnother(t *testing.T) {
	t.Parallel()
	o, names := newTLSOrigin(t), newNameServer(t)
	names.answer("other.test.", "127.0.0.1")
	o.page("/s", fresh("secret page\n"))
	n := start(t, "--config", config(t, "proxy: {upstream: {tls: {ca_file: %q}}}\ndns: {servers: [%q], hosts: \"\"}\n", o.caFile(t), names.addr))
	_, port, err := net.SplitHostPort(o.addr())
	must(t, err)
	got := n.raw("GET https://other.test:%s/s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", port)
	wantIn(t, got, "HTTP/1.1 502 ", "ERR_SECURE_CONNECT_FAIL", "Proxy-Status: n1; error=tls_certificate_error")
	if o.asked("*") != 0 {
		t.Error("the request was sent nevertheless")
	}
}

// TLS inside a CONNECT tunnel is between curl and the origin.
func TestCurlTunnel(t *testing.T) {
	t.Parallel()
	n, o := start(t), newTLSOrigin(t)
	o.page("/in", fresh("inside\n"))
	out, code := n.curl("-i", "--cacert", o.caFile(t), o.url("/in"))
	wantIn(t, out, "200", "inside\n")
	if code != 0 || strings.Count(out, "Via:") > 1 {
		t.Errorf("curl ends with %d\n%s", code, out)
	}
	if via := o.last("/in").Get("Via"); via != "" {
		t.Errorf("the proxy looked into the tunnel: Via %q", via)
	}
	e := n.log(1)[0]
	// _ABORTED: curl may end its side with a reset
	if strings.TrimSuffix(e.result, "_ABORTED") != "TCP_TUNNEL" || e.status != "200" || e.method != "CONNECT" || e.url != o.addr() || e.hier != "HIER_DIRECT/127.0.0.1" || e.bytes < 500 {
		t.Errorf("log %+v", e)
	}
	out, _ = n.curl("https://127.0.0.1:25/")
	wantIn(t, out, "403")
}

// A password is asked for, and is seen by nobody but the proxy.
func TestProxyAuthentication(t *testing.T) {
	t.Parallel()
	users := file(t, "users", "ada:{SHA}NXgjGZS4jvyCh+UZkTfppEl+31Q=\n") // s3cr3t-w0rd
	o := newOrigin(t)
	o.page("/p", fresh("for ada\n"))
	n := start(t, "--config", config(t, "acl: {auth: {htpasswd: %q, realm: the office}}\n", users))

	out, _ := n.curl("-i", o.url("/p"))
	wantIn(t, out, "HTTP/1.1 407 ", `Proxy-Authenticate: Basic realm="the office"`, "ERR_CACHE_ACCESS_DENIED")
	out, _ = n.curl("-i", "--proxy-user", "ada:wrong-w0rd", o.url("/p"))
	wantIn(t, out, "HTTP/1.1 407 ")
	out, _ = n.curl("-i", "--proxy-user", "ada:s3cr3t-w0rd", o.url("/p"))
	wantIn(t, out, "HTTP/1.1 200 ", "for ada\n")
	out, _ = n.curl("-i", "--proxy-user", "ada:s3cr3t-w0rd", "https://127.0.0.1:25/")
	wantIn(t, out, "403")

	if got := o.last("/p"); got.Get("Proxy-Authorization") != "" || got.Get("Authorization") != "" {
		t.Errorf("the origin saw %v", got)
	}
	if o.asked("/p") != 1 {
		t.Errorf("the origin was asked %d times", o.asked("/p"))
	}
	log := n.log(4)
	if log[2].user != "ada" || log[0].user != "-" || log[0].result != "TCP_DENIED" || log[0].status != "407" {
		t.Errorf("log %+v", log)
	}
	for _, secret := range []string{"s3cr3t", "wrong-w0rd", "YWRhOn"} {
		for _, path := range []string{n.logs, filepath.Join(n.data, "index"), filepath.Join(n.data, "segments")} {
			_ = filepath.WalkDir(path, func(p string, d os.DirEntry, err error) error {
				if b, err := os.ReadFile(p); err == nil && strings.Contains(string(b), secret) {
					t.Errorf("%s is in %s", secret, p)
				}
				return nil
			})
		}
		if strings.Contains(n.out.String(), secret) {
			t.Errorf("%s is in the node's log", secret)
		}
	}
}

// Guessing passwords is slowed down, for who guesses only.
func TestPasswordsAreNotGuessed(t *testing.T) {
	t.Parallel()
	users := file(t, "users", "ada:{SHA}NXgjGZS4jvyCh+UZkTfppEl+31Q=\n")
	n := start(t, "--config", config(t, "acl: {auth: {htpasswd: %q, free_failures: 3}}\n", users))
	o := newOrigin(t)
	o.page("/p", fresh("for ada\n"))
	as := func(password string) *reply {
		return n.get(o.url("/p"), "Proxy-Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte("ada:"+password)))
	}
	as("s3cr3t-w0rd").want(t, 200, "", "for ada\n")
	answers := map[int]int{}
	for i := range 20 {
		r := as(fmt.Sprintf("guess%d", i))
		answers[r.StatusCode]++
		if r.StatusCode == http.StatusTooManyRequests && r.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
	if answers[407] == 0 || answers[429] < 10 || answers[407]+answers[429] != 20 {
		t.Errorf("answers by status: %v", answers)
	}
}

// A proxy of the environment is for clients: a proxy that took it for itself
// would send its requests in circles.
func TestProxyInEnvironmentIsIgnored(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	o.page("/a", fresh("direct\n"))
	dead := "http://" + freePort(t)
	n := startWith(t, setup{env: []string{
		"HTTP_PROXY=" + dead, "http_proxy=" + dead, "HTTPS_PROXY=" + dead, "https_proxy=" + dead, "ALL_PROXY=" + dead, "NO_PROXY=", "no_proxy=",
	}})
	n.get(o.url("/a")).want(t, 200, "fwd=uri-miss", "direct\n")
}
