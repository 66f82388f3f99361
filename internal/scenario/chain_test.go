package scenario

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cachenode/cachenode/internal/transcript"
)

// parents is a configuration that sends everything through other proxies.
func parents(t *testing.T, more string, addrs ...string) string {
	t.Helper()
	var list strings.Builder
	for i, a := range addrs {
		fmt.Fprintf(&list, "{name: p%d, url: %q}, ", i+1, a)
	}
	return config(t, "proxy: {upstream: {parents: {list: [%s], direct: never, health: {interval: 200ms, rise: 1, fall: 1}%s}}}\n", list.String(), more)
}

// A node can be the parent of another: for pages, TLS URLs and tunnels.
func TestNodeBehindNode(t *testing.T) {
	t.Parallel()
	o, secure := newOrigin(t), newTLSOrigin(t)
	library(o)
	secure.page("/in", fresh("inside\n"))
	parent := start(t, "--name", "upper")
	n := start(t, "--config", parents(t, "", parent.proxy))
	n.get(o.url("/1")).want(t, 200, "", volume("/1"))
	via := n.get(o.url("/1"))
	if got := strings.Join(via.Header.Values("Via"), ", "); got != "1.1 upper (cachenode), 1.1 n1 (cachenode)" {
		t.Errorf("Via %q", got)
	}
	if got := strings.Join(via.Header.Values("Cache-Status"), ", "); !strings.HasPrefix(got, "upper; fwd=uri-miss") || !strings.Contains(got, ", n1; hit") {
		t.Errorf("Cache-Status %q", got)
	}
	if o.asked("/1") != 1 {
		t.Errorf("the origin was asked %d times", o.asked("/1"))
	}
	out, code := n.curl("--cacert", secure.caFile(t), secure.url("/in"))
	if out != "inside\n" || code != 0 {
		t.Errorf("tunnel: %d %s", code, out)
	}
	log := n.log(3)
	if log[0].hier != "FIRSTUP_PARENT/p1" && log[0].hier != "FIRSTUP_PARENT/127.0.0.1" {
		t.Errorf("log %+v", log[0])
	}
	if above := parent.log(2); above[0].url != o.url("/1") || above[1].method != "CONNECT" {
		t.Errorf("the parent's log %+v", above)
	}
	parent.stop()
	n.get(o.url("/1")).want(t, 200, "", volume("/1"))
	r := n.get(o.url("/2"))
	if r.StatusCode < 500 || o.asked("/2") != 0 {
		t.Errorf("without its parent the node answers %s", r.Status)
	}
}

// With its first parent dead a node uses the second, and returns when it can.
func TestParentFailOver(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	library(o)
	dead, second := freePort(t), start(t, "--name", "second")
	n := start(t, "--config", parents(t, "", dead, second.proxy))
	for i := range 20 {
		path := fmt.Sprintf("/%d", i)
		n.get(o.url(path)).want(t, 200, "", volume(path))
	}
	second.log(20)
	first := start(t, "--name", "first", "--listen", dead)
	i := 20
	eventually(t, "return of the first parent", func() bool {
		i++
		path := fmt.Sprintf("/%d", i)
		r := n.get(o.url(path))
		r.want(t, 200, "", volume(path))
		return strings.HasPrefix(r.Header.Get("Via"), "1.1 first ")
	})
	first.kill()
	for j := range 10 {
		path := fmt.Sprintf("/%d", 100+j)
		n.get(o.url(path)).want(t, 200, "", volume(path))
	}
}

// Round robin shares the work.
func TestRoundRobinParents(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	library(o)
	a, b := start(t, "--name", "a"), start(t, "--name", "b")
	n := start(t, "--config", parents(t, ", policy: round-robin", a.proxy, b.proxy))
	n.fill(o, 40)
	eventually(t, "40 requests, shared", func() bool {
		one, other := len(a.logLines()), len(b.logLines())
		return one+other == 40 && min(one, other) >= 15
	})
	for _, e := range n.log(40) {
		if !strings.HasPrefix(e.hier, "ROUNDROBIN_PARENT/") {
			t.Fatalf("log %+v", e)
		}
	}
}

// Two nodes that take each other for parents notice it.
func TestParentsInACircle(t *testing.T) {
	t.Parallel()
	there := freePort(t)
	n := start(t, "--config", parents(t, "", there))
	start(t, "--name", "other", "--listen", there, "--config", parents(t, "", n.proxy))
	r := n.get("http://" + freePort(t) + "/")
	if r.StatusCode != 502 || !strings.Contains(strings.Join(r.Header.Values("Proxy-Status"), ", "), "proxy_loop_detected") {
		t.Errorf("%s %v", r.Status, r.Header)
	}
}

// squid runs a squid with a minimal configuration and more lines.
func squid(t *testing.T, more ...string) (addr, logs string) {
	t.Helper()
	return squidAt(t, freePort(t), append([]string{"cache deny all"}, more...)...)
}

func squidAt(t *testing.T, addr string, more ...string) (_, logs string) {
	t.Helper()
	program := wants(t, "squid")
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o777)) // it leaves root
	must(t, os.Chmod(filepath.Dir(dir), 0o755))
	logs = filepath.Join(dir, "access.log")
	conf := filepath.Join(dir, "squid.conf")
	lines := append([]string{
		"http_port " + addr, "http_access allow all", "visible_hostname squid.test", "shutdown_lifetime 0 seconds",
		"pid_filename " + dir + "/pid", "cache_log " + dir + "/cache.log", "access_log stdio:" + logs, "coredump_dir " + dir,
		"pinger_enable off", "netdb_filename none", "logfile_daemon /bin/true",
	}, more...)
	must(t, os.WriteFile(conf, []byte(strings.Join(lines, "\n")+"\n"), 0o644))
	ctx, cancel := context.WithCancel(context.Background())
	c := exec.CommandContext(ctx, program, "-N", "-f", conf)
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = 10 * time.Second
	out := &transcript.Transcript{}
	c.Stdout, c.Stderr = out, out
	must(t, c.Start())
	t.Cleanup(func() {
		cancel()
		_ = c.Wait() // its end by a signal is no failure
		if t.Failed() {
			log, _ := os.ReadFile(dir + "/cache.log")
			t.Logf("squid said\n%s%s", out, clip(string(log), 4000))
		}
	})
	eventually(t, "squid listening on "+addr, func() bool {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return false
		}
		conn.Close()
		return true
	})
	return addr, logs
}

func TestSquidAsParent(t *testing.T) {
	t.Parallel()
	o, secure := newOrigin(t), newTLSOrigin(t)
	library(o)
	secure.page("/in", fresh("inside\n"))
	_, port, err := net.SplitHostPort(secure.addr())
	must(t, err)
	above, _ := squid(t, "acl SSL_ports port "+port)
	n := start(t, "--config", parents(t, "", above))
	n.get(o.url("/1")).want(t, 200, "", volume("/1"))
	n.get(o.url("/1")).want(t, 200, "", volume("/1"))
	if o.asked("/1") != 1 || !strings.Contains(o.last("/1").Get("Via"), "squid") {
		t.Errorf("asked %d times, Via %q", o.asked("/1"), o.last("/1").Get("Via"))
	}
	out, code := n.curl("--cacert", secure.caFile(t), secure.url("/in"))
	if out != "inside\n" || code != 0 {
		t.Errorf("tunnel: %d %s", code, out)
	}
}

func TestSquidAsChild(t *testing.T) {
	t.Parallel()
	o, secure := newOrigin(t), newTLSOrigin(t)
	library(o)
	secure.page("/in", fresh("inside\n"))
	n := start(t)
	host, port, err := net.SplitHostPort(n.proxy)
	must(t, err)
	below, logs := squid(t, fmt.Sprintf("cache_peer %s parent %s 0 no-query default", host, port), "never_direct allow all")
	through := func(args ...string) string {
		t.Helper()
		out, code := curl(t, append([]string{"-x", "http://" + below}, args...)...)
		if code != 0 {
			t.Errorf("curl ends with %d", code)
		}
		return out
	}
	for range 2 {
		if got := through(o.url("/1")); got != volume("/1") {
			t.Errorf("%d bytes", len(got))
		}
	}
	wantIn(t, through("-I", o.url("/1")), "n1; hit", "Via: 1.1 n1 (cachenode), 1.1 squid.test")
	if got := through("--cacert", secure.caFile(t), secure.url("/in")); got != "inside\n" {
		t.Errorf("tunnel: %q", got)
	}
	if o.asked("/1") != 1 {
		t.Errorf("the origin was asked %d times", o.asked("/1"))
	}
	n.log(4)
	eventually(t, "squid's log", func() bool {
		b, err := os.ReadFile(logs)
		return err == nil && strings.Contains(string(b), "FIRSTUP_PARENT/127.0.0.1")
	})
}
