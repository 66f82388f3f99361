package accesslog

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/cachenode/cachenode/internal/units"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// open makes a writer on a file of its own; edit changes the options.
func open(t *testing.T, edit func(*Options)) (*Writer, string) {
	t.Helper()
	o := DefaultOptions()
	o.Path = filepath.Join(t.TempDir(), "access.log")
	if edit != nil {
		edit(&o)
	}
	w, err := New(o, "n1", quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w, o.Path
}

func numbered(i int) *Entry {
	e := sample()
	e.URL = fmt.Sprintf("http://example.com/%d", i)
	return e
}

// lines reads the whole lines of a file; a half one fails the test.
func lines(t *testing.T, path string) []string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) == 0 {
		return nil
	}
	if b[len(b)-1] != '\n' {
		t.Errorf("%s ends in half a line", path)
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

func TestOffWithoutPath(t *testing.T) {
	w, err := New(DefaultOptions(), "n1", quiet())
	if err != nil {
		t.Fatal(err)
	}
	w.Log(sample())
	if w.Dropped() != 0 || w.Reopen() != nil || w.Close() != nil {
		t.Error("a log that is off does something")
	}
}

func TestCloseWritesWhatIsLeft(t *testing.T) {
	w, path := open(t, nil)
	for i := range 3 {
		w.Log(numbered(i))
	}
	if got := lines(t, path); len(got) != 0 {
		t.Errorf("written at once: %q", got)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	w.Log(numbered(3)) // too late, and harmless
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got := lines(t, path); len(got) != 3 || !strings.Contains(got[2], "/2 ") {
		t.Errorf("got %q", got)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestFlushedEverySecond(t *testing.T) {
	w, path := open(t, nil)
	synctest.Test(t, func(t *testing.T) {
		w.wake = make(chan struct{}, 1) // a channel of the bubble
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.Run(ctx) }()
		w.Log(numbered(1))
		time.Sleep(flushEvery)
		synctest.Wait()
		if got := lines(t, path); len(got) != 1 {
			t.Errorf("after a second: %q", got)
		}
		w.Log(numbered(2))
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if got := lines(t, path); len(got) != 2 {
			t.Errorf("after the end: %q", got)
		}
	})
}

func TestFlushedWhenTheBufferIsFull(t *testing.T) {
	w, path := open(t, nil)
	synctest.Test(t, func(t *testing.T) {
		w.wake = make(chan struct{}, 1)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.Run(ctx) }()
		for i := range 2000 {
			w.Log(numbered(i))
		}
		synctest.Wait() // no time passes
		if got := lines(t, path); len(got) == 0 {
			t.Error("nothing written")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	if got := lines(t, path); len(got) != 2000 || w.Dropped() != 0 {
		t.Errorf("%d lines, %d dropped", len(got), w.Dropped())
	}
}

func TestConcurrentWritersLoseNothing(t *testing.T) {
	w, path := open(t, func(o *Options) { o.RotateSize, o.RotateKeep = 64*units.KiB, 100 })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 2000 {
				w.Log(numbered(10_000*g + i))
				if i%500 == 0 {
					if err := w.Reopen(); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	seen := make(map[string]bool)
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) < 3 {
		t.Errorf("files %q, %v", files, err)
	}
	for _, f := range files {
		for _, l := range lines(t, f) {
			seen[l] = true
		}
	}
	if len(seen) != 8000 {
		t.Errorf("%d different lines", len(seen))
	}
}

func TestReopenAfterRename(t *testing.T) {
	w, path := open(t, nil)
	w.Log(numbered(1))
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	if err := w.Reopen(); err != nil {
		t.Fatal(err)
	}
	w.Log(numbered(2))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if a, b := lines(t, path+".old"), lines(t, path); len(a) != 1 || len(b) != 1 {
		t.Errorf("old %q, new %q", a, b)
	}
}

func TestReopenThatFailsKeepsTheOldFile(t *testing.T) {
	w, path := open(t, nil)
	moved := filepath.Dir(path) + ".moved"
	if err := os.Rename(filepath.Dir(path), moved); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(moved) })
	if err := w.Reopen(); err == nil {
		t.Error("opened a file in a directory that is gone")
	}
	w.Log(numbered(1))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got := lines(t, filepath.Join(moved, "access.log")); len(got) != 1 {
		t.Errorf("got %q", got)
	}
}

func TestRotationKeepsTheNewest(t *testing.T) {
	w, path := open(t, func(o *Options) { o.RotateSize, o.RotateKeep = 64*units.KiB, 2 })
	for i := range 5000 {
		w.Log(numbered(i))
		if i%100 == 0 {
			w.flush()
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) != 3 {
		t.Fatalf("files %q, %v", files, err)
	}
	var all []string
	for _, f := range []string{path + ".2", path + ".1", path} {
		info, err := os.Stat(f)
		if err != nil || info.Size() > 96<<10 || info.Mode().Perm() != 0o640 {
			t.Errorf("%s: %v, %v", f, info, err)
		}
		all = append(all, lines(t, f)...)
	}
	for i, l := range all {
		if want := fmt.Sprintf("/%d ", 5000-len(all)+i); !strings.Contains(l, want) {
			t.Fatalf("line %d is %q, want %s", i, l, want)
		}
	}
}

func TestFullDiskLosesLinesAndNothingElse(t *testing.T) {
	var log bytes.Buffer
	o := DefaultOptions()
	o.Path = "/dev/full"
	w, err := New(o, "n1", slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Skipf("no /dev/full: %v", err)
	}
	for i := range 10 {
		w.Log(numbered(i))
		if i%2 == 1 {
			w.flush()
		}
	}
	if w.Dropped() != 10 {
		t.Errorf("%d lines dropped", w.Dropped())
	}
	if n := strings.Count(log.String(), "level=ERROR"); n != 1 {
		t.Errorf("%d messages:\n%s", n, &log)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
}

// limitFiles makes the kernel stop writes in the middle, as a full disk does.
// The limit is the process's: tests that use it must not run in parallel.
func limitFiles(t *testing.T, size uint64) (undo func()) {
	t.Helper()
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: size, Max: old.Max}); err != nil {
		t.Skipf("cannot limit the size of files: %v", err)
	}
	return func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWriteThatStopsHalfwayLeavesWholeLines(t *testing.T) {
	w, path := open(t, nil)
	for i := range 10 {
		w.Log(numbered(i))
	}
	undo := limitFiles(t, 500)
	w.flush()
	undo()
	kept := len(lines(t, path))
	if kept == 0 || kept >= 10 || w.Dropped() != uint64(10-kept) {
		t.Errorf("%d lines kept, %d dropped", kept, w.Dropped())
	}
	w.Log(numbered(10)) // there is room again
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got := lines(t, path); len(got) != kept+1 || !strings.Contains(got[kept], "/10 ") {
		t.Errorf("got %q", got)
	}
}

func TestPipeThatNobodyEmptiesDelaysNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skipf("no pipes: %v", err)
	}
	o := DefaultOptions()
	o.Path = path
	if _, err := New(o, "n1", quiet()); err == nil {
		t.Fatal("opened a pipe without a reader")
	}
	r, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	w, err := New(o, "n1", quiet())
	if err != nil {
		t.Fatal(err)
	}
	w.file.patience = time.Millisecond
	const n = 2000 // more than a pipe holds
	for i := range n {
		w.Log(numbered(i))
	}
	w.flush()
	lost := w.Dropped()
	if lost == 0 || lost == n {
		t.Errorf("%d lines dropped", lost)
	}
	rest := make([]byte, 1<<20)
	got, err := r.Read(rest)
	if err != nil {
		t.Fatal(err)
	}
	w.Log(numbered(n))
	if err := w.Close(); err != nil { // ends the half line first
		t.Fatal(err)
	}
	more, err := r.Read(rest[got:])
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Split(strings.TrimSuffix(string(rest[:got+more]), "\n"), "\n")
	if last := all[len(all)-1]; !strings.HasPrefix(last, "1763634000.123 ") || !strings.Contains(last, "/2000 ") {
		t.Errorf("the last line is %q", last)
	}
	if whole := uint64(len(all) - 1); whole != n-lost && whole != n-lost+1 { // a half line may be among them
		t.Errorf("%d lines, %d lost of %d", whole, lost, n)
	}
}

func TestSlowDiskDropsInsteadOfBlocking(t *testing.T) {
	w, path := open(t, nil)
	const n = 60_000 // about 6 MB, and nobody flushes
	for i := range n {
		w.Log(numbered(i))
	}
	if w.Dropped() == 0 {
		t.Error("nothing dropped")
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got := uint64(len(lines(t, path))); got+w.Dropped() != n {
		t.Errorf("%d written and %d dropped of %d", got, w.Dropped(), n)
	}
}

func TestStripQuery(t *testing.T) {
	w, path := open(t, func(o *Options) { o.StripQuery = true })
	e := numbered(1)
	e.URL = "http://example.com/a?password=x"
	w.Log(e)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got := lines(t, path); len(got) != 1 || !strings.Contains(got[0], " http://example.com/a? ") {
		t.Errorf("got %q", got)
	}
	if !strings.HasSuffix(e.URL, "x") {
		t.Error("the caller's entry was changed")
	}
}

func TestNewSaysWhatIsWrong(t *testing.T) {
	o := DefaultOptions()
	o.Path = filepath.Join(t.TempDir(), "missing", "access.log")
	if _, err := New(o, "n1", quiet()); err == nil || !strings.Contains(err.Error(), "open access log") {
		t.Errorf("error %v", err)
	}
	err := Options{Format: 9, RotateSize: 1, RotateKeep: -1}.Validate()
	for _, key := range []string{"access_log.format", "access_log.rotate_size", "access_log.rotate_keep"} {
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("no %s in %v", key, err)
		}
	}
	if err := DefaultOptions().Validate(); err != nil {
		t.Error(err)
	}
}

func BenchmarkLog(b *testing.B) {
	o := DefaultOptions()
	o.Path = os.DevNull
	w, err := New(o, "n1", quiet())
	if err != nil {
		b.Fatal(err)
	}
	e := sample()
	b.ReportAllocs()
	for b.Loop() {
		if w.add(e) {
			w.flush()
		}
	}
	if err := w.Close(); err != nil || w.Dropped() != 0 {
		b.Errorf("%v, %d dropped", err, w.Dropped())
	}
}
