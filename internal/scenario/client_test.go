package scenario

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// reply is a response with all of its body.
type reply struct {
	*http.Response
	text string
	err  error // of reading the body
}

// client asks through the node. It sends nothing of its own, follows nothing
// and decompresses nothing.
func (n *node) client() *http.Client {
	tr := &http.Transport{
		Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: n.proxy}), DisableCompression: true, MaxIdleConnsPerHost: 64,
	}
	n.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{
		Transport:     tr,
		Timeout:       2 * patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// request makes a request of a method, a URL and header lines.
func request(t testing.TB, method, target string, body io.Reader, lines ...string) *http.Request {
	t.Helper()
	q, err := http.NewRequestWithContext(context.Background(), method, target, body)
	must(t, err)
	q.Header["User-Agent"] = nil
	for _, l := range lines {
		k, v, _ := strings.Cut(l, ": ")
		q.Header.Add(k, v)
	}
	return q
}

// ask sends a request through c and reads all of the answer.
func ask(c *http.Client, q *http.Request) (*reply, error) {
	r, err := c.Do(q)
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	return &reply{r, string(b), err}, nil
}

// get asks the node for a URL on a connection of its own.
func (n *node) get(target string, lines ...string) *reply {
	n.t.Helper()
	c := n.client()
	defer c.CloseIdleConnections()
	r, err := ask(c, request(n.t, http.MethodGet, target, nil, lines...))
	must(n.t, err)
	return r
}

// stored asks the node for what it has, without asking the origin.
func (n *node) stored(target string) *reply {
	n.t.Helper()
	return n.get(target, "Cache-Control: only-if-cached")
}

// want checks the status, what this node's member of Cache-Status begins with
// ("": anything) and the body.
func (r *reply) want(t testing.TB, status int, cacheStatus, body string) {
	t.Helper()
	if r.StatusCode != status || r.err != nil {
		t.Errorf("status %d (body error %v), want %d\n%v\n%s", r.StatusCode, r.err, status, r.Header, clip(r.text, 400))
	}
	if got := r.Header.Get("Cache-Status"); cacheStatus != "" && !strings.HasPrefix(got, "n1; "+cacheStatus) {
		t.Errorf("Cache-Status %q, want n1; %s", got, cacheStatus)
	}
	if r.text != body {
		t.Errorf("%d bytes of body (%q), want %d (%q)", len(r.text), clip(r.text, 100), len(body), clip(body, 100))
	}
}

// wantError checks an error page of the proxy's own.
func (r *reply) wantError(t testing.TB, status int, page, proxyStatus string) {
	t.Helper()
	if r.StatusCode != status || !strings.Contains(r.text, page) ||
		!strings.HasPrefix(r.Header.Get("Proxy-Status"), "n1; error="+proxyStatus) {
		t.Errorf("status %d, Proxy-Status %q, want %d, %s, %s\n%s",
			r.StatusCode, r.Header.Get("Proxy-Status"), status, page, proxyStatus, clip(r.text, 800))
	}
	if strings.Contains(r.text, "dial tcp") || strings.Contains(r.text, "goroutine") {
		t.Errorf("the page shows an error of the runtime: %s", r.text)
	}
}

// dial opens a connection to the proxy.
func (n *node) dial() net.Conn {
	n.t.Helper()
	c, err := net.Dial("tcp", n.proxy)
	must(n.t, err)
	must(n.t, c.SetDeadline(time.Now().Add(2*patience)))
	n.t.Cleanup(func() { c.Close() })
	return c
}

// raw sends bytes as they are and returns all that comes back before the proxy
// closes the connection.
func (n *node) raw(format string, args ...any) string {
	n.t.Helper()
	c := n.dial()
	defer c.Close()
	_, err := fmt.Fprintf(c, format, args...)
	must(n.t, err)
	out, err := io.ReadAll(c)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		n.t.Fatalf("the proxy neither answered nor closed; so far %q", out)
	}
	return string(out)
}

// tunnel opens a CONNECT tunnel to an address.
func (n *node) tunnel(to string) (net.Conn, *bufio.Reader) {
	n.t.Helper()
	c := n.dial()
	_, err := fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", to, to)
	must(n.t, err)
	br := bufio.NewReader(c)
	r, err := http.ReadResponse(br, &http.Request{Method: http.MethodConnect})
	must(n.t, err)
	if r.StatusCode != http.StatusOK {
		n.t.Fatalf("CONNECT answered %s", r.Status)
	}
	return c, br
}

// curl runs curl through the node and returns what it wrote, both streams.
func (n *node) curl(args ...string) (out string, code int) {
	n.t.Helper()
	return curl(n.t, append([]string{"-x", "http://" + n.proxy}, args...)...)
}

func curl(t *testing.T, args ...string) (out string, code int) {
	t.Helper()
	c := exec.Command(wants(t, "curl"), append([]string{"-q", "-sS", "--max-time", "60"}, args...)...)
	c.Env = []string{"PATH=/usr/bin:/bin", "HOME=/nonexistent"}
	b, err := c.CombinedOutput()
	if c.ProcessState == nil {
		t.Fatal(err)
	}
	return string(b), c.ProcessState.ExitCode()
}
