package store

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"github.com/cachenode/cachenode/cache"
	"github.com/cachenode/cachenode/internal/units"
)

// However many bodies are written at a time, they take a bounded amount of memory:
// those that need more go to files early, and come out whole.
func TestManyBodiesAtATime(t *testing.T) {
	s := onDiskOnly(t, units.GiB)
	const count, size, part = 150, 700_000, 50_000
	key := func(i int) string { return fmt.Sprint("http://example.com/", i) }
	meta := func(i int) *cache.Meta { return &cache.Meta{Key: key(i), Status: 200, Length: size} }
	writers, bodies := make([]cache.Writer, count), make([][]byte, count)
	for i := range writers {
		bodies[i] = leaseBody(key(i), size)
		var err error
		if writers[i], err = s.Create(meta(i)); err != nil {
			t.Fatal(err)
		}
	}
	most := int64(0)
	for off := 0; off < size; off += part {
		for i, w := range writers {
			p := bodies[i][off : off+part]
			if room := w.Reserve(len(p)); i%2 == 0 && len(room) > 0 {
				n := copy(room, p)
				w.Advance(n)
				p = p[n:]
			}
			if _, err := w.Write(p); err != nil {
				t.Fatal(err)
			}
			most = max(most, s.building.Load())
		}
	}
	if bound := int64(minBuilding + count*exactUpTo); most <= minBuilding || most > bound {
		t.Errorf("%d bodies of %d bytes took %d bytes at a time, want %d at most", count, size, most, bound)
	}
	for i, w := range writers {
		got := make([]byte, size)
		if n, err := w.ReadAt(got, 0); n != size || !bytes.Equal(got, bodies[i]) {
			t.Errorf("body %d is another before it is stored: %d bytes, %v", i, n, err)
		}
		if err := w.Commit(meta(i)); err != nil && err != cache.ErrFull { //nolint:errorlint // the disk is slow
			t.Error(err)
		}
		w.Close()
	}
	if n := s.building.Load(); n != 0 {
		t.Errorf("%d bytes are counted when all is written", n)
	}
	kept := 0
	for i := range count {
		for _, o := range s.Lookup(key(i)) {
			kept++
			got, err := io.ReadAll(io.NewSectionReader(o, 0, size))
			if o.Release(); err != nil || !bytes.Equal(got, bodies[i]) {
				t.Errorf("stored body %d: %d bytes, %v", i, len(got), err)
			}
		}
	}
	if kept < count/2 {
		t.Errorf("%d of %d are stored", kept, count)
	}
}
