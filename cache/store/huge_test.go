package store_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/zeebo/xxh3"

	"github.com/cachenode/cachenode/cache/store"
	"github.com/cachenode/cachenode/cache/store/storetest"
	"github.com/cachenode/cachenode/internal/units"
)

// A body of more than one group of blocks goes through in little memory and
// comes back over a restart.
func TestHugeBody(t *testing.T) {
	if testing.Short() {
		t.Skip("writes much")
	}
	o := options(t)
	o.Memory, o.Disk, o.MaxObject = 0, units.GiB, 0
	s := openIn(t, o)
	const length = 300<<20 + 12345
	source := storetest.Body("huge", 1<<20+7)
	body := io.LimitReader(repeat{source, new(int)}, length)
	w, err := s.Create(storetest.Meta("http://example.com/huge", -1))
	if err != nil {
		t.Fatal(err)
	}
	sum := xxh3.New()
	if _, err := io.CopyBuffer(struct{ io.Writer }{w}, io.TeeReader(body, sum), make([]byte, 50_000)); err != nil {
		t.Fatal(err)
	}
	tail := make([]byte, 1000)
	if _, err := w.ReadAt(tail, 256<<20-500); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(storetest.Meta("http://example.com/huge", length)); err != nil {
		t.Fatal(err)
	}
	w.Close()
	for _, s := range []func() *store.Store{
		func() *store.Store { return s },
		func() *store.Store { s = reopen(t, s, o); return s },
	} {
		obj := s().Lookup("http://example.com/huge")[0]
		got := xxh3.New()
		n, err := io.CopyBuffer(struct{ io.Writer }{got}, io.NewSectionReader(obj, 0, 1<<40), make([]byte, 100_000))
		if err != nil || n != length || got.Sum64() != sum.Sum64() {
			t.Errorf("%d bytes, %v; want %d with the same sum", n, err, length)
		}
		across := make([]byte, 1000)
		if _, err := obj.ReadAt(across, 256<<20-500); err != nil || !bytes.Equal(across, tail) {
			t.Errorf("across two groups: %v, or wrong bytes", err)
		}
		obj.Release()
	}
}

// repeat reads b again and again.
type repeat struct {
	b   []byte
	off *int
}

func (r repeat) Read(p []byte) (int, error) {
	n := copy(p, r.b[*r.off:])
	*r.off = (*r.off + n) % len(r.b)
	return n, nil
}
