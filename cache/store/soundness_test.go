package store_test

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/cachenode/cachenode/cache"
	"github.com/cachenode/cachenode/cache/store"
	"github.com/cachenode/cachenode/cache/store/storetest"
)

// inFile looks key up and returns what of it can be sent from a file, nil for
// nothing, and what Verify said.
func inFile(t *testing.T, s *store.Store, key string) ([]byte, error) {
	t.Helper()
	objs := s.Lookup(key)
	if len(objs) != 1 {
		t.Fatalf("%d objects of %s", len(objs), key)
	}
	defer objs[0].Release()
	err := objs[0].Verify()
	f, off := objs[0].(cache.InFile).File()
	if f == nil {
		return nil, err
	}
	b := make([]byte, objs[0].Meta().Length)
	if _, err := f.ReadAt(b, off); err != nil {
		t.Fatal(err)
	}
	return b, err
}

// A body of one block need not be read again once it has been checked.
func TestBodiesOfOneBlock(t *testing.T) {
	o := options(t)
	o.Memory = 0
	s := openIn(t, o)
	sizes := map[string]int{"small": 10_000, "block": 64 << 10, "two": 64<<10 + 1}
	for name, n := range sizes {
		storetest.Put(t, s, "http://example.com/"+name, storetest.Body(name, n))
	}
	s = reopen(t, s, o)
	for name, n := range sizes {
		obj := s.Lookup("http://example.com/" + name)[0]
		if b := obj.Bytes(); b != nil {
			t.Errorf("%s: %d bytes before they have been checked", name, len(b))
		}
		if err := obj.Verify(); err != nil {
			t.Error(err)
		}
		if b := obj.Bytes(); (b != nil) != (n <= 64<<10) || b != nil && !bytes.Equal(b, storetest.Body(name, n)) {
			t.Errorf("%s: %d bytes in memory", name, len(b))
		}
		if tier := obj.Tier(); tier != cache.TierDisk {
			t.Errorf("%s: %v", name, tier)
		}
		obj.Release()
	}
}

// A body may be sent from its file only when all of it has been checked, and
// not any more when somebody has written to that file.
func TestBodiesInFiles(t *testing.T) {
	o := options(t)
	o.Memory = 0
	s := openIn(t, o)
	bodies := map[string][]byte{}
	for name, n := range map[string]int{"small": 10_000, "block": 64 << 10, "two": 64<<10 + 1, "mid": 500_000, "large": 3 << 20, "long": 5 << 20} {
		key := "http://example.com/" + name
		bodies[key] = storetest.Body(name, n)
		storetest.Put(t, s, key, bodies[key])
	}
	s = reopen(t, s, o)
	for key, body := range bodies {
		got, err := inFile(t, s, key)
		wanted := len(body) > 64<<10 && len(body) <= 4<<20
		if err != nil || wanted != (got != nil) || wanted && !bytes.Equal(got, body) {
			t.Errorf("%s: %d bytes in a file, %v", key, len(got), err)
		}
	}

	// What is too long for Verify is known when all of it has been read.
	const long = "http://example.com/long"
	if got, ok := storetest.Get(t, s, long); !ok || !bytes.Equal(got, bodies[long]) {
		t.Error("the long body cannot be read")
	}
	if got, _ := inFile(t, s, long); !bytes.Equal(got, bodies[long]) {
		t.Error("the long body cannot be sent after it was read")
	}

	later := time.Now().Add(time.Hour)
	for _, suffix := range []string{".seg", ".obj"} {
		for _, path := range files(t, o.Dir, suffix) {
			flip(t, path, 100_000, 1<<20)
			if err := os.Chtimes(path, later, later); err != nil { // the clock of the file system is coarse
				t.Fatal(err)
			}
		}
	}
	if got, err := inFile(t, s, long); got != nil || err != nil && !errors.Is(err, cache.ErrCorrupt) {
		t.Errorf("%d bytes of a long body in a changed file, %v", len(got), err)
	}
	if got, err := inFile(t, s, "http://example.com/large"); got != nil || !errors.Is(err, cache.ErrCorrupt) {
		t.Errorf("%d bytes of a damaged body, %v", len(got), err)
	}
}
