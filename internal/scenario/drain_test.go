package scenario

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cachenode/cachenode/internal/transcript"
)

// drainState asks a node how a drain goes.
func (n *node) drainState(of string) (d struct {
	State, VIP, Message string
	Connections, Cut    int
}) {
	n.t.Helper()
	r := n.api("/api/v1/drain?node=" + of)
	if err := json.Unmarshal([]byte(r.text), &d); err != nil || r.StatusCode != http.StatusOK {
		n.t.Fatalf("%s %s", r.Status, r.text)
	}
	return d
}

// process is a command of the command line that runs beside the test.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	out  *transcript.Transcript
	done chan struct{}
}

// beside starts a command against this node's directory.
func (n *node) beside(args ...string) *process {
	n.t.Helper()
	p := &process{t: n.t, out: &transcript.Transcript{}, done: make(chan struct{})}
	p.cmd = exec.Command(filepath.Join(bin, "cachenode"), append(args, "--data", n.data)...)
	p.cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=50")
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	must(n.t, p.cmd.Start())
	go func() {
		_ = p.cmd.Wait() // its state says how it ended
		close(p.done)
	}()
	n.t.Cleanup(func() { _ = p.cmd.Process.Kill(); <-p.done })
	return p
}

func (p *process) says(text string) {
	p.t.Helper()
	eventually(p.t, "the command says "+text, func() bool { return strings.Contains(p.out.String(), text) })
}

// ends waits for the end and wants an exit code.
func (p *process) ends(code int) string {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Fatalf("the command does not end; it said\n%s", p.out)
	}
	if got := p.cmd.ProcessState.ExitCode(); got != code {
		p.t.Errorf("exit %d, want %d; it said\n%s", got, code, p.out)
	}
	return p.out.String()
}

// A drain lets tunnels and downloads end, tells clients to connect anew, refuses
// nobody, and can be watched, left alone and taken back.
func TestDrain(t *testing.T) {
	t.Parallel()
	n, o := start(t), newOrigin(t)
	library(o)
	body, more := pattern(500_000), make(chan struct{})
	o.page("/big", slowly(body, more))
	echo := server(t, func(c net.Conn) { _, _ = io.Copy(c, c) })
	if code, out := n.here("drain", "--monitor"); code != 1 || !strings.Contains(out, "n1 is not draining") {
		t.Errorf("monitor without a drain: %d %s", code, out)
	}
	const count = 20
	type end struct {
		net.Conn
		*bufio.Reader
	}
	var tunnels []end
	for range count {
		c, br := n.tunnel(echo)
		tunnels = append(tunnels, end{c, br})
	}
	echoes := func() {
		t.Helper()
		for _, e := range tunnels {
			_, werr := io.WriteString(e.Conn, "ping")
			b := make([]byte, 4)
			if _, err := io.ReadFull(e.Reader, b); werr != nil || err != nil || string(b) != "ping" {
				t.Fatalf("a tunnel broke: %v %v %q", werr, err, b)
			}
		}
	}
	echoes()
	rest := n.download(o.url("/big"))
	kept := n.client()
	ask1 := func() *reply {
		t.Helper()
		r, err := ask(kept, request(t, http.MethodGet, o.url("/1"), nil))
		must(t, err)
		return r
	}
	if ask1().Close {
		t.Fatal("the connection is not kept")
	}

	first := n.beside("drain", "--no-deadline", "--message", "new disk")
	first.says("draining n1: ")
	wantIn(t, first.out.String(), "(20 CONNECT), no deadline")
	wantIn(t, n.done("status"), "draining for ", "draining n1: ", "(20 CONNECT), no deadline", "new disk")
	if r := fetch(t, "http://"+n.admin+"/readyz"); r.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("/readyz answers %s", r.Status)
	}
	for target, want := range map[string]int{"/readyz": 503, "/livez": 200} {
		if r := fetch(t, "http://"+n.proxy+target); r.StatusCode != want {
			t.Errorf("%s on the proxy port answers %s", target, r.Status)
		}
	}
	if n.metrics("cachenode_draining") != 1 {
		t.Error("the metric does not say so")
	}
	if r := ask1(); !r.Close || r.StatusCode != 200 { // on the kept connection, or on a new one
		t.Errorf("an answer in a drain: %s, close %v", r.Status, r.Close)
	}
	if r := n.get(o.url("/2")); !r.Close || r.StatusCode != 200 {
		t.Errorf("a new client gets %s, close %v", r.Status, r.Close)
	}
	echoes()
	wantIn(t, n.done("drain"), "n1: already draining")

	must(t, first.cmd.Process.Signal(syscall.SIGINT))
	wantIn(t, first.ends(1), "n1 goes on draining", "cachenode undrain n1")
	second := n.beside("drain", "--monitor")
	second.says("draining n1: ")
	echoes()

	wantIn(t, n.done("undrain"), "n1 serves again")
	wantIn(t, second.ends(1), "the drain was taken back")
	wantIn(t, n.done("undrain"), "n1 is not draining")
	if r := ask1(); r.Close {
		t.Error("an answer after the drain ends the connection")
	}
	if r := fetch(t, "http://"+n.admin+"/readyz"); r.StatusCode != http.StatusOK {
		t.Errorf("/readyz answers %s", r.Status)
	}

	wantIn(t, n.done("drain", "--detach", "--deadline", "1h"), "draining n1: ", "to deadline")
	close(more)
	if got, err := rest(); got != body || err != nil {
		t.Errorf("%d of %d bytes, %v", len(got), len(body), err)
	}
	echoes()
	for _, e := range tunnels {
		e.Close()
	}
	kept.CloseIdleConnections()
	last := n.beside("drain", "--monitor")
	if out := last.ends(0); !strings.HasSuffix(out, "ok\n") {
		t.Errorf("the watch ends with\n%s", out)
	}
	wantIn(t, n.done("drain"), "n1: already drained")
	if r := n.get(o.url("/1")); r.StatusCode != 200 || !r.Close {
		t.Errorf("a client of a drained node gets %s, close %v", r.Status, r.Close)
	}
	for _, e := range n.log(count + 5) {
		if strings.HasSuffix(e.result, "_ABORTED") || strings.Contains(e.url, "readyz") {
			t.Errorf("log %+v", e)
		}
	}
	n.restart() // a node that is started serves
	if d := n.drainState(""); d.State != "serving" {
		t.Errorf("after a restart it is %s", d.State)
	}
}

// What is left at the deadline is cut, and logged; --force makes that now.
func TestDrainDeadline(t *testing.T) {
	t.Parallel()
	n := start(t)
	echo := server(t, func(c net.Conn) { _, _ = io.Copy(c, c) })
	broken := func(c net.Conn) {
		t.Helper()
		if _, err := io.ReadAll(c); err == nil {
			t.Error("a tunnel that was cut looks whole")
		}
	}
	a, _ := n.tunnel(echo)
	b, _ := n.tunnel(echo)
	out := n.beside("drain", "--deadline", "1s").ends(4)
	wantIn(t, out, "draining n1: 2 connections (2 CONNECT), ", "error: the deadline has passed: 2 connections were cut on n1", "hint: ")
	broken(a)
	broken(b)
	if log := n.log(2); len(log) != 2 || log[0].result != "TCP_TUNNEL_ABORTED" {
		t.Errorf("log %+v", log)
	}
	n.done("undrain")
	c, _ := n.tunnel(echo)
	wantIn(t, n.beside("drain", "--detach").ends(0), "draining n1: ", "10m0s to deadline")
	wantIn(t, n.beside("drain", "--force").ends(0), "n1: already draining", "cut 1 connection", "ok\n")
	broken(c)
	for want, args := range map[string][]string{
		"--force cuts at once": {"--deadline", "0s"},
		"want one of":          {"--deadline", "1m", "--force"},
		"--monitor only":       {"--monitor", "--message", "x"},
		`no node "n2"`:         {"n2"},
	} {
		if code, out := n.here(append([]string{"drain"}, args...)...); code != 2 || !strings.Contains(out, want) || !strings.Contains(out, "hint: ") {
			t.Errorf("%q: exit %d\n%s", args, code, out)
		}
	}
}

// Any node of a cluster can be drained from any other; a holder hands the
// virtual IP over first, and all can see it.
func TestDrainOfAnotherNode(t *testing.T) {
	t.Parallel()
	vip := loopback()
	echo := server(t, func(c net.Conn) { _, _ = io.Copy(c, c) })
	// Slow heartbeats: this machine is busy with other tests.
	n1 := member(t, "n1", "--vip", vip+"/8", "--config", file(t, "cachenode.yaml", "vip: {heartbeat: 500ms}"))
	n2, n3 := joined(t, "n2", n1), joined(t, "n3", n1)
	see(t, "n1 alive, n2 alive, n3 alive", n1, n2, n3)
	held(t, "n1", n1, n2, n3)
	for _, n := range []*node{n2, n3} { // both have learnt of the address, and take part
		eventually(t, "it takes part", func() bool { return strings.Count(n.done("vip"), "idle") == 2 })
	}
	tunnel, br := n1.tunnel(echo)
	door := *n1 // the front door of the holder, which carries to any node
	door.proxy = vip + ":3128"
	through, throughBr := door.tunnel(echo)

	if code, out := n3.here("drain", "n4"); code != 2 || !strings.Contains(out, `there is no node "n4"; did you mean`) || !strings.Contains(out, "hint: ") {
		t.Errorf("unknown node: %d %s", code, out)
	}
	watch := n3.beside("drain", "n1", "--message", "kernel", "--no-deadline")
	watch.says("CONNECT), ")
	eventually(t, "the address has moved", func() bool { d := n3.drainState("n1"); return d.VIP == "n2" || d.VIP == "n3" })
	watch.says("VIP moved to n")
	by := held(t, "n2 n3", n1, n2, n3)
	see(t, "n1 draining, n2 alive, n3 alive", n1, n2, n3)
	code, out := n2.here("members")
	if code != 0 || !strings.Contains(out, " CONNECT), VIP moved to "+by) || !strings.Contains(out, "kernel") {
		t.Errorf("members: %d\n%s", code, out)
	}
	fmt.Fprint(tunnel, "ping")
	if b, err := br.Peek(4); string(b) != "ping" {
		t.Errorf("the tunnel gives %q, %v", b, err)
	}
	fmt.Fprint(through, "ping")
	if b, err := throughBr.Peek(4); string(b) != "ping" {
		t.Errorf("the tunnel through the front door gives %q, %v", b, err)
	}
	tunnel.Close()
	through.Close()
	if out := watch.ends(0); !strings.HasSuffix(out, "ok\n") {
		t.Errorf("the watch ends with\n%s", out)
	}
	wantIn(t, n2.done("undrain", "n1"), "n1 serves again")
	see(t, "n1 alive, n2 alive, n3 alive", n1, n2, n3)
	held(t, by, n1, n2, n3) // no pre-emption
	n3.kill()
	see(t, "n1 alive, n2 alive, n3 failed", n1, n2)
	if code, out := n1.here("drain", "n3"); code != 1 || !strings.Contains(out, "n3 is failed") {
		t.Errorf("drain of a dead node: %d %s", code, out)
	}
}

// A stop of a drained holder, or of one that serves, has handed the address over
// before a port closes; a command without a node says so.
func TestStopHandsOver(t *testing.T) {
	t.Parallel()
	vip := loopback()
	n1 := member(t, "n1", "--vip", vip+"/8", "--config", file(t, "cachenode.yaml", "vip: {heartbeat: 500ms}\nstop_timeout: 2s\n"))
	n2 := joined(t, "n2", n1)
	see(t, "n1 alive, n2 alive", n1, n2)
	held(t, "n1", n1, n2)
	eventually(t, "it takes part", func() bool { return strings.Count(n2.done("vip"), "idle") == 1 })
	echo := server(t, func(c net.Conn) { _, _ = io.Copy(c, c) })
	n1.tunnel(echo) // holds the stop up
	n1.signal(syscall.SIGTERM)
	eventually(t, "closed port", func() bool {
		c, err := net.Dial("tcp", n1.proxy)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	if by := n2.holder(); by != "n2" {
		t.Errorf("the port is closed, and %q holds the address", by)
	}
	if code := n1.exits(); code != 0 {
		t.Errorf("exit %d", code)
	}
	if code, out := n1.here("drain"); code != 1 || !strings.Contains(out, "no node is running in ") || !strings.Contains(out, "hint: ") {
		t.Errorf("without a node: %d %s", code, out)
	}
}
