package scenario

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// SIGHUP puts a changed file into force; one with errors changes nothing.
func TestReload(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	library(o)
	path := config(t, "acl: {allow_from: [127.0.0.0/8]}\n")
	n := start(t, "--config", path)
	rewrite := func(text string) {
		t.Helper()
		must(t, os.WriteFile(path, []byte(text), 0o600))
		n.signal(syscall.SIGHUP)
	}
	n.get(o.url("/1")).want(t, 200, "", volume("/1"))

	rewrite("acl: {allow_from: [192.0.2.0/24]}\n")
	n.says(`configuration reloaded" applied=\[acl.allow_from\]`)
	n.get(o.url("/1")).wantError(t, 403, "ERR_ACCESS_DENIED", "http_request_denied")

	rewrite("acl: {alow_from: [127.0.0.0/8]}\n")
	n.says(`the configuration stays as it was" error=".*did you mean`)
	n.get(o.url("/1")).wantError(t, 403, "ERR_ACCESS_DENIED", "http_request_denied")
	if code, out := n.command("status"); code != 0 || !strings.Contains(out, "refused: ") {
		t.Errorf("status does not show the refused reload: %d\n%s", code, out)
	}

	rewrite("acl: {allow_from: [127.0.0.0/8]}\nserver: {idle_timeout: 1m}\n")
	n.says(`needs_restart=\[server.idle_timeout\]`)
	n.get(o.url("/1")).want(t, 200, "hit", volume("/1"))
}

// What 'config example' prints is a configuration, and the one in force.
func TestExampleConfigurationRuns(t *testing.T) {
	t.Parallel()
	n := start(t)
	code, example := n.command("config", "example")
	if code != 0 {
		t.Fatalf("exit %d", code)
	}
	path := file(t, "example.yaml", example)
	if code, out := n.command("config", "check", path); code != 0 || out != "" {
		t.Errorf("config check: exit %d\n%s", code, out)
	}
	o := newOrigin(t)
	library(o)
	m := start(t, "--config", path)
	m.get(o.url("/1")).want(t, 200, "fwd=uri-miss", volume("/1"))
	if code, out := m.command("config", "show", "--config", path); code != 0 || !strings.Contains(out, "max_connections:") {
		t.Errorf("config show: exit %d\n%s", code, out)
	}
}

// An upload under way when the node is told to stop arrives whole.
func TestStopDuringAnUpload(t *testing.T) {
	t.Parallel()
	n, o := start(t), newOrigin(t)
	o.page("/up", sums)
	c := n.dial()
	body := pattern(1_000_000)
	fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", o.url("/up"), len(body), body[:1000])
	eventually(t, "upload at the origin", func() bool { return o.asked("/up") == 1 })
	n.signal(syscall.SIGTERM)
	n.says("stopping: 1 request")
	_, err := io.WriteString(c, body[1000:])
	must(t, err)
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	must(t, err)
	answer, err := io.ReadAll(r.Body)
	must(t, err)
	wantIn(t, string(answer), "size=1000000 ")
	if code := n.exits(); code != 0 {
		t.Errorf("exit %d", code)
	}
}

// SIGUSR1 lets another program rotate the access log without a line lost.
func TestLogIsReopened(t *testing.T) {
	t.Parallel()
	n, o := start(t), newOrigin(t)
	library(o)
	n.get(o.url("/1"))
	n.log(1)
	n.get(o.url("/2")) // perhaps not written yet
	must(t, os.Rename(n.logs, n.logs+".old"))
	n.signal(syscall.SIGUSR1)
	n.says("access log reopened")
	n.get(o.url("/3"))
	if log := n.log(1); len(log) != 1 || log[0].url != o.url("/3") {
		t.Errorf("the new log has %+v", log)
	}
	old, err := os.ReadFile(n.logs + ".old")
	must(t, err)
	if strings.Count(string(old), "\n") != 2 {
		t.Errorf("the old log has\n%s", old)
	}
}

// slowly serves the first half of a body at once and the rest when told.
func slowly(body string, more <-chan struct{}) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		_, _ = io.WriteString(w, body[:len(body)/2])
		w.(http.Flusher).Flush()
		select {
		case <-more:
		case <-r.Context().Done():
		}
		_, _ = io.WriteString(w, body[len(body)/2:])
	}
}

// download begins to read a URL and returns a function that reads the rest.
func (n *node) download(target string) (rest func() (string, error)) {
	n.t.Helper()
	r, err := n.client().Do(request(n.t, http.MethodGet, target, nil))
	must(n.t, err)
	n.t.Cleanup(func() { r.Body.Close() })
	first := make([]byte, 1000)
	_, err = io.ReadFull(r.Body, first)
	must(n.t, err)
	return func() (string, error) {
		b, err := io.ReadAll(r.Body)
		return string(first) + string(b), err
	}
}

// Ctrl-C lets a download end, and nothing new begin.
func TestCtrlCDuringADownload(t *testing.T) {
	t.Parallel()
	n, o := start(t), newOrigin(t)
	body, more := pattern(500_000), make(chan struct{})
	o.page("/big", slowly(body, more))
	rest := n.download(o.url("/big"))
	n.signal(syscall.SIGINT)
	n.says("stopping: 1 request in flight may end within 30s")
	eventually(t, "closed port", func() bool {
		c, err := net.Dial("tcp", n.proxy)
		if err == nil {
			c.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	})
	if r := fetch(t, "http://"+n.admin+"/readyz"); r.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("/readyz answers %s while the node stops", r.Status)
	}
	close(more)
	if got, err := rest(); got != body || err != nil {
		t.Errorf("%d of %d bytes, %v", len(got), len(body), err)
	}
	if code := n.exits(); code != 0 {
		t.Errorf("exit %d", code)
	}
	if log := n.log(1); len(log) != 1 || log[0].bytes < int64(len(body)) || log[0].result != "TCP_MISS" {
		t.Errorf("log %+v", log)
	}
}

// A second Ctrl-C cuts what is left, visibly.
func TestSecondCtrlC(t *testing.T) {
	t.Parallel()
	n, o := start(t), newOrigin(t)
	more := make(chan struct{})
	defer close(more)
	o.page("/big", slowly(pattern(500_000), more))
	rest := n.download(o.url("/big"))
	n.signal(syscall.SIGINT)
	n.says("stopping: 1 request")
	time.Sleep(500 * time.Millisecond) // sooner it counts as the same wish
	n.signal(syscall.SIGINT)
	n.says("stopping now")
	if _, err := rest(); err == nil {
		t.Error("a download that was cut looks whole")
	}
	if code := n.exits(); code != 0 {
		t.Errorf("exit %d", code)
	}
	if log := n.log(1); len(log) != 1 || log[0].result != "TCP_MISS_ABORTED" {
		t.Errorf("log %+v", log)
	}
}

// Many tunnels hold up a stop until its deadline, unharmed; then they are cut
// and the node ends in order.
func TestTunnelsUntilTheDeadline(t *testing.T) {
	t.Parallel()
	echo := server(t, func(c net.Conn) { _, _ = io.Copy(c, c) })
	const deadline = 3 * time.Second
	n := start(t, "--config", config(t, "stop_timeout: %v\n", deadline))
	const count = 500
	type end struct {
		net.Conn
		*bufio.Reader
	}
	tunnels := make([]end, count)
	for i := range tunnels {
		c, br := n.tunnel(echo)
		tunnels[i] = end{c, br}
	}
	echoes := func() (broken int) {
		for _, e := range tunnels {
			_, werr := io.WriteString(e.Conn, "ping")
			b := make([]byte, 4)
			if _, err := io.ReadFull(e.Reader, b); werr != nil || err != nil || string(b) != "ping" {
				broken++
			}
		}
		return broken
	}
	if broken := echoes(); broken != 0 {
		t.Fatalf("%d tunnels do not work", broken)
	}
	began := time.Now()
	n.signal(syscall.SIGTERM)
	n.says("stopping: 500 requests in flight")
	// On a machine that is slower than the deadline this says nothing.
	if broken := echoes(); broken != 0 && time.Since(began) < deadline {
		t.Errorf("%d tunnels broke before the deadline", broken)
	}
	if code := n.exits(); code != 0 {
		t.Errorf("exit %d", code)
	}
	if took := time.Since(began); took < deadline {
		t.Errorf("the node did not wait for the tunnels: %v", took)
	}
	log := n.log(0) // the process has ended: nothing is added any more
	for _, e := range log {
		if e.result != "TCP_TUNNEL_ABORTED" || e.method != "CONNECT" {
			t.Fatalf("log %+v", e)
		}
	}
	if len(log) != count {
		t.Errorf("%d of %d tunnels are in the access log", len(log), count)
	}
}
