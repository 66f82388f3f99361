package store_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/cachenode/cachenode/cache/store/storetest"
	"github.com/cachenode/cachenode/internal/units"
)

// What was in a segment is known without reading it, from the list at its end, and
// without the list by reading it.
func TestEvictionKnowsWhatWasThere(t *testing.T) {
	for name, damage := range map[string]func(segment []byte) []byte{
		"list":    func(b []byte) []byte { return withoutEntries(t, b) },
		"no list": func(b []byte) []byte { return b[:len(b)-8] },
		"damaged list": func(b []byte) []byte {
			b[len(b)-100] ^= 1
			return b
		},
	} {
		t.Run(name, func(t *testing.T) {
			const size = 20_000
			o := options(t)
			o.Memory, o.Disk = 0, 64*units.MiB
			s := openIn(t, o)
			keys := fill(t, s, 1000, size)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			segments := files(t, o.Dir, ".seg")
			slices.Sort(segments)
			oldest := segments[0]
			b, err := os.ReadFile(oldest)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(oldest, damage(b), 0o600); err != nil {
				t.Fatal(err)
			}
			s = openIn(t, o)
			for i := 0; slices.Contains(files(t, o.Dir, ".seg"), oldest); i++ {
				put(t, s, fmt.Sprint("http://example.com/more/", i), storetest.Body("more", 900_000))
				if i == 1000 {
					t.Fatal("it is not evicted")
				}
			}
			until(t, "objects are written", settled(s))
			objects, hits := s.Stats().Objects, int64(0)
			for i := range objects + 1 {
				if _, ok := storetest.Get(t, s, fmt.Sprint("http://example.com/more/", i)); ok {
					hits++
				}
			}
			if hits += int64(check(t, s, keys, size)); hits != objects {
				t.Errorf("%d objects are counted, %d are there", objects, hits)
			}
		})
	}
}

// withoutEntries damages all headers of the entries but the first in a segment.
func withoutEntries(t *testing.T, b []byte) []byte {
	t.Helper()
	magic := binary.LittleEndian.Uint32(b)
	n := 0
	for off := 64; off+64 <= len(b); off += 64 {
		if binary.LittleEndian.Uint32(b[off:]) == magic {
			b[off] ^= 0xff
			n++
		}
	}
	if n < 10 {
		t.Fatalf("%d entries", n)
	}
	return b
}
