package store_test

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zeebo/xxh3"

	"github.com/cachenode/cachenode/cache/store"
	"github.com/cachenode/cachenode/cache/store/storetest"
	"github.com/cachenode/cachenode/internal/transcript"
	"github.com/cachenode/cachenode/internal/units"
)

// openTold opens and runs a store whose log is kept.
func openTold(t *testing.T, o store.Options) (*store.Store, *transcript.Transcript) {
	t.Helper()
	log := &transcript.Transcript{}
	s, err := store.New(o, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // Close is idempotent
	running(t, s)
	return s, log
}

// A segment that is missing or cut off is told in one line, with what is lost,
// and what is lost is off the index.
func TestLostSegmentsAreTold(t *testing.T) {
	const (
		small, size = 40, 30_000
		large       = 5 << 20 // in a file of its own
	)
	for _, tt := range []struct {
		name string
		lose func(t *testing.T, dir string)
		want string
		left int // of the small ones; -1: some
		own  bool
	}{
		{"missing", removeAll(".seg"), "segments=1 objects=40", 0, true},
		{"empty", truncateAll(".seg", 0), "segments=1 objects=40", 0, true},
		{"cut off", truncateAll(".seg", 20*size), "segments=1 objects=", -1, true},
		{"large missing", removeAll(".obj"), "segments=1 objects=1", small, false},
		{"large cut off", truncateTails(".obj"), "segments=1 objects=1", small, false},
		{"all", func(t *testing.T, dir string) { removeAll(".obj")(t, dir); removeAll(".seg")(t, dir) }, "segments=2 objects=41", 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := options(t)
			o.Memory = 0
			s := openIn(t, o)
			keys := fill(t, s, small, size)
			storetest.Put(t, s, "http://example.com/large", storetest.Body("large", large))
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			tt.lose(t, o.Dir)

			s, log := openTold(t, o)
			until(t, "the loss is told", func() bool { return strings.Contains(log.String(), "stored objects are lost") })
			if got := log.String(); !strings.Contains(got, tt.want) || strings.Count(got, "level=WARN") != 1 {
				t.Errorf("the log has %q, want one warning with %q", got, tt.want)
			}
			hits := check(t, s, keys, size)
			if tt.left >= 0 && hits != tt.left || tt.left < 0 && (hits == 0 || hits == small) {
				t.Errorf("%d of %d are left, want %d", hits, small, tt.left)
			}
			if _, ok := storetest.Get(t, s, "http://example.com/large"); ok != tt.own {
				t.Errorf("the large one is there: %v", ok)
			}
			st := s.Stats()
			if got := int64(st.Missing) + st.Objects; got != small+1 {
				t.Errorf("%d objects are missing and %d left, of %d", st.Missing, st.Objects, small+1)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s, log = openTold(t, o)
			if check(t, s, keys, size) != hits || strings.Contains(log.String(), "lost") || s.Stats().Missing != 0 {
				t.Errorf("the next start tells it again: %s", log.String())
			}
		})
	}
}

// What an eviction took, or a purge, is not lost.
func TestEvictedIsNotLost(t *testing.T) {
	o := options(t)
	o.Memory, o.Disk = 0, 64*units.MiB
	s := openIn(t, o)
	for i := range 200 {
		put(t, s, fmt.Sprint("http://example.com/", i), storetest.Body("x", 900_000))
	}
	until(t, "objects are written", settled(s))
	if s.Stats().Evictions == 0 {
		t.Fatal("nothing was evicted")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, log := openTold(t, o)
	if _, err := s.Purge(t.Context(), store.Match{All: true}); err != nil {
		t.Fatal(err)
	}
	until(t, "the purge is swept", func() bool { return s.Stats().Purges == 0 })
	if s.Stats().Missing != 0 || strings.Contains(log.String(), "lost") {
		t.Errorf("%d are missing: %s", s.Stats().Missing, log.String())
	}
}

// A file that goes while the store is open is told too.
func TestSegmentRemovedUnderTheStore(t *testing.T) {
	o := options(t)
	o.Memory, o.ScrubRate = 0, 0 // nobody opens the file before
	s := openIn(t, o)
	keys := fill(t, s, 10, 30_000)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, log := openTold(t, o)
	removeAll(".seg")(t, o.Dir)
	if n := check(t, s, keys, 30_000); n != 0 {
		t.Errorf("%d are there", n)
	}
	until(t, "the loss is told", func() bool { return strings.Contains(log.String(), "segments=1 objects=10") })
	if st := s.Stats(); st.Missing != 10 || st.Objects != 0 {
		t.Errorf("%+v", st)
	}
}

// A state of the version before, which knows nothing of the segments, is read.
func TestStateOfVersion1(t *testing.T) {
	o := options(t)
	s := openIn(t, o)
	keys := fill(t, s, 10, 100)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(o.Dir, "segments", "state")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(b); at += 512 {
		slot := b[at:min(at+512, len(b))]
		binary.LittleEndian.PutUint32(slot[4:], 1)
		binary.LittleEndian.PutUint64(slot[64:], xxh3.Hash(slot[:64]))
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	s, log := openTold(t, o)
	if n := check(t, s, keys, 100); n != len(keys) || strings.Contains(log.String(), "WARN") {
		t.Errorf("%d are there: %s", n, log.String())
	}
}
