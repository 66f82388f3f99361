package scenario

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// nodesHere counts the nodes of clusters, each of which gets an address of its
// own on loopback.
var nodesHere atomic.Uint32

func loopback() string {
	n := nodesHere.Add(1)
	return fmt.Sprintf("127.%d.%d.%d", 64+os.Getpid()%128, n/200, n%200+10)
}

// member runs a node that makes a cluster, on an address of its own.
func member(t *testing.T, name string, args ...string) *node {
	t.Helper()
	ip := loopback()
	return startWith(t, setup{
		cluster: []string{"run", "--name", name, "--bind", ip + ":0"}, args: append([]string{"--listen", ip + ":0"}, args...),
	})
}

// joined runs a node that joins the cluster of another.
func joined(t *testing.T, name string, of *node) *node {
	t.Helper()
	ip := loopback()
	return startWith(t, setup{
		cluster: []string{"join", of.gossip(), "--token-file", file(t, "token", of.token()), "--name", name, "--bind", ip + ":0"},
		args:    []string{"--listen", ip + ":0"},
	})
}

// here asks the node by its data directory.
func (n *node) here(args ...string) (code int, out string) {
	n.t.Helper()
	return n.command(append(args, "--data", n.data)...)
}

// done is here for what must not fail.
func (n *node) done(args ...string) string {
	n.t.Helper()
	code, out := n.here(args...)
	if code != 0 {
		n.t.Fatalf("%q ends with %d: %s", args, code, out)
	}
	return out
}

func (n *node) token() string { n.t.Helper(); return strings.TrimSpace(n.done("token")) }

// gossip is the address to join the node by.
func (n *node) gossip() string {
	n.t.Helper()
	words := strings.Fields(n.done("token", "--line"))
	if len(words) != 5 {
		n.t.Fatalf("the line to join with is %q", words)
	}
	return words[2]
}

// sees are the members as the node sees them, as "n1 alive, n2 failed".
func (n *node) sees() string {
	n.t.Helper()
	code, out := n.here("members", "--format", "json")
	var list struct {
		Members []struct{ Name, State string }
	}
	if err := json.Unmarshal([]byte(out), &list); code != 0 || err != nil {
		n.t.Fatalf("members: %d %s", code, out)
	}
	var parts []string
	for _, m := range list.Members {
		parts = append(parts, m.Name+" "+m.State)
	}
	return strings.Join(parts, ", ")
}

// see waits until all nodes see the same.
func see(t *testing.T, want string, nodes ...*node) {
	t.Helper()
	for _, n := range nodes {
		got := ""
		eventually(t, "members "+want, func() bool {
			if now := n.sees(); now != got {
				got = now
				t.Logf("%s sees %s", n.data, now)
			}
			return got == want
		})
	}
}

// Three nodes become a cluster, lose one, get it back, and part.
func TestClusterLife(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	library(o)
	n1 := member(t, "n1")
	n2 := joined(t, "n2", n1)
	n3 := member(t, "n3")
	n3.get(o.url("/1")).want(t, 200, "", volume("/1"))
	n3.stored(o.url("/1"))
	out := n3.done("join", n1.gossip(), "--token-file", file(t, "token", n1.token()))
	wantIn(t, out, "joined cluster", "n1", "n3")
	see(t, "n1 alive, n2 alive, n3 alive", n1, n2, n3)
	if n3.get(o.url("/1")); o.asked("/1") != 1 {
		t.Error("the node lost its cache by joining")
	}

	n2.restart() // it rejoins by itself, at another port
	see(t, "n1 alive, n2 alive, n3 alive", n1, n2, n3)
	n2.kill()
	see(t, "n1 alive, n2 failed, n3 alive", n1, n3)
	if code, out := n1.here("key", "rotate"); code != 1 || !strings.Contains(out, "would lock out n2") {
		t.Errorf("rotate with a member away: %d %s", code, out)
	}
	n2.launch()
	n2.ready()
	see(t, "n1 alive, n2 alive, n3 alive", n1, n2, n3)

	before := n1.token()
	wantIn(t, n2.done("key", "rotate"), "all members use key")
	if n3.token() == before || n3.token() != n1.token() {
		t.Error("the token did not change with the key")
	}
	see(t, "n1 alive, n2 alive, n3 alive", n1, n2, n3)
	n2.stop() // a stop is no failure
	see(t, "n1 alive, n2 left, n3 alive", n1, n3)
	wantIn(t, n3.done("forget", "n2"), "n2 is forgotten")
	see(t, "n1 alive, n3 alive", n1, n3)
	wantIn(t, n3.done("leave"), "left the cluster")
	see(t, "n1 alive, n3 left", n1)
	see(t, "n3 alive", n3)
	if code, out := n3.here("leave"); code != 1 || !strings.Contains(out, "alone in its cluster") {
		t.Errorf("leaving twice: %d %s", code, out)
	}
	if n := n1.metrics("cachenode_members", `state="alive"`); n != 1 {
		t.Errorf("cachenode_members %v", n)
	}
}

// A purge reaches all, and who was away makes up for it before it serves.
func TestPurgeReachesAll(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	library(o)
	n1 := member(t, "n1")
	n2 := joined(t, "n2", n1)
	n3 := joined(t, "n3", n1)
	see(t, "n1 alive, n2 alive, n3 alive", n1, n2, n3)
	for path, n := range map[string]*node{"/1": n1, "/2": n2} {
		n.get(o.url(path)).want(t, 200, "", volume(path))
		n.stored(o.url(path))
	}
	wantIn(t, n3.done("purge", "--prefix", o.url("/")), "n1 1 object\n", "n2 1 object\n", "n3 0 objects\n")

	n2.get(o.url("/2")).want(t, 200, "", volume("/2"))
	n2.stored(o.url("/2"))
	asked := o.asked("/2")
	n2.stop()
	wantIn(t, n1.done("purge", "--prefix", o.url("/")), "n2 no answer: will purge when it returns\n")
	n2.launch()
	n2.ready()
	n2.get(o.url("/2")).want(t, 200, "", volume("/2"))
	if o.asked("/2") != asked+1 {
		t.Error("the returned node served what was purged while it was away")
	}
	if code, out := n1.here("purge", "--host", "nowhere.example"); code != 2 {
		t.Errorf("nothing to purge: %d %s", code, out)
	}
}

// A node that was stopped as a whole for some seconds comes back cleanly.
func TestPausedMember(t *testing.T) {
	t.Parallel()
	n1 := member(t, "n1")
	n2 := joined(t, "n2", n1)
	see(t, "n1 alive, n2 alive", n1, n2)
	n2.signal(syscall.SIGSTOP)
	see(t, "n1 alive, n2 failed", n1)
	n2.signal(syscall.SIGCONT)
	see(t, "n1 alive, n2 alive", n1, n2)
}

// What keeps a node from joining is said in words, with what to do.
func TestJoinIsRefusedInWords(t *testing.T) {
	t.Parallel()
	n1, other := member(t, "n1"), member(t, "n1b")
	at, good := n1.gossip(), file(t, "token", n1.token())
	typo := []byte(n1.token())
	typo[20] ^= 1
	dir := filepath.Join(t.TempDir(), "new")
	for _, c := range []struct {
		name string
		args []string
		want []string
	}{
		{"typing error", []string{at, "--token-file", file(t, "typo", string(typo))}, []string{"the token has a typing error", "hint: print it anew"}},
		{"another cluster", []string{at, "--token-file", file(t, "other", other.token())}, []string{"is in cluster", "and the token is for"}},
		{"name taken", []string{at, "--token-file", good, "--name", "n1"}, []string{`the name "n1" is taken by the member at ` + at, "--name NAME"}},
		{"nobody there", []string{freePort(t), "--token-file", good}, []string{"cannot reach 127.0.0.1:", "connection refused"}},
		{"the proxy port", []string{n1.proxy, "--token-file", good}, []string{"is not the gossip of a cachenode", "default port is 7946"}},
		{"no token", []string{at}, []string{"no join token"}},
		{"standalone", []string{at, "--token-file", good, "--standalone"}, []string{"standalone joins no cluster"}},
	} {
		code, out := n1.command(append([]string{"join", "--data", dir, "--bind", loopback() + ":0", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"}, c.args...)...)
		if code == 0 {
			t.Errorf("%s: exit 0", c.name)
		}
		wantIn(t, out, append([]string{"error: "}, c.want...)...)
	}
	if _, err := os.Stat(filepath.Join(dir, "cluster.json")); err == nil {
		t.Error("a refused join left secrets behind")
	}
	// The key was changed since the token was printed.
	n1.done("key", "rotate")
	code, out := n1.command("join", at, "--data", dir, "--token-file", good, "--name", "n4")
	if code != 1 {
		t.Errorf("exit %d", code)
	}
	wantIn(t, out, "gossip key does not match "+at, "hint: copy it with 'cachenode key show' from a member")
	see(t, "n1 alive", n1)
}

// The key is in no process list, no log and no file that others can read.
func TestSecretsStaySecret(t *testing.T) {
	t.Parallel()
	n1 := member(t, "n1")
	token := n1.token()
	ip := loopback()
	n2 := startWith(t, setup{cluster: []string{"join", n1.gossip(), "--token", token, "--name", "n2", "--bind", ip + ":0"}})
	see(t, "n1 alive, n2 alive", n1, n2)
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", n2.pid()))
	must(t, err)
	if strings.Contains(string(line), token) || !strings.Contains(string(line), "--name") {
		t.Errorf("the process list shows %q", line)
	}
	for _, n := range []*node{n1, n2} {
		if strings.Contains(n.out.String(), token[10:]) {
			t.Error("the log shows the token")
		}
		wantIn(t, n.out.String(), "cachenode join "+n.gossip()+" --token TOKEN", "cachenode token --data "+n.data)
		info, err := os.Stat(filepath.Join(n.data, "cluster.json"))
		must(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("cluster.json has mode %v", info.Mode())
		}
	}
}

// Strangers at the port of gossip are turned away, and counted by the reason.
func TestStrangersAtTheGossipPort(t *testing.T) {
	t.Parallel()
	n1 := member(t, "n1")
	n2 := joined(t, "n2", n1)
	see(t, "n1 alive, n2 alive", n1, n2)
	udp, err := net.Dial("udp", n1.gossip())
	must(t, err)
	defer udp.Close()
	for reason, send := range map[string]func(){
		"oversized": func() { _, _ = udp.Write(make([]byte, 5000)) },
		"label":     func() { _, _ = udp.Write([]byte("\xf4\x05other and gossip")) },
		"format": func() {
			conn, err := net.Dial("tcp", n1.gossip())
			must(t, err)
			defer conn.Close()
			fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			_, _ = io.Copy(io.Discard, conn)
		},
		"key": func() {
			conn, err := tls.Dial("tcp", n1.gossip(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"cachenode-call/1"}})
			if err != nil {
				return
			}
			defer conn.Close()
			fmt.Fprint(conn, "POST /purges HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
			if b, _ := io.ReadAll(conn); len(b) > 0 {
				t.Errorf("without the key one gets %q", b)
			}
		},
	} {
		send()
		eventually(t, "counter of "+reason, func() bool {
			return n1.metrics("cachenode_gossip_rejected_total", `reason="`+reason+`"`) >= 1
		})
		wantIn(t, n1.out.String(), "reason="+reason)
	}
	see(t, "n1 alive, n2 alive", n1, n2)
}

// Two nodes cannot have one gossip address, and nobody reaches that of a member
// through the proxy.
func TestGossipPort(t *testing.T) {
	t.Parallel()
	n1 := member(t, "n1")
	n2 := joined(t, "n2", n1)
	see(t, "n1 alive, n2 alive", n1, n2)
	code, out := n1.command("run", "--bind", n1.gossip(), "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	if code != 1 {
		t.Errorf("exit %d", code)
	}
	wantIn(t, out, "listen for gossip on "+n1.gossip()+": the port is in use by", "--bind IP[:PORT]", "--standalone")
	for _, at := range []string{n1.gossip(), n2.gossip(), n2.proxy} {
		if r := n1.get("http://" + at + "/"); r.StatusCode < 400 {
			t.Errorf("through the proxy %s answers %s", at, r.Status)
		}
	}
	if n1.metrics("cachenode_gossip_rejected_total", `reason="format"`) != 0 {
		t.Error("the proxy connected to the port of gossip")
	}
}
