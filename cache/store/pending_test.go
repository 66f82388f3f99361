package store_test

import (
	"testing"

	"github.com/cachenode/cachenode/cache"
	"github.com/cachenode/cachenode/cache/store"
	"github.com/cachenode/cachenode/cache/store/storetest"
	"github.com/cachenode/cachenode/internal/units"
)

// An update is seen from when it was made, also when the index has it and another
// change of its key is still on its way there.
func TestUpdateInFrontOfAnotherChange(t *testing.T) {
	release := func(objs []cache.Object) {
		for _, o := range objs {
			o.Release()
		}
	}
	for name, memory := range map[string]units.Size{"memory and disk": 16 * units.MiB, "disk": 0} {
		t.Run(name, func(t *testing.T) {
			s := open(t, func(o *store.Options) { o.Memory = memory })
			const key, other = "http://example.com/two", "http://example.com/other"
			put(t, s, other, []byte("other"))
			de := storetest.Meta(key, 4, lang("de"))
			if err := storetest.TryPut(s, de, []byte("body")); err != nil {
				t.Fatal(err)
			}
			until(t, "it is written", settled(s))
			release(s.Lookup(key)) // so that the memory tier knows it
			fresh := storetest.Meta(key, 4, lang("de"))
			fresh.Header.Set("X-Fresh", "yes")
			objs := s.Lookup(key)
			if err := s.Update(objs[0], fresh); err != nil {
				t.Fatal(err)
			}
			release(objs)
			if err := storetest.TryPut(s, storetest.Meta(key, 4, lang("en")), []byte("body")); err != nil {
				t.Fatal(err)
			}
			s.Delete(other) // waits for the index, which takes the update along
			objs = s.Lookup(key)
			defer release(objs)
			if len(objs) != 2 {
				t.Fatalf("%d objects", len(objs))
			}
			storetest.SameMeta(t, objs[1].Meta(), fresh)
		})
	}
}
