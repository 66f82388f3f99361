package scenario

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/cachenode/cachenode/internal/transcript"
)

// demoNodes are the flags that give a demo addresses of its own.
func demoNodes() []string {
	return []string{"--addresses", loopback() + "," + loopback() + "," + loopback(), "--vip", loopback()}
}

// startDemo runs a demo without a terminal, until its nodes are a cluster.
func startDemo(t *testing.T, args ...string) *node {
	t.Helper()
	return startDemoIn(t, t.TempDir(), args...)
}

// startDemoIn is one that makes its directory in dir.
func startDemoIn(t *testing.T, dir string, args ...string) *node {
	t.Helper()
	n := &node{t: t, data: dir, out: &transcript.Transcript{}, ended: make(chan struct{})}
	n.cmd = exec.Command(filepath.Join(bin, "cachenode"), append([]string{"demo"}, args...)...)
	n.cmd.Env = append(os.Environ(), "TMPDIR="+n.data, "GORACE=atexit_sleep_ms=50")
	n.cmd.Stdout, n.cmd.Stderr = n.out, n.out
	must(t, n.cmd.Start())
	go func() {
		_ = n.cmd.Wait() // its state says how it ended
		close(n.ended)
	}()
	t.Cleanup(func() {
		n.stop()
		if t.Failed() {
			t.Logf("the demo said\n%s", n.out)
		}
	})
	for _, name := range []string{"n1", "n2", "n3"} {
		n.says(name + " (is in the cluster)")
	}
	n.says("n[1-3] (holds the virtual IP)")
	return n
}

// pids are the processes of the nodes of a demo.
func (n *node) pids() (all []int) {
	n.t.Helper()
	for _, m := range regexp.MustCompile(`(?m)^  n\d  \S+  process (\d+)$`).FindAllStringSubmatch(n.out.String(), -1) {
		pid, err := strconv.Atoi(m[1])
		must(n.t, err)
		all = append(all, pid)
	}
	if len(all) != 3 {
		n.t.Fatalf("the demo has processes %v", all)
	}
	return all
}

// gone reports that a process has ended, reaped or not.
func gone(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
	}
	_, state, _ := strings.Cut(string(b), ") ")
	return strings.HasPrefix(state, "Z")
}

// The demo serves, survives the death of a node and leaves nothing behind.
func TestDemo(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	library(o)
	flags := demoNodes()
	d := startDemo(t, append(flags, "--traffic=false")...)
	pids := d.pids()

	again := exec.Command(filepath.Join(bin, "cachenode"), append([]string{"demo"}, flags...)...)
	again.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
	out, _ := again.CombinedOutput() // its state says how it ended
	if code := again.ProcessState.ExitCode(); code != 1 {
		t.Errorf("a second demo exits with %d", code)
	}
	wantIn(t, string(out), "error: 127.", ":3128 is in use", "hint: take others: cachenode demo --addresses")

	d.proxy = d.says(`for clients: (\S+)`)
	d.get(o.url("/1")).want(t, 200, "", volume("/1"))
	holder, err := strconv.Atoi(d.says(`n([1-3]) holds the virtual IP`))
	must(t, err)
	name := fmt.Sprintf("n%d", holder)
	must(t, syscall.Kill(pids[holder-1], syscall.SIGKILL))
	d.says("the process of " + name + " has (ended: killed)")
	d.says(name + " has (failed), say the others")
	d.says("the virtual IP went from (n[1-3]) to n[1-3]")
	d.get(o.url("/2")).want(t, 200, "", volume("/2"))

	d.signal(syscall.SIGINT)
	if code := d.exits(); code != 0 {
		t.Errorf("after Ctrl-C it exits with %d", code)
	}
	nothingLeft(t, d, pids)
	for _, port := range []string{"3128", "7946"} {
		ln, err := net.Listen("tcp", strings.SplitN(flags[1], ",", 2)[0]+":"+port)
		must(t, err)
		ln.Close()
	}
}

func nothingLeft(t *testing.T, d *node, pids []int) {
	t.Helper()
	for _, pid := range pids {
		if !gone(pid) {
			t.Errorf("process %d is left", pid)
		}
	}
	left, err := os.ReadDir(d.data)
	must(t, err)
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// A demo that is killed takes its nodes with it, and what it leaves behind is
// removed by the next one.
func TestKilledDemo(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux ends the children of a process that was killed")
	}
	d := startDemo(t, demoNodes()...)
	pids := d.pids()
	d.kill()
	for _, pid := range pids {
		eventually(t, fmt.Sprintf("process %d ends", pid), func() bool { return gone(pid) })
	}
	left, err := os.ReadDir(d.data)
	must(t, err)
	startDemoIn(t, d.data, demoNodes()...)
	now, err := os.ReadDir(d.data)
	must(t, err)
	if len(left) != 1 || len(now) != 1 || now[0].Name() == left[0].Name() {
		t.Errorf("the killed demo left %v, and with the next one there are %v", left, now)
	}
}
