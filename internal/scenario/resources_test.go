package scenario

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// startPlain runs the binary without the race detector, which takes several
// times the memory.
func startPlain(t *testing.T, args ...string) *node {
	t.Helper()
	program, err := plain()
	must(t, err)
	return startWith(t, setup{program: program, args: args})
}

// endless serves size bytes, of which the proxy may keep what it likes.
func endless(size int64, lines ...string) http.HandlerFunc {
	block := []byte(pattern(1 << 16))
	return func(w http.ResponseWriter, _ *http.Request) {
		for _, l := range lines {
			k, v, _ := strings.Cut(l, ": ")
			w.Header().Set(k, v)
		}
		w.Header().Set("Content-Length", fmt.Sprint(size))
		for sent := int64(0); sent < size; sent += int64(len(block)) {
			if _, err := w.Write(block[:min(int64(len(block)), size-sent)]); err != nil {
				return
			}
		}
	}
}

// A gigabyte streams through in the memory of a buffer, stored or not.
func TestLargeBodyTakesLittleMemory(t *testing.T) {
	t.Parallel()
	n, o := startPlain(t), newOrigin(t)
	const size = 1 << 30
	o.page("/not-stored", endless(size, "Cache-Control: no-store"))
	o.page("/too-large", endless(size, "Cache-Control: max-age=60"))
	before := n.memory()
	client := n.client()
	client.Timeout = 0 // it takes what it takes
	for _, path := range []string{"/not-stored", "/too-large"} {
		r, err := client.Do(request(t, http.MethodGet, o.url(path), nil))
		must(t, err)
		got, err := io.Copy(io.Discard, r.Body)
		r.Body.Close()
		if got != size || err != nil {
			t.Errorf("%s: %d bytes, %v", path, got, err)
		}
	}
	if grown := n.memory() - before; grown > 100<<20 {
		t.Errorf("a gigabyte made the process grow by %d MB", grown>>20)
	}
}

// Clients that ask for much and read little hold a small buffer each.
func TestSlowReadersTakeLittleMemory(t *testing.T) {
	t.Parallel()
	n, o := startPlain(t), newOrigin(t)
	o.page("/big", endless(100<<20, "Cache-Control: no-store"))
	n.get(o.url("/404"))
	before := n.memory()
	const clients = 100
	readers := make([]net.Conn, clients)
	for i := range readers {
		c := n.dial()
		must(t, c.(*net.TCPConn).SetReadBuffer(4<<10))
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", o.url("/big"))
		readers[i] = c
	}
	for _, c := range readers {
		if _, err := io.ReadFull(c, make([]byte, 2000)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "requests", func() bool { return n.metrics("cachenode_active_requests") == clients })
	grown := n.memory() - before
	t.Logf("%d KiB for each client that does not read", grown/clients>>10)
	if grown > clients*(512<<10) {
		t.Errorf("%d clients that do not read hold %d MB", clients, grown>>20)
	}
	for _, c := range readers {
		c.Close()
	}
	eventually(t, "end of the requests", func() bool { return n.metrics("cachenode_active_requests") == 0 })
}

// After load of every kind nothing is left of it.
func TestNothingIsLeftAfterLoad(t *testing.T) {
	t.Parallel()
	n := start(t, "--config", config(t, "proxy: {upstream: {idle_timeout: 500ms}}\nserver: {idle_timeout: 500ms}\n"))
	o := newOrigin(t)
	library(o)
	o.page("/big", endless(50<<20, "Cache-Control: no-store"))
	echo := server(t, func(c net.Conn) { _, _ = io.Copy(c, c) })
	n.get(o.url("/404"))
	quiet := func() (goroutines, files int) { return n.goroutines(), n.descriptors() }
	var goroutines, files int
	eventually(t, "connections of the start to close", func() bool {
		g, f := quiet()
		same := g == goroutines && f == files
		goroutines, files = g, f
		return same
	})

	dead := freePort(t)
	var load sync.WaitGroup
	load.Go(func() { n.fill(o, 500) })
	load.Go(func() { n.crowd("http://"+dead+"/", 20) })
	load.Go(func() {
		for range 50 {
			c, _ := n.tunnel(echo)
			fmt.Fprint(c, "some")
			c.Close()
		}
	})
	load.Go(func() {
		for range 20 { // leave in the middle
			c := n.dial()
			fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", o.url("/big"))
			_, _ = io.ReadFull(c, make([]byte, 1000))
			c.Close()
		}
	})
	load.Wait()
	eventually(t, fmt.Sprintf("return to %d goroutines and %d open files", goroutines, files), func() bool {
		g, f := quiet()
		return g <= goroutines+3 && f <= files+3
	})
	if active := n.metrics("cachenode_active_requests") + n.metrics("cachenode_tunnels"); active != 0 {
		t.Errorf("%v requests and tunnels are left", active)
	}
}

// Clients that take every descriptor leave the operator his, and the node
// recovers when they go.
func TestDescriptorsExhausted(t *testing.T) {
	t.Parallel()
	n := startWith(t, setup{wrap: []string{wants(t, "prlimit"), "--nofile=128:128"}})
	o := newOrigin(t)
	library(o)
	var idle []net.Conn
	for range 300 {
		c, err := net.Dial("tcp", n.proxy)
		must(t, err)
		defer c.Close()
		idle = append(idle, c)
	}
	for range 5 { // each on a connection of its own
		if r := fetch(t, "http://"+n.admin+"/livez"); r.StatusCode != http.StatusOK {
			t.Errorf("/livez answers %s", r.Status)
		}
	}
	if code, out := n.command("status"); code != 0 {
		t.Errorf("status: %d\n%s", code, out)
	}
	c := n.client()
	if r, err := ask(c, request(t, http.MethodGet, o.url("/1"), nil)); err == nil && r.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a client too many gets %s", r.Status)
	}
	for _, c := range idle {
		c.Close()
	}
	eventually(t, "service", func() bool {
		r, err := ask(c, request(t, http.MethodGet, o.url("/1"), nil))
		return err == nil && r.StatusCode == http.StatusOK
	})
	n.fill(o, 50)
}

// cgroup makes a control group with a limit of memory and returns a command
// that runs another in it.
func cgroup(t *testing.T, limit int64) (wrap []string, dir string) {
	t.Helper()
	wantsRoot(t)
	dir = fmt.Sprintf("/sys/fs/cgroup/memory/cachenode-scenario-%d", os.Getpid())
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Skipf("no control group of version 1 for memory: %v", err)
	}
	t.Cleanup(func() { _ = os.Remove(dir) }) // the kernel may take its time
	must(t, os.WriteFile(dir+"/memory.limit_in_bytes", []byte(fmt.Sprint(limit)), 0o600))
	return []string{"/bin/sh", "-c", `echo $$ >"$0/cgroup.procs" && exec "$@"`, dir}, dir
}

// With much more work than its memory is for, a node answers what it can and is
// not killed.
func TestLittleMemoryAndMuchLoad(t *testing.T) {
	t.Parallel()
	program, err := plain()
	must(t, err)
	wrap, dir := cgroup(t, 256<<20)
	n := startWith(t, setup{program: program, wrap: wrap, args: []string{"--memory", "128MiB", "--disk", "512MiB"}})
	o := newOrigin(t)
	body := pattern(1_000_000)
	o.page("*", fresh(body))
	o.page("/big", endless(50<<20, "Cache-Control: no-store"))
	var idle []net.Conn
	for range 300 { // hold what they can
		c := n.dial()
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", o.url("/big"))
		idle = append(idle, c)
	}
	var wrong atomic.Int64
	n.readAll(o, 400, func(path string, r *reply, err error) {
		if err == nil && r.err == nil && r.StatusCode == http.StatusOK && r.text != body {
			wrong.Add(1)
		}
	})
	if wrong.Load() > 0 {
		t.Errorf("%d wrong bodies", wrong.Load())
	}
	for _, c := range idle {
		c.Close()
	}
	if !n.running() {
		events, _ := os.ReadFile(dir + "/memory.oom_control")
		t.Fatalf("the node has ended: %v\n%s", n.cmd.ProcessState, events)
	}
	n.get(o.url("/after")).want(t, 200, "", body)
	t.Logf("%d MB of anonymous memory", n.memory()>>20)
}
