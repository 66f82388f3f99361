package scenario

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// Reloads and log rotations in the middle of everything disturb no request, and
// lose and double no line.
func TestReloadsAndRotationsUnderLoad(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	library(o)
	path := config(t, "cache: {heuristic_percent: 10}\n")
	n := start(t, "--config", path)
	const requests = 2000
	var load sync.WaitGroup
	load.Go(func() { n.fill(o, requests) })
	rotated := 0
	for i := 1; o.asked("*") < requests*9/10; i++ {
		before := o.asked("*")
		eventually(t, "progress", func() bool { return o.asked("*") >= min(before+100, requests*9/10) })
		if i%2 == 0 {
			must(t, os.WriteFile(path, []byte(fmt.Sprintf("cache: {heuristic_percent: %d}\n", i%50)), 0o600))
			n.signal(syscall.SIGHUP)
			continue
		}
		rotated++
		must(t, os.Rename(n.logs, fmt.Sprintf("%s.%d", n.logs, rotated)))
		n.signal(syscall.SIGUSR1)
		eventually(t, "new log", func() bool { _, err := os.Stat(n.logs); return err == nil })
	}
	load.Wait()
	n.stop()
	files, err := filepath.Glob(n.logs + "*")
	must(t, err)
	seen := map[string]int{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		must(t, err)
		for line := range strings.Lines(string(b)) {
			seen[parseEntry(t, line).url]++
		}
	}
	for i := range requests {
		if u := o.url(fmt.Sprintf("/%d", i)); seen[u] != 1 {
			t.Fatalf("%s is logged %d times in %d files", u, seen[u], len(files))
		}
	}
	if rotated == 0 || !strings.Contains(n.out.String(), "applied=[cache.heuristic_percent]") {
		t.Errorf("%d rotations; the node said %s", rotated, clip(n.out.String(), 3000))
	}
}

// Purges in the middle of everything: what is asked for after a purge was
// fetched after it.
func TestPurgesUnderLoad(t *testing.T) {
	t.Parallel()
	n, o := start(t), newOrigin(t)
	var edition atomic.Int64
	o.page("*", func(w http.ResponseWriter, r *http.Request) {
		fresh(fmt.Sprintf("edition %d %s", edition.Load(), pattern(2000)))(w, r)
	})
	stop := make(chan struct{})
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() {
			c := n.client()
			defer c.CloseIdleConnections()
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := ask(c, request(t, http.MethodGet, o.url(fmt.Sprintf("/p/%d", i%20)), nil)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for e := range 10 {
		edition.Store(int64(e + 1))
		args := [][]string{{"--all"}, {"--host", "127.0.0.1"}, {"--prefix", o.url("/p/")}}[e%3]
		if code, out := n.command(append([]string{"purge"}, args...)...); code != 0 && code != 2 {
			t.Errorf("purge: %d %s", code, out)
		}
		for i := range 20 {
			r := n.get(o.url(fmt.Sprintf("/p/%d", i)))
			if want := fmt.Sprintf("edition %d ", e+1); !strings.HasPrefix(r.text, want) {
				t.Errorf("after purge %v for %s: %s", args, want, clip(r.text, 12))
			}
		}
	}
	close(stop)
	load.Wait()
}

// Killed again and again under load, the store comes back each time without a
// wrong byte.
func TestKilledAgainAndAgain(t *testing.T) {
	t.Parallel()
	n, o := start(t, "--memory", "0", "--disk", "64MiB"), newOrigin(t) // evicts as well
	library(o)
	for round := range 4 {
		first := o.asked("*")
		var load sync.WaitGroup
		var killed atomic.Bool
		load.Go(func() {
			n.readAll(o, 20_000, func(path string, r *reply, err error) {
				switch {
				case killed.Load():
				case err != nil || r.err != nil:
					t.Errorf("%s: %v, %+v", path, err, r)
				case r.text != volume(path):
					t.Errorf("%s is wrong", path)
				}
			})
		})
		eventually(t, "load", func() bool { return o.asked("*") > first+400 })
		killed.Store(true)
		n.kill()
		load.Wait()
		n.restart()
		if kept := n.keeps(o, 300); round > 0 && kept < 250 {
			t.Errorf("after kill %d only %d objects are there", round+1, kept)
		}
	}
}

// Stores of every shape serve the same pages: none at all, one tier, and what
// an earlier start with other sizes has left.
func TestStoresOfEverySize(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	library(o)
	const count = 60
	n := start(t)
	for _, sizes := range [][]string{
		{"--memory", "0", "--disk", "0"},
		{"--memory", "16MiB", "--disk", "0"},
		{"--memory", "0", "--disk", "256MiB"},
		{"--memory", "0", "--disk", "32MiB"},
		{"--memory", "16MiB", "--disk", "1GiB"},
	} {
		n.how.args = sizes
		n.restart()
		n.fill(o, count)
		kept, want := n.keeps(o, count), count
		if sizes[1] == "0" && sizes[3] == "0" {
			want = 0
		}
		if kept != want {
			t.Errorf("%v keeps %d of %d objects", sizes, kept, count)
		}
	}
}

// Parts and variants are objects of the store as well, and come back with it.
func TestPartsAndVariantsSurviveARestart(t *testing.T) {
	t.Parallel()
	n, o := start(t, "--memory", "0"), newOrigin(t)
	body := pattern(3_000_000)
	o.page("/film", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=3600")
		w.Header().Set("ETag", `"film"`)
		var from, to int
		if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to); err != nil {
			fields(200, body)(w, r)
			return
		}
		fields(206, body[from:to+1], fmt.Sprintf("Content-Range: bytes %d-%d/%d", from, to, len(body)))(w, r)
	})
	o.page("/page", func(w http.ResponseWriter, r *http.Request) {
		fresh("in "+r.Header.Get("Accept-Language"), "Vary: Accept-Language")(w, r)
	})
	n.get(o.url("/film"), "Range: bytes=1000-1500999").want(t, 206, "fwd=uri-miss", body[1000:1501000])
	for _, l := range []string{"de", "fr", "it"} {
		n.get(o.url("/page"), "Accept-Language: "+l).want(t, 200, "", "in "+l)
	}
	n.restart()
	n.get(o.url("/film"), "Range: bytes=2000-1000000", "Cache-Control: only-if-cached").want(t, 206, "hit", body[2000:1000001])
	for _, l := range []string{"de", "fr", "it"} {
		n.get(o.url("/page"), "Accept-Language: "+l).want(t, 200, "hit", "in "+l)
	}
	n.get(o.url("/film")).want(t, 200, "", body)
	n.kill()
	n.restart()
	if r := n.stored(o.url("/film")); r.StatusCode == 200 && r.text != body {
		t.Error("the completed film is wrong after a kill")
	}
}

// A stop closes idle connections at once and waits for nobody.
func TestStopWithIdleClients(t *testing.T) {
	t.Parallel()
	n, o := start(t), newOrigin(t)
	library(o)
	var idle []net.Conn
	for range 50 {
		idle = append(idle, n.dial())
	}
	n.get(o.url("/1"))
	n.signal(syscall.SIGTERM)
	if code := n.exits(); code != 0 {
		t.Errorf("exit %d", code)
	}
	for _, c := range idle {
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("an idle connection got bytes")
		}
	}
}
