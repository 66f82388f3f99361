package store

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/cachenode/cachenode/cache"
	"github.com/cachenode/cachenode/internal/units"
)

func openForPresence(t *testing.T, dir string) *Store {
	t.Helper()
	o := DefaultOptions()
	o.Dir, o.Memory, o.Disk = dir, 0, 64*units.MiB
	s, err := New(o, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // a second one does nothing
	return s
}

// variantsOf is how many a look-up finds.
func variantsOf(s *Store, key string) int {
	found := s.Lookup(key)
	for _, o := range found {
		o.Release()
	}
	return len(found)
}

// storeVariant stores four bytes under a key.
func storeVariant(t *testing.T, s *Store, key, vary string) {
	t.Helper()
	m := &cache.Meta{Key: key, Status: 200, Header: http.Header{}, Length: 4, Total: 4, Received: time.Unix(1, 0),
		Vary: []cache.Selector{{Name: "x", Value: vary, Present: true}}}
	w, err := s.Create(m)
	if err != nil {
		t.Error(err)
		return
	}
	defer w.Close()
	if _, err := io.WriteString(w, "body"); err != nil {
		t.Error(err)
	}
	for w.Commit(m) != nil { // the disk is slow
		time.Sleep(time.Millisecond)
	}
}

// awaitIndex waits until the index has what was stored.
func awaitIndex(t *testing.T, s *Store) {
	t.Helper()
	if err := s.disk.settle(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A new store knows that it has nothing, and of each object from when it is
// indexed; what it does not know of is still found before it has learnt.
func TestPresence(t *testing.T) {
	dir := t.TempDir()
	s := openForPresence(t, dir)
	const key, other = "http://example.com/a", "http://example.com/b"
	if s.disk.idx.known.has(s.hash(key)) {
		t.Error("a new store may have a key")
	}
	storeVariant(t, s, key, "1")
	if variantsOf(s, key) != 1 {
		t.Error("an object that waits for the keeper is not found")
	}
	awaitIndex(t, s)
	if !s.disk.idx.known.has(s.hash(key)) || variantsOf(s, key) != 1 {
		t.Error("an indexed object is not known")
	}
	storeVariant(t, s, key, "2") // not the first: what the index has must stay
	awaitIndex(t, s)
	if n, st := variantsOf(s, key), s.Stats(); n != 2 || st.Objects != 2 {
		t.Errorf("%d variants, %d objects, want 2", n, st.Objects)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = openForPresence(t, dir)
	if !s.disk.idx.known.has(s.hash(other)) {
		t.Error("a store knows what it has not before it has looked")
	}
	if n := variantsOf(s, key); n != 2 {
		t.Errorf("%d variants before the store has learnt, want 2", n)
	}
	if err := s.disk.learn(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.disk.idx.known.has(s.hash(other)) || !s.disk.idx.known.has(s.hash(key)) {
		t.Error("the store has learnt something else than what there is")
	}
	if n := variantsOf(s, key); n != 2 {
		t.Errorf("%d variants when the store has learnt, want 2", n)
	}
	if !s.Delete(key) || variantsOf(s, key) != 0 {
		t.Error("a deleted object is found")
	}
	if err := s.disk.learn(t.Context()); err != nil || s.disk.idx.known.has(s.hash(key)) {
		t.Error("what was deleted is still known after a rebuild", err)
	}
}

// What is stored while the store learns is found.
func TestPresenceLearnsUnderWay(t *testing.T) {
	s := openForPresence(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	var learner sync.WaitGroup
	learner.Go(func() {
		for ctx.Err() == nil {
			if err := s.disk.learn(ctx); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		}
	})
	const n = 3000
	for i := range n {
		storeVariant(t, s, fmt.Sprint("http://example.com/", i), "")
	}
	awaitIndex(t, s)
	cancel()
	learner.Wait()
	for i := range n {
		if key := fmt.Sprint("http://example.com/", i); variantsOf(s, key) != 1 {
			t.Fatal(key, "is lost")
		}
	}
}

func TestKeySetErrsRarely(t *testing.T) {
	s := &Store{seed: 1}
	set := newKeySet(0)
	for i := range minKeySet {
		set.add(s.hash(fmt.Sprint("in", i)))
	}
	wrong := 0
	for i := range minKeySet {
		if !set.has(s.hash(fmt.Sprint("in", i))) {
			t.Fatal("a key is lost")
		}
		if set.has(s.hash(fmt.Sprint("out", i))) {
			wrong++
		}
	}
	if wrong > minKeySet/50 {
		t.Errorf("%d of %d are taken for known", wrong, minKeySet)
	}
	t.Logf("%d of %d are taken for known; %d of %d were counted", wrong, minKeySet, set.n.Load(), minKeySet)
}
