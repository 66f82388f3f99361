package scenario

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// A disk that others fill makes the node store nothing, and fail nobody; when
// there is room again it stores again.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mount(t, dir, "size=96m")
	n := startWith(t, setup{dir: filepath.Join(dir, "data"), args: []string{"--memory", "0", "--disk", "64MiB"}})
	before, during, after := newOrigin(t), newOrigin(t), newOrigin(t)
	for _, o := range []*origin{before, during, after} {
		library(o)
	}
	n.fill(before, 100)

	free := fillUp(t, dir)
	n.fill(during, 400)
	eventually(t, "read-only store", func() bool { return n.metrics("cachenode_cache_readonly") == 1 })
	n.fill(during, 400)
	n.keeps(before, 100) // old objects may have given way; what is there is right
	if r := fetch(t, "http://"+n.admin+"/livez"); r.StatusCode != http.StatusOK {
		t.Errorf("/livez answers %s: a restart would not help", r.Status)
	}

	free()
	eventually(t, "store that takes objects again", func() bool { return n.metrics("cachenode_cache_readonly") == 0 })
	n.fill(after, 100)
	eventually(t, "stored objects", func() bool { return n.keeps(after, 100) >= 99 })
}

// fillUp takes what is left on the file system of dir, and returns how to give
// it back.
func fillUp(t *testing.T, dir string) (free func()) {
	t.Helper()
	path := filepath.Join(dir, "filler")
	f, err := os.Create(path)
	must(t, err)
	for _, size := range []int{1 << 20, 4 << 10} {
		for block := make([]byte, size); err == nil; {
			_, err = f.Write(block)
		}
		err = nil
	}
	must(t, f.Close())
	return func() { must(t, os.Remove(path)) }
}

// A node on a full disk, its log there too, starts and works after a stop and
// after a kill, without its disk tier if it must; the start after there is room
// again finds that well.
func TestStartOnAFullDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mount(t, dir, "size=96m")
	n := startWith(t, setup{dir: filepath.Join(dir, "data"), args: []string{
		"--memory", "0", "--disk", "48MiB", "--access-log", filepath.Join(dir, "access.log"),
	}})
	o := newOrigin(t)
	library(o)
	n.fill(o, 100)
	free := fillUp(t, dir)
	n.restart()
	n.fill(o, 200)
	n.kill()
	n.restart()
	n.fill(o, 200)
	free()
	n.restart()
	n.fill(o, 200)
	eventually(t, "stored objects", func() bool { return n.keeps(o, 200) >= 198 })
}

// A store that is allowed more than the disk has keeps within the disk.
func TestStoreLargerThanItsDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mount(t, dir, "size=96m")
	n := startWith(t, setup{dir: filepath.Join(dir, "data"), args: []string{"--memory", "0", "--disk", "10GiB"}})
	o := newOrigin(t)
	body := pattern(500_000)
	o.page("*", fresh(body))
	c := n.client()
	for i := range 300 { // 150 MB
		r, err := ask(c, request(t, http.MethodGet, o.url(fmt.Sprintf("/%d", i)), nil))
		must(t, err)
		r.want(t, 200, "fwd=uri-miss", body)
	}
	var kept atomic.Int64
	n.readAll(o, 300, func(path string, r *reply, err error) {
		if err == nil && r.StatusCode == http.StatusOK {
			kept.Add(1)
			if r.text != body {
				t.Errorf("%s is wrong", path)
			}
		}
	}, "Cache-Control: only-if-cached")
	if kept.Load() < 20 {
		t.Errorf("only %d objects of 500 kB are kept on a disk of 96 MB", kept.Load())
	}
	n.restart()
	n.get(o.url("/new")).want(t, 200, "fwd=uri-miss", body)
}

// Bytes that changed on disk are never served: the object is fetched anew.
func TestFlippedBytes(t *testing.T) {
	t.Parallel()
	n, o := start(t, "--memory", "0"), newOrigin(t)
	library(o)
	const count = 400
	n.fill(o, count)
	n.stop()

	segments, err := filepath.Glob(filepath.Join(n.data, "segments", "*"))
	must(t, err)
	random, flipped := rand.New(rand.NewPCG(1, 2)), 0
	for _, path := range segments {
		if filepath.Base(path) == "state" {
			continue // damage there costs the whole store, as in TestDamagedState
		}
		b, err := os.ReadFile(path)
		must(t, err)
		var used []int // where something is written
		for i, c := range b {
			if c != 0 {
				used = append(used, i)
			}
		}
		for range min(60, len(used)) {
			b[used[random.IntN(len(used))]] ^= 0x5a
			flipped++
		}
		must(t, os.WriteFile(path, b, 0o600))
	}
	if flipped == 0 {
		t.Fatalf("nothing to flip in %v", segments)
	}

	n.restart()
	var cut atomic.Int64
	n.readAll(o, count, func(path string, r *reply, err error) {
		switch {
		case err != nil:
			t.Errorf("%s: %v", path, err)
		case r.err != nil:
			cut.Add(1)
		case r.text != volume(path):
			t.Errorf("%s is wrong", path)
		}
	})
	if cut.Load() > 0 {
		t.Errorf("%d responses were cut", cut.Load())
	}
	n.fill(o, count) // checks every byte
	again := o.asked("*") - count
	if again == 0 || again > count/2 {
		t.Errorf("%d of %d objects were fetched again after %d bytes were flipped", again, count, flipped)
	}
	if corrupt := n.metrics("cachenode_cache_corrupt_total"); corrupt == 0 {
		t.Error("no damaged object was counted")
	}
	if kept := n.keeps(o, count); kept != count {
		t.Errorf("%d of %d objects are stored anew", kept, count)
	}
}

// Segments that somebody has removed are told, and what was in them is fetched
// again.
func TestLostSegments(t *testing.T) {
	t.Parallel()
	n, o := start(t, "--memory", "0"), newOrigin(t)
	library(o)
	n.fill(o, 100)
	n.stop()
	segments, err := filepath.Glob(filepath.Join(n.data, "segments", "*.seg"))
	must(t, err)
	for _, path := range segments {
		must(t, os.Remove(path))
	}
	n.restart()
	n.says(fmt.Sprintf(`stored objects are lost.* segments=%d objects=\d+`, len(segments)))
	lost := n.metrics("cachenode_cache_missing_total")
	if code, out := n.command("status"); code != 0 || lost == 0 || !strings.Contains(out, fmt.Sprintf("%.0f stored objects were lost", lost)) {
		t.Errorf("%.0f are lost; status says %d: %s", lost, code, out)
	}
	n.fill(o, 100)
	if again := o.asked("*") - 100; again != int(lost) {
		t.Errorf("%d were fetched again, %.0f are lost", again, lost)
	}
}

// A store that does not know its own state starts empty.
func TestDamagedState(t *testing.T) {
	t.Parallel()
	n, o := start(t, "--memory", "0"), newOrigin(t)
	library(o)
	n.fill(o, 20)
	n.stop()
	must(t, os.WriteFile(filepath.Join(n.data, "segments", "state"), []byte(pattern(1024)), 0o600))
	n.restart()
	n.says("stored objects are damaged and set aside; starting empty")
	if kept := n.keeps(o, 20); kept != 0 {
		t.Errorf("%d objects are there", kept)
	}
	n.fill(o, 20)
	n.keeps(o, 20)
}

// An index that was cut off costs the store at most, never the start.
func TestTruncatedIndex(t *testing.T) {
	t.Parallel()
	n, o := start(t, "--memory", "0"), newOrigin(t)
	library(o)
	const count = 200
	n.fill(o, count)
	n.restart() // brings the records to tables
	n.stop()
	tables, err := filepath.Glob(filepath.Join(n.data, "index", "*.sst"))
	must(t, err)
	logs, err := filepath.Glob(filepath.Join(n.data, "index", "*.vlog"))
	must(t, err)
	for _, path := range append(tables, logs...) {
		info, err := os.Stat(path)
		must(t, err)
		must(t, os.Truncate(path, info.Size()/2))
	}
	n.restart()
	n.keeps(o, count)
	n.fill(o, count)
}
