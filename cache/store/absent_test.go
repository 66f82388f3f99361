package store

import (
	"io"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/cachenode/cachenode/cache"
	"github.com/cachenode/cachenode/internal/units"
)

// What is known of absence ends with the first object, and comes back only from
// the index.
func TestAbsence(t *testing.T) {
	o := DefaultOptions()
	o.Dir, o.Memory, o.Disk = t.TempDir(), 0, 64*units.MiB
	s, err := New(o, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const key = "http://example.com/a"
	h := s.hash(key)
	sh := s.shard(h)
	absent := func() bool {
		sh.mu.RLock()
		defer sh.mu.RUnlock()
		return sh.isAbsent(h)
	}
	lookup := func() int {
		found := s.Lookup(key)
		for _, o := range found {
			o.Release()
		}
		return len(found)
	}
	write := func(vary string) {
		m := &cache.Meta{Key: key, Status: 200, Header: http.Header{}, Length: 4, Total: 4, Received: time.Unix(1, 0),
			Vary: []cache.Selector{{Name: "x", Value: vary, Present: true}}}
		w, err := s.Create(m)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		if _, err := io.WriteString(w, "body"); err != nil {
			t.Fatal(err)
		}
		if err := w.Commit(m); err != nil {
			t.Fatal(err)
		}
	}
	written := func() {
		done := make(chan answer, 1)
		if err := s.disk.enqueue(op{kind: opSync, done: done}); err != nil {
			t.Fatal(err)
		}
		<-done
	}

	if absent() {
		t.Error("absence is known before anybody looked")
	}
	if lookup() != 0 || !absent() || lookup() != 0 {
		t.Error("a miss does not note the absence")
	}
	write("1")
	if lookup() != 1 {
		t.Error("an object that waits for the keeper is not found")
	}
	written()
	if absent() || lookup() != 1 {
		t.Error("the first object does not end the absence")
	}
	write("2") // not the first: what the index has must stay
	written()
	if n := lookup(); n != 2 {
		t.Errorf("%d variants, want 2", n)
	}
	if st := s.Stats(); st.Objects != 2 {
		t.Errorf("%d objects are counted, want 2", st.Objects)
	}
	if !s.Delete(key) || lookup() != 0 || !absent() {
		t.Error("a deletion does not bring the absence back")
	}
	write("3")
	write("4") // both before the keeper has seen either
	written()
	if n := lookup(); n != 2 {
		t.Errorf("%d variants, want 2", n)
	}
	if st := s.Stats(); st.Objects != 2 {
		t.Errorf("%d objects are counted, want 2", st.Objects)
	}
}
