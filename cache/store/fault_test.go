package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cachenode/cachenode/cache"
	"github.com/cachenode/cachenode/cache/store"
	"github.com/cachenode/cachenode/cache/store/storetest"
	"github.com/cachenode/cachenode/internal/units"
)

// until polls for what happens soon.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// running runs the background work of s for the length of a test.
func running(t *testing.T, s *store.Store) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
}

func settled(s *store.Store) func() bool {
	return func() bool { return s.Stats().Pending == 0 }
}

func fill(t testing.TB, s *store.Store, n, size int) []string {
	t.Helper()
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprint("http://example.com/fill/", i)
		put(t, s, keys[i], storetest.Body(keys[i], size))
	}
	return keys
}

// put stores a body, however slow the disk is.
func put(t testing.TB, s *store.Store, key string, body []byte) {
	t.Helper()
	m := storetest.Meta(key, int64(len(body)))
	for {
		before := s.Stats().Overruns
		err := storetest.TryPut(s, m, body)
		if err == nil {
			return
		}
		if !errors.Is(err, cache.ErrFull) || s.Stats().Overruns == before {
			t.Fatalf("put %s: %v", key, err)
		}
	}
}

// check reads keys and returns how many are hits; a wrong body fails the test.
func check(t testing.TB, s *store.Store, keys []string, size int) (hits int) {
	t.Helper()
	for _, key := range keys {
		body, ok := storetest.Get(t, s, key)
		if !ok {
			continue
		}
		hits++
		if !bytes.Equal(body, storetest.Body(key, size)) {
			t.Fatalf("%s: wrong body", key)
		}
	}
	return hits
}

func TestSecondProcess(t *testing.T) {
	o := options(t)
	openIn(t, o)
	_, err := store.New(o, discard)
	var locked *store.LockedError
	if !errors.As(err, &locked) || locked.PID != os.Getpid() || locked.Dir != o.Dir {
		t.Fatalf("error is %v, want a LockedError with our pid", err)
	}
}

// mount mounts a tmpfs; only root can.
func mount(t *testing.T, dir, opts string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can mount a tmpfs")
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, opts); err != nil {
		t.Skipf("mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

func TestReadOnlyDirectory(t *testing.T) {
	dir := t.TempDir()
	mount(t, dir, "size=8m")
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, "size=8m"); err != nil {
		t.Skipf("remount read-only: %v", err)
	}
	o := options(t)
	o.Dir = filepath.Join(dir, "data")
	_, err := store.New(o, discard)
	var bad *store.DirError
	if !errors.As(err, &bad) || !errors.Is(err, unix.EROFS) {
		t.Fatalf("error is %v, want a DirError for a read-only file system", err)
	}
}

func TestUnwritableDirectory(t *testing.T) {
	o := options(t)
	file := filepath.Join(o.Dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	o.Dir = filepath.Join(file, "data")
	_, err := store.New(o, discard)
	if _, ok := errors.AsType[*store.DirError](err); !ok {
		t.Fatalf("error is %v, want a DirError", err)
	}
}

func TestFullDiskAndRecovery(t *testing.T) {
	dir := t.TempDir()
	mount(t, dir, "size=96m")
	o := options(t)
	o.Dir = filepath.Join(dir, "data")
	o.Memory, o.Disk = units.MiB, 10*units.GiB
	s := openIn(t, o)
	running(t, s)

	keys := fill(t, s, 3000, 10_000)
	until(t, "objects are written", settled(s))
	if hits := check(t, s, keys, 10_000); hits < 2000 {
		t.Fatalf("%d of 3000 objects on a disk with room", hits)
	}

	hog := filepath.Join(dir, "hog")
	takeAll(t, hog)
	until(t, "the store notices", func() bool { return s.Stats().ReadOnly })
	refused := 0
	for i := range 2000 {
		key := fmt.Sprint("http://example.com/full/", i)
		err := storetest.TryPut(s, storetest.Meta(key, 5000), storetest.Body(key, 5000))
		if err != nil && !errors.Is(err, cache.ErrFull) {
			t.Fatalf("error of a full disk is %v", err)
		}
		if err != nil {
			refused++
		}
		takeAll(t, hog) // whatever the store frees
	}
	check(t, s, keys, 10_000)
	if s.Delete(keys[len(keys)-1]); len(s.Lookup(keys[len(keys)-1])) != 0 {
		t.Error("an object outlives its deletion on a full disk")
	}
	t.Logf("%d of 2000 refused, %+v", refused, s.Stats())
	if refused == 0 {
		t.Error("nothing was refused")
	}

	// A restart on the full disk, and what the deletion is worth then.
	s = reopenRunning(t, s, o)
	if len(s.Lookup(keys[len(keys)-1])) != 0 {
		t.Error("a restart undid a deletion on a full disk")
	}
	check(t, s, keys, 10_000)

	if err := os.Remove(hog); err != nil {
		t.Fatal(err)
	}
	if s.Stats().Capacity == 0 { // it gave up everything, and even so had no room to open the index
		s = reopenRunning(t, s, o)
	}
	until(t, "the store is writable again", func() bool { return !s.Stats().ReadOnly })
	storetest.Put(t, s, "http://example.com/after", storetest.Body("after", 5000))
	until(t, "it is written", settled(s))
	s = reopenRunning(t, s, o)
	if body, ok := storetest.Get(t, s, "http://example.com/after"); !ok || !bytes.Equal(body, storetest.Body("after", 5000)) {
		t.Error("what was stored after the recovery is lost")
	}
}

// A store that may take more than its file system has lets old objects go for new
// ones, as one at its quota does, and never stops storing.
func TestDiskSmallerThanTheQuota(t *testing.T) {
	dir := t.TempDir()
	mount(t, dir, "size=96m")
	o := options(t)
	o.Dir = filepath.Join(dir, "data")
	o.Memory, o.Disk = 0, 10*units.GiB
	s := openIn(t, o)
	running(t, s)
	const count = 600
	size := func(i int) int { return []int{10_000, 200_000, 1_700_000}[i%3] }
	key := func(i int) string { return fmt.Sprint("http://example.com/", i) }
	for i := range count { // 380 MB
		put(t, s, key(i), storetest.Body(key(i), size(i)))
		if s.Stats().ReadOnly {
			t.Fatalf("read-only after %d objects", i+1)
		}
	}
	until(t, "objects are written", settled(s))
	kept := 0
	for i := count - 90; i < count; i++ { // the last 57 MB
		kept += check(t, s, []string{key(i)}, size(i))
	}
	if st := s.Stats(); kept < 60 || st.IOErrors > 0 || st.Evictions == 0 {
		t.Errorf("%d of the last 90 objects are kept, %+v", kept, st)
	}
}

func reopenRunning(t *testing.T, s *store.Store, o store.Options) *store.Store {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openIn(t, o)
	running(t, s)
	return s
}

// takeAll grows a file until the file system is full.
func takeAll(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for b := make([]byte, 1<<20); len(b) >= 4096; {
		if _, err := f.Write(b); err != nil {
			b = b[:len(b)/2]
		}
	}
}

// files are the files of a store whose names end so.
func files(t *testing.T, dir, suffix string) []string {
	t.Helper()
	var paths []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, suffix) && !d.IsDir() {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// flip inverts a byte in each step of a file.
func flip(t *testing.T, path string, from, step int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	var b [1]byte
	for off := from; off < info.Size(); off += step {
		if _, err := f.ReadAt(b[:], off); err != nil {
			t.Fatal(err)
		}
		b[0] ^= 0xff
		if _, err := f.WriteAt(b[:], off); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFlippedBodiesAreMisses(t *testing.T) {
	o := options(t)
	s := openIn(t, o)
	keys := fill(t, s, 100, 20_000)
	large := storetest.Body("large", 3<<20)
	storetest.Put(t, s, "http://example.com/large", large)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range files(t, o.Dir, ".seg") {
		flip(t, path, 50_000, 200_000)
	}
	for _, path := range files(t, o.Dir, ".obj") {
		flip(t, path, 1<<20, 4<<20)
	}
	s = openIn(t, o)
	hits := check(t, s, keys, 20_000)
	st := s.Stats()
	if hits == 100 || hits < 80 || int(st.Corrupt) != 100-hits {
		t.Errorf("%d hits of 100 with every tenth body damaged, %d counted", hits, st.Corrupt)
	}
	objs := s.Lookup("http://example.com/large")
	_, err := io.ReadAll(io.NewSectionReader(objs[0], 0, 3<<20))
	objs[0].Release()
	if !errors.Is(err, cache.ErrCorrupt) {
		t.Errorf("reading the damaged large body gives %v", err)
	}
	if len(s.Lookup("http://example.com/large")) != 0 {
		t.Error("the damaged large object was not dropped")
	}
	s = reopen(t, s, o)
	if again := check(t, s, keys, 20_000); again != hits || s.Stats().Corrupt != 0 {
		t.Errorf("%d hits and %d damaged after dropping the damaged, want %d and 0", again, s.Stats().Corrupt, hits)
	}
}

// Whatever is done to the files of the index, a store starts and serves no
// wrong byte.
func TestDamagedIndexStartsEmpty(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, index string){
		"truncated table":    truncateAll(".sst", 1000),
		"empty table":        truncateAll(".sst", 0),
		"table without tail": truncateTails(".sst"),
		"missing table":      removeAll(".sst"),
		"truncated manifest": truncateAll("MANIFEST", 10),
		"flipped manifest":   flipAll("MANIFEST", 20, 1),
		"missing manifest":   removeAll("MANIFEST"),
		"empty memory table": truncateAll(".mem", 0),
		"flipped memory":     flipAll(".mem", 40, 999),
		"empty value log":    truncateAll(".vlog", 0),
		"flipped registry":   flipAll("KEYREGISTRY", 0, 1),
		"empty discard":      truncateAll("DISCARD", 0),
		"short discard":      truncateAll("DISCARD", 5),
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t)
			s := openIn(t, o)
			keys := fill(t, s, 3000, 300)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			damage(t, filepath.Join(o.Dir, "index"))
			for range 2 {
				s = openIn(t, o)
				hits := check(t, s, keys, 300)
				t.Logf("%d of 3000 are there", hits)
				storetest.Put(t, s, "http://example.com/new", []byte("new"))
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
			s = openIn(t, o)
			if _, ok := storetest.Get(t, s, "http://example.com/new"); !ok {
				t.Error("a new object is lost")
			}
		})
	}
}

func each(suffix string, do func(path string) error) func(t *testing.T, dir string) {
	return func(t *testing.T, dir string) {
		paths := files(t, dir, suffix)
		if len(paths) == 0 {
			t.Skipf("the index has no file %s", suffix)
		}
		for _, path := range paths {
			if err := do(path); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func truncateAll(suffix string, size int64) func(t *testing.T, dir string) {
	return each(suffix, func(path string) error { return os.Truncate(path, size) })
}

func truncateTails(suffix string) func(t *testing.T, dir string) {
	return each(suffix, func(path string) error {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		return os.Truncate(path, info.Size()-1)
	})
}

func removeAll(suffix string) func(t *testing.T, dir string) { return each(suffix, os.Remove) }

func flipAll(suffix string, from, step int64) func(t *testing.T, dir string) {
	return func(t *testing.T, dir string) {
		for _, path := range files(t, dir, suffix) {
			flip(t, path, from, step)
		}
	}
}

func TestFlippedIndexServesNoWrongByte(t *testing.T) {
	o := options(t)
	s := openIn(t, o)
	keys := fill(t, s, 5000, 300)
	s = reopen(t, s, o) // so that all is in tables
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range files(t, o.Dir, ".sst") {
		flip(t, path, 5000, 40_000)
	}
	s = openIn(t, o)
	hits := check(t, s, keys, 300)
	t.Logf("%d of 5000 are there", hits)
}

func TestForeignStateStartsEmpty(t *testing.T) {
	o := options(t)
	s := openIn(t, o)
	fill(t, s, 10, 100)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(o.Dir, "segments", "state"), []byte("something else"), 0o600); err != nil {
		t.Fatal(err)
	}
	s = openIn(t, o)
	if st := s.Stats(); st.Objects != 0 || st.Segments != 0 {
		t.Errorf("not empty: %+v", st)
	}
	if aside := files(t, o.Dir, "MANIFEST"); len(aside) != 2 {
		t.Errorf("the old index is not set aside: %v", aside)
	}
}

// What is lost with a file that is missing or cut off is set aside with a word,
// never dropped in silence.
func TestLostFilesAreTold(t *testing.T) {
	for name, lose := range map[string]func(dir string) error{
		"no state":       func(dir string) error { return os.Remove(filepath.Join(dir, "segments", "state")) },
		"empty state":    func(dir string) error { return os.Truncate(filepath.Join(dir, "segments", "state"), 0) },
		"no manifest":    func(dir string) error { return os.Remove(filepath.Join(dir, "index", "MANIFEST")) },
		"empty manifest": func(dir string) error { return os.Truncate(filepath.Join(dir, "index", "MANIFEST"), 0) },
		"bare manifest":  func(dir string) error { return os.Truncate(filepath.Join(dir, "index", "MANIFEST"), 8) },
	} {
		t.Run(name, func(t *testing.T) {
			var told bytes.Buffer
			o := options(t)
			again := func() *store.Store {
				told.Reset()
				s, err := store.New(o, slog.New(slog.NewTextHandler(&told, nil)))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = s.Close() }) // Close is idempotent
				return s
			}
			s := again()
			keys := fill(t, s, 10, 100)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if err := lose(o.Dir); err != nil {
				t.Fatal(err)
			}
			s = again()
			if !strings.Contains(told.String(), "set aside") {
				t.Errorf("the log has %q", told.String())
			}
			if n := check(t, s, keys, 100); n != 0 {
				t.Errorf("%d are there", n)
			}
			keys = fill(t, s, 10, 100)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if n := check(t, again(), keys, 100); n != len(keys) || strings.Contains(told.String(), "set aside") {
				t.Errorf("%d of those stored since are there: %s", n, told.String())
			}
		})
	}
}

func TestEvictWhileReading(t *testing.T) {
	o := options(t)
	o.Memory, o.Disk = 0, 64*units.MiB
	s := openIn(t, o)
	small, large := storetest.Body("small", 20_000), storetest.Body("large", 5<<20)
	storetest.Put(t, s, "http://example.com/small", small)
	storetest.Put(t, s, "http://example.com/large", large)
	until(t, "objects are written", settled(s))
	one, two := s.Lookup("http://example.com/small")[0], s.Lookup("http://example.com/large")[0]
	for i := range 200 {
		put(t, s, fmt.Sprint("http://example.com/", i), storetest.Body("x", 900_000))
	}
	if s.Stats().Evictions == 0 {
		t.Fatal("nothing was evicted")
	}
	for o, want := range map[cache.Object][]byte{one: small, two: large} {
		if got, err := storetest.Read(o); err != nil || !bytes.Equal(got, want) {
			t.Errorf("an object of %d bytes that was being read is gone: %v", len(want), err)
		}
		o.Release()
	}
}

func TestSecondChance(t *testing.T) {
	o := options(t)
	o.Memory, o.Disk = 0, 64*units.MiB
	s := openIn(t, o)
	hot := []string{"http://example.com/small", "http://example.com/large"}
	storetest.Put(t, s, hot[0], storetest.Body(hot[0], 20_000))
	storetest.Put(t, s, hot[1], storetest.Body(hot[1], 3<<20))
	until(t, "objects are written", settled(s))
	for i := range 300 {
		for _, key := range hot {
			if _, ok := storetest.Get(t, s, key); !ok {
				t.Fatalf("%s is gone after %d others although it is hit again and again", key, i)
			}
		}
		put(t, s, fmt.Sprint("http://example.com/", i), storetest.Body("x", 900_000))
	}
	st := s.Stats()
	if st.Survivors == 0 || st.Evictions < 10 {
		t.Errorf("%+v", st)
	}
	if _, ok := storetest.Get(t, s, "http://example.com/0"); ok {
		t.Error("an object that nobody asked for is still there")
	}
}

func TestScrubFindsDamage(t *testing.T) {
	o := options(t)
	o.ScrubRate = 100 * units.MiB
	s := openIn(t, o)
	fill(t, s, 20, 20_000)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range files(t, o.Dir, ".seg") {
		flip(t, path, 50_000, 1<<30)
	}
	s = openIn(t, o)
	running(t, s)
	until(t, "the damaged body is found", func() bool { return s.Stats().Corrupt == 1 })
}

func TestTiersOff(t *testing.T) {
	s := open(t, func(o *store.Options) { o.Memory, o.Disk = 0, 0 })
	if _, err := s.Create(storetest.Meta("http://example.com/", 1)); !errors.Is(err, cache.ErrFull) {
		t.Errorf("Create without tiers gives %v", err)
	}
	s = open(t, func(o *store.Options) { o.Disk = 0 })
	err := storetest.TryPut(s, storetest.Meta("http://example.com/", -1), storetest.Body("", 2<<20))
	if !errors.Is(err, cache.ErrTooLarge) {
		t.Errorf("a body over the limit of the memory tier gives %v", err)
	}
}

func TestDieWhileOpening(t *testing.T) {
	if os.Getenv(childEnv) != "" {
		t.Skip("this is the parent's test")
	}
	o := options(t)
	s := openIn(t, o)
	fill(t, s, 10, 100)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestDieChild$")
		cmd.Env = append(os.Environ(), childEnv+"="+o.Dir)
		if err := cmd.Run(); err == nil {
			t.Fatal("the child lived")
		}
	}
	s = openIn(t, o)
	if st := s.Stats(); st.Objects != 0 {
		t.Errorf("the index that two starts died of is still in use: %+v", st)
	}
}

// TestDieChild dies in the middle of opening.
func TestDieChild(t *testing.T) {
	dir := os.Getenv(childEnv)
	if dir == "" {
		t.Skip("only as the child of TestDieWhileOpening")
	}
	o := store.DefaultOptions()
	o.Dir, o.Disk = dir, 256*units.MiB
	store.DieOpening(o)
}
