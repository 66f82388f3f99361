package scenario

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// library serves /N with a body that only N decides, of very different sizes,
// and may be stored. It is the origin whose every byte can be checked.
func library(o *origin) {
	o.page("*", func(w http.ResponseWriter, r *http.Request) {
		body := volume(r.URL.Path)
		w.Header().Set("Cache-Control", "max-age=3600")
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write([]byte(body)) // the proxy may be killed
	})
}

func volume(path string) string {
	i, _ := strconv.Atoi(path[strings.LastIndex(path, "/")+1:])
	size := 100 + i*37%9000
	if i%20 == 0 {
		size = 100_000 + i
	}
	return pattern(size + i)[:size]
}

// readAll asks for volumes 0 to count-1, several at a time, and calls got for
// each answer, until the node has ended.
func (n *node) readAll(o *origin, count int, got func(path string, r *reply, err error), lines ...string) {
	n.t.Helper()
	c := n.client()
	defer c.CloseIdleConnections()
	var next atomic.Int64
	var readers sync.WaitGroup
	for range 8 {
		readers.Go(func() {
			for i := next.Add(1) - 1; i < int64(count); i = next.Add(1) - 1 {
				path := fmt.Sprintf("/%d", i)
				r, err := ask(c, request(n.t, http.MethodGet, o.url(path), nil, lines...))
				got(path, r, err)
				if err != nil && !n.running() {
					return
				}
			}
		})
	}
	readers.Wait()
}

// fill puts count volumes into the store.
func (n *node) fill(o *origin, count int) {
	n.t.Helper()
	n.readAll(o, count, func(path string, r *reply, err error) {
		switch {
		case err != nil:
			n.t.Errorf("%s: %v", path, err)
		case r.err != nil || r.StatusCode != http.StatusOK || r.text != volume(path):
			n.t.Errorf("%s is wrong: %s, %v, %d bytes, %s", path, r.Status, r.err, len(r.text), r.Header.Get("Cache-Status"))
		}
	})
}

// keeps counts the volumes that the store still has, each byte of them right.
func (n *node) keeps(o *origin, count int) int {
	n.t.Helper()
	var kept atomic.Int64
	n.readAll(o, count, func(path string, r *reply, err error) {
		switch {
		case err != nil:
			n.t.Errorf("%s: %v", path, err)
		case r.StatusCode == http.StatusGatewayTimeout:
		case r.StatusCode != http.StatusOK || r.err != nil || r.text != volume(path):
			n.t.Errorf("%s is wrong: %s, %v, %d bytes", path, r.Status, r.err, len(r.text))
		default:
			kept.Add(1)
		}
	}, "Cache-Control: only-if-cached")
	return int(kept.Load())
}

func TestStoreSurvivesARestart(t *testing.T) {
	t.Parallel()
	n, o := start(t, "--memory", "0"), newOrigin(t)
	library(o)
	const count = 500
	n.fill(o, count)
	n.restart()
	if kept := n.keeps(o, count); kept != count {
		t.Errorf("%d of %d objects are back", kept, count)
	}
	if hits := n.metrics("cachenode_requests_total", `result="TCP_HIT"`); hits < count {
		t.Errorf("%v hits from disk", hits)
	}
	if o.asked("*") != count {
		t.Errorf("the origin was asked %d times", o.asked("*"))
	}
}

// kill -9 while requests are written and read: what was committed is back, and
// no byte is wrong.
func TestStoreSurvivesAKill(t *testing.T) {
	t.Parallel()
	n, o := start(t), newOrigin(t)
	library(o)
	const committed = 500
	n.fill(o, committed)
	eventually(t, "records of all objects on disk", func() bool { return n.metrics("cachenode_cache_objects") >= committed })

	loaded := newOrigin(t)
	library(loaded)
	var load sync.WaitGroup
	var killed atomic.Bool
	load.Go(func() { // until the node is gone
		n.readAll(loaded, 100_000, func(path string, r *reply, err error) {
			if err == nil && r.err == nil && r.text != volume(path) {
				t.Errorf("%s was wrong before the kill", path)
			}
			if err != nil && !killed.Load() {
				t.Errorf("%s: %v", path, err)
			}
		})
	})
	eventually(t, "load", func() bool { return loaded.asked("*") > 300 })
	killed.Store(true)
	n.kill()
	load.Wait()

	n.restart()
	if kept := n.keeps(o, committed); kept < committed*99/100 {
		t.Errorf("%d of %d committed objects are back", kept, committed)
	}
	n.keeps(loaded, loaded.asked("*")) // whatever is back is right
	n.fill(o, committed)
}

// A purge is not undone by a restart, nor by a kill.
func TestPurgeSurvivesARestart(t *testing.T) {
	t.Parallel()
	n, a, b := start(t), newOrigin(t), newOriginOn(t, "127.0.0.2:0")
	library(a)
	library(b)
	all := []string{a.url("/1"), a.url("/2"), a.url("/p/3"), a.url("/p/4"), a.url("/q/5"), b.url("/6"), b.url("/7")}
	gone := map[string]bool{}
	state := func(when string) {
		t.Helper()
		for _, u := range all {
			if r := n.stored(u); (r.StatusCode == http.StatusGatewayTimeout) != gone[u] {
				t.Errorf("%s: %s answers %s, purged: %v", when, u, r.Status, gone[u])
			}
		}
	}
	for _, u := range all {
		n.get(u).want(t, 200, "fwd=uri-miss", volume(u))
	}
	purge := func(want string, urls []string, args ...string) {
		t.Helper()
		if code, out := n.command(append([]string{"purge"}, args...)...); code != 0 || !strings.Contains(out, want) {
			t.Errorf("purge %v: exit %d, %q, want %q", args, code, out, want)
		}
		for _, u := range urls {
			gone[u] = true
		}
		state(fmt.Sprintf("after purge %v", args))
	}
	purge("purged 1 object", all[:1], all[0])
	purge("purged 2 objects", all[2:4], "--prefix", a.url("/p/"))
	purge("purged 2 objects", all[5:], "--host", "127.0.0.2")
	n.restart()
	state("after a restart")
	n.kill()
	n.restart()
	state("after a kill")
	if code, out := n.command("purge", a.url("/never")); code != 2 {
		t.Errorf("a purge that finds nothing exits with %d: %s", code, out)
	}
	purge("purged 2 objects", all, "--all")
	n.kill()
	n.restart()
	state("after purge --all and a kill")
}

func TestSecondProcessOnTheSameDirectory(t *testing.T) {
	t.Parallel()
	n := start(t)
	second := &node{t: t, data: n.data, logs: filepath.Join(t.TempDir(), "access.log")}
	second.launch()
	if code := second.exits(); code != 78 {
		t.Errorf("exit %d", code)
	}
	wantIn(t, second.out.String(), "error: ", n.data, "in use by process "+strconv.Itoa(n.pid()), "hint: ")
	wantIn(t, n.get("http://"+freePort(t)).text, "ERR_CONNECT_FAIL") // the first goes on
}

func TestReadOnlyDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if os.Getuid() == 0 { // root may write everywhere but on a read-only mount
		mount(t, dir, "size=16m")
		remount(t, dir, "ro")
	} else {
		must(t, os.Chmod(dir, 0o500))
	}
	n := &node{t: t, data: dir, logs: filepath.Join(t.TempDir(), "access.log")}
	n.launch()
	if code := n.exits(); code != 78 {
		t.Errorf("exit %d", code)
	}
	wantIn(t, n.out.String(), "error: ", dir, "hint: ")
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	first := start(t)
	n := &node{t: t, data: t.TempDir(), logs: filepath.Join(t.TempDir(), "access.log")}
	n.how.args = []string{"--listen", first.proxy}
	n.launch()
	if code := n.exits(); code != 1 {
		t.Errorf("exit %d", code)
	}
	wantIn(t, n.out.String(), "error: listen on "+first.proxy+": the port is in use by", strconv.Itoa(first.pid()), "hint: ")
}
