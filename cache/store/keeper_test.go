package store

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/cachenode/cachenode/cache"
	"github.com/cachenode/cachenode/internal/units"
)

// onDiskOnly opens a store without a memory tier, which ends with the test.
func onDiskOnly(t *testing.T, size units.Size) *Store {
	t.Helper()
	o := DefaultOptions()
	o.Dir, o.Memory, o.Disk = t.TempDir(), 0, size
	s, err := New(o, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// R0023: a write that failed in the middle of an entry, as on a full disk, ended
// the process. Nothing more of that entry is tried, it is not listed, and those
// around it stay whole.
func TestR0023_WriteFailsWithinAnEntry(t *testing.T) {
	t.Run("copied", func(t *testing.T) {
		testWriteFails(t, false, func(*keeper) int { return 100 }, func(k *keeper) int { return len(k.tail.buf) + rand.IntN(1000) })
	})
	t.Run("lent", func(t *testing.T) { // it fails with room left in the buffer
		quarter := func(k *keeper) int { return len(k.tail.buf) / 4 }
		testWriteFails(t, true, quarter, func(k *keeper) int { return quarter(k) + rand.IntN(1000) })
	})
}

// testWriteFails stores three entries, has one fail, and stores three others.
func testWriteFails(t *testing.T, framed bool, size, failing func(k *keeper) int) {
	s := onDiskOnly(t, 64*units.MiB)
	k := newKeeper(s.disk) // beside the store's own, which has nothing to do
	id := uint64(1)
	store := func(size int, framed bool) (listed, error) {
		id++
		h, apart := hash{byte(id)}, []byte("metadata")
		var frame []byte
		body := make([]byte, size)
		if framed {
			frame = make([]byte, frameSize(int64(size), len(apart)))
			body = inFrame(frame, size)[:size]
		}
		at, err := k.appendEntry(h, id, body, apart, frame, nil)
		return listed{h, at.off}, err
	}
	if _, err := store(1, false); err != nil { // which opens a segment
		t.Fatal(err)
	}
	k.contents = k.contents[:0]
	var want []listed
	for range 3 {
		whole, err := store(size(k), framed)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, whole)
	}
	var err error
	writable := k.f
	if k.f, err = os.Open(k.sg.path); err != nil {
		t.Fatal(err)
	}
	if _, err := store(failing(k), false); err == nil {
		t.Fatal("an entry is stored in a file that cannot be written")
	}
	if n := s.n.ioErrors.Load(); n != 1 || !s.disk.readOnly() {
		t.Errorf("%d writes failed, and the store is read-only: %v", n, s.disk.readOnly())
	}
	if err := k.f.Close(); err != nil {
		t.Error(err)
	}
	k.f = writable
	s.disk.space.ro.Store(false)
	for range 3 {
		whole, err := store(20_000, false)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, whole)
	}
	sg := k.sg
	k.seal()
	if s.disk.segs.pin(sg.seq) == nil {
		t.Fatal("the segment cannot be read")
	}
	defer s.disk.segs.unpin(sg)
	got, ok := readContents(sg)
	if !ok || len(got) != len(want) {
		t.Fatalf("%d entries are listed (%v), want %d", len(got), ok, len(want))
	}
	for i, l := range got {
		var head [headerSize]byte
		if err := readFull(sg, head[:], l.off); err != nil {
			t.Fatal(err)
		}
		if e, err := parseHeader(head[:]); l != want[i] || err != nil || e.h != l.h || l.off%entryAlign != 0 {
			t.Errorf("entry %d: listed %v, want %v; at its place is %v, %v", i, l, want[i], e.h, err)
		}
	}
}

// Large objects on their way that have claimed all of the quota are no full disk:
// what is claimed beyond that is refused, and nothing else.
func TestClaimsBeyondTheQuota(t *testing.T) {
	s := onDiskOnly(t, 64*units.MiB)
	var err error
	claimed := int64(0)
	for err == nil && claimed <= int64(s.o.Disk) {
		if err = s.disk.claim(spillStep); err == nil {
			claimed += spillStep
		}
	}
	if !errors.Is(err, cache.ErrFull) || claimed == 0 || s.disk.readOnly() {
		t.Errorf("after %d bytes of %d the error is %v; read-only: %v", claimed, s.o.Disk, err, s.disk.readOnly())
	}
	s.disk.segs.bytes.Add(-claimed)
	if err := s.disk.claim(spillStep); err != nil {
		t.Errorf("when they have gone: %v", err)
	}
}
