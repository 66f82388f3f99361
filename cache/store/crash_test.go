package store_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cachenode/cachenode/cache/store"
	"github.com/cachenode/cachenode/cache/store/storetest"
	"github.com/cachenode/cachenode/internal/units"
)

// reopen closes s and opens its directory again.
func reopen(t testing.TB, s *store.Store, o store.Options) *store.Store {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return openIn(t, o)
}

func openIn(t testing.TB, o store.Options) *store.Store {
	t.Helper()
	s, err := store.New(o, slog.New(closings{slog.DiscardHandler}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // Close is idempotent
	return s
}

func options(t testing.TB) store.Options {
	o := store.DefaultOptions()
	o.Dir = t.TempDir()
	o.Memory = 16 * units.MiB
	o.Disk = 256 * units.MiB
	return o
}

func TestRestartKeepsObjectsAndDeletions(t *testing.T) {
	o := options(t)
	s := openIn(t, o)
	sizes := []int{0, 100, 70_000, 3 << 20}
	name := func(i int) string { return fmt.Sprint("http://example.com/", i) }
	for i := range 200 {
		storetest.Put(t, s, name(i), storetest.Body(name(i), sizes[i%len(sizes)]+i))
	}
	for i := 0; i < 200; i += 3 {
		s.Delete(name(i))
	}
	before := s.Stats()
	for range 2 {
		s = reopen(t, s, o)
		for i := range 200 {
			body, ok := storetest.Get(t, s, name(i))
			if ok != (i%3 != 0) {
				t.Fatalf("%s: hit is %v after restart", name(i), ok)
			}
			if ok && !bytes.Equal(body, storetest.Body(name(i), sizes[i%len(sizes)]+i)) {
				t.Fatalf("%s: wrong body after restart", name(i))
			}
		}
	}
	if st := s.Stats(); st.Objects != 133 || before.Pending == 0 && st.Bytes != before.Bytes {
		t.Errorf("stats after restart: %+v, before %+v", st, before)
	}
}

// The child of TestKill writes until it is killed. Each line it prints is a key
// that was committed, or deleted.
const childEnv = "CACHENODE_STORE_TEST_CHILD"

func TestChild(t *testing.T) {
	dir := os.Getenv(childEnv)
	if dir == "" {
		t.Skip("only as the child of TestKill")
	}
	o := store.DefaultOptions()
	o.Dir, o.Memory, o.Disk = dir, 16*units.MiB, 512*units.MiB
	s, err := store.New(o, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Run(context.Background()) }()
	var mu sync.Mutex // guards out
	out := bufio.NewWriter(os.Stdout)
	say := func(format string, args ...any) {
		mu.Lock()
		fmt.Fprintf(out, format, args...)
		_ = out.Flush()
		mu.Unlock()
	}
	var n atomic.Int64
	for range 4 {
		go func() {
			for {
				i := n.Add(1)
				key := fmt.Sprint("http://example.com/", dir[len(dir)-1:], os.Getpid(), "/", i)
				size := int(1000 + i*7919%30_000)
				if i%50 == 0 {
					size = 2 << 20
				}
				body := storetest.Body(key, size)
				if err := storetest.TryPut(s, storetest.Meta(key, int64(size)), body); err != nil {
					say("error %s %v\n", key, err)
					continue
				}
				say("put %s %d\n", key, size)
				if i%10 == 0 {
					s.Delete(key)
					say("delete %s %d\n", key, size)
				}
				if i%500 == 0 {
					time.Sleep(time.Millisecond)
				}
			}
		}()
	}
	select {}
}

func TestKillUnderLoad(t *testing.T) {
	o := store.DefaultOptions()
	o.Dir, o.Memory, o.Disk = t.TempDir(), 16*units.MiB, 512*units.MiB
	stored := map[string]int{}
	for round := range 3 {
		deleted := runAndKill(t, o.Dir, stored, 1500*time.Millisecond)
		s := openIn(t, o)
		kept := 0
		for key, size := range stored {
			body, ok := storetest.Get(t, s, key)
			if deleted[key] {
				if ok {
					t.Errorf("%s: the kill undid its deletion", key)
				}
				delete(stored, key)
				continue
			}
			if !ok {
				delete(stored, key)
				continue
			}
			kept++
			if !bytes.Equal(body, storetest.Body(key, size)) {
				t.Errorf("%s: wrong body", key)
			}
		}
		t.Logf("round %d: %d objects are there, %+v", round, kept, s.Stats())
		if st := s.Stats(); st.Corrupt > 0 {
			t.Errorf("%d damaged objects", st.Corrupt)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// runAndKill runs the child for some time and kills it. It adds to stored what
// was committed a flush time before the end, and returns what was deleted.
func runAndKill(t *testing.T, dir string, stored map[string]int, after time.Duration) map[string]bool {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestChild$", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
	text, err := io.ReadAll(out)
	if err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	deleted := map[string]bool{}
	puts, lost := 0, 0
	for line := range strings.Lines(string(text)) {
		var what, key string
		var size int
		if _, err := fmt.Sscan(line, &what, &key, &size); err != nil {
			if strings.HasPrefix(line, "error") {
				lost++
			}
			continue
		}
		switch what {
		case "put":
			puts++
			stored[key] = size
		case "delete":
			deleted[key] = true
		}
	}
	if puts == 0 {
		t.Fatalf("the child stored nothing:\n%s", text)
	}
	t.Logf("%d puts, %d deletions, %d refused", puts, len(deleted), lost)
	return deleted
}
