package store_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cachenode/cachenode/cache"
	"github.com/cachenode/cachenode/cache/store"
	"github.com/cachenode/cachenode/cache/store/storetest"
	"github.com/cachenode/cachenode/internal/units"
)

// apartSize is the body length of the objects whose metadata are damaged.
const apartSize = 20_000

// onDisk stores objects, closes the store and has change work on the one segment
// that they are in.
func onDisk(t *testing.T, o store.Options, keys []string, change func(segment []byte) []byte) {
	t.Helper()
	s := openIn(t, o)
	for _, key := range keys {
		put(t, s, key, storetest.Body(key, apartSize))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	paths := files(t, o.Dir, ".seg")
	if len(paths) != 1 {
		t.Fatalf("%d segments", len(paths))
	}
	b, err := os.ReadFile(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(paths[0], change(b), 0o600); err != nil {
		t.Fatal(err)
	}
}

// metadataOf is what stands behind the body of key in a segment, checksum included.
func metadataOf(t *testing.T, segment []byte, key string) []byte {
	t.Helper()
	at := bytes.Index(segment, storetest.Body(key, apartSize))
	if at < 64 {
		t.Fatalf("%s is not in the segment", key)
	}
	n := int(binary.LittleEndian.Uint64(segment[at-64+40:]))
	m := segment[at+apartSize : at+apartSize+n]
	if !bytes.Contains(m, []byte(key)) { // its Etag has it
		t.Fatalf("the metadata of %s are not behind its body: %q", key, m)
	}
	return m
}

func names(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("http://example.com/%03d", i)
	}
	return keys
}

// Damaged metadata, and those of another object, make a miss of their object and of
// no other.
func TestDamagedMetadataAreMisses(t *testing.T) {
	keys := names(10)
	for name, tt := range map[string]struct {
		damage func(segment []byte) []byte
		gone   int
	}{
		"flipped": {func(b []byte) []byte {
			metadataOf(t, b, keys[3])[5] ^= 1
			return b
		}, 1},
		"checksum": {func(b []byte) []byte {
			m := metadataOf(t, b, keys[3])
			m[len(m)-1] ^= 1
			return b
		}, 1},
		"exchanged": {func(b []byte) []byte {
			one, two := metadataOf(t, b, keys[3]), metadataOf(t, b, keys[6])
			was := slices.Clone(one)
			if copy(one, two) != copy(two, was) {
				t.Fatal("they are not of the same length")
			}
			return b
		}, 2},
		"entries exchanged": {func(b []byte) []byte {
			one, two := metadataOf(t, b, keys[3]), metadataOf(t, b, keys[6])
			a, c := bytes.Index(b, one), bytes.Index(b, two)
			was := slices.Clone(b[a-apartSize-64 : a+len(one)])
			copy(b[a-apartSize-64:], b[c-apartSize-64:c+len(two)])
			copy(b[c-apartSize-64:], was)
			return b
		}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t)
			o.ScrubRate = 0
			onDisk(t, o, keys, tt.damage)
			s := openIn(t, o)
			for range 2 {
				if hits := check(t, s, keys, apartSize); hits != len(keys)-tt.gone {
					t.Errorf("%d hits, want %d", hits, len(keys)-tt.gone)
				}
			}
			until(t, "what is damaged is dropped", settled(s))
			if st := s.Stats(); int(st.Corrupt) != tt.gone || int(st.Objects) != len(keys)-tt.gone {
				t.Errorf("%d counted as damaged, %d objects left", st.Corrupt, st.Objects)
			}
		})
	}
}

// A segment that ends within metadata has lost their object.
func TestSegmentCutInMetadata(t *testing.T) {
	keys := names(1)
	o := options(t)
	onDisk(t, o, keys, func(b []byte) []byte {
		m := metadataOf(t, b, keys[0])
		return b[:bytes.Index(b, m)+len(m)-1]
	})
	s, log := openTold(t, o)
	until(t, "the loss is told", func() bool { return strings.Contains(log.String(), "segments=1 objects=1") })
	if check(t, s, keys, apartSize) != 0 || s.Stats().Missing != 1 || s.Stats().Corrupt != 0 {
		t.Errorf("%+v", s.Stats())
	}
}

func TestScrubFindsDamagedMetadata(t *testing.T) {
	keys := names(5)
	o := options(t)
	o.ScrubRate = 100 * units.MiB
	onDisk(t, o, keys, func(b []byte) []byte {
		metadataOf(t, b, keys[2])[0] ^= 1
		return b
	})
	s := openIn(t, o)
	running(t, s)
	until(t, "the damage is found", func() bool { return s.Stats().Corrupt == 1 })
	until(t, "the object is dropped", func() bool { return s.Stats().Objects == 4 })
}

func lang(v string) cache.Selector {
	return cache.Selector{Name: "accept-language", Value: v, Present: true}
}

// wantVariants looks key up and compares what is found, newest first.
func wantVariants(t *testing.T, s *store.Store, want []*cache.Meta, body func(m *cache.Meta) []byte) {
	t.Helper()
	objs := s.Lookup(want[0].Key)
	if len(objs) != len(want) {
		t.Fatalf("%d variants, want %d", len(objs), len(want))
	}
	for i, o := range objs {
		storetest.SameMeta(t, o.Meta(), want[i])
		if got, err := storetest.Read(o); err != nil || !bytes.Equal(got, body(want[i])) {
			t.Errorf("variant %d has a wrong body: %v", i, err)
		}
		o.Release()
	}
}

// Of two variants one is updated: its metadata are in the index then, those of the
// other in its entry still, and both come back, after restarts too.
func TestUpdatedVariantBesideAnother(t *testing.T) {
	const key = "http://example.com/"
	for _, size := range []int{100, 10_000, 200_000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			body := func(m *cache.Meta) []byte { return storetest.Body(m.Vary[0].Value, size) }
			o := options(t)
			s := openIn(t, o)
			de, en := storetest.Meta(key, int64(size), lang("de")), storetest.Meta(key, int64(size), lang("en"))
			en.Header.Set("X-Of", "en")
			for _, m := range []*cache.Meta{de, en} {
				if err := storetest.TryPut(s, m, body(m)); err != nil {
					t.Fatal(err)
				}
			}
			s = reopen(t, s, o)
			wantVariants(t, s, []*cache.Meta{en, de}, body)

			fresh := storetest.Meta(key, int64(size), lang("de"))
			fresh.Header.Set("X-Fresh", "yes")
			objs := s.Lookup(key)
			if err := s.Update(objs[1], fresh); err != nil {
				t.Fatal(err)
			}
			for _, o := range objs {
				o.Release()
			}
			wantVariants(t, s, []*cache.Meta{fresh, en}, body)
			until(t, "the update is written", settled(s))
			wantVariants(t, s, []*cache.Meta{fresh, en}, body)
			for range 2 {
				s = reopen(t, s, o)
				wantVariants(t, s, []*cache.Meta{fresh, en}, body)
			}

			// A third one comes when nobody has read what is known of the first two.
			s = reopen(t, s, o)
			fr := storetest.Meta(key, int64(size), lang("fr"))
			if err := storetest.TryPut(s, fr, body(fr)); err != nil {
				t.Fatal(err)
			}
			until(t, "the variant is written", settled(s))
			for _, o := range s.Peek(key) {
				if o.Meta().Header == nil {
					t.Error("Peek gives an object without its metadata")
				}
				o.Release()
			}
			wantVariants(t, s, []*cache.Meta{fr, fresh, en}, body)
			wantVariants(t, s, []*cache.Meta{fr, fresh, en}, body)
			if n := s.Stats().Corrupt; n > 0 {
				t.Errorf("%d damaged", n)
			}
		})
	}
}

// An object that is given a second chance keeps its metadata, those in its entry and
// those that were updated.
func TestSecondChanceKeepsMetadata(t *testing.T) {
	const size = 20_000
	keys := names(2)
	o := options(t)
	o.Memory, o.Disk = 0, 64*units.MiB
	s := openIn(t, o)
	want := map[string]*cache.Meta{}
	for _, key := range keys {
		want[key] = storetest.Meta(key, size)
		want[key].Header.Set("X-Of", key)
		if err := storetest.TryPut(s, want[key], storetest.Body(key, size)); err != nil {
			t.Fatal(err)
		}
	}
	objs := s.Lookup(keys[1])
	want[keys[1]] = storetest.Meta(keys[1], size)
	want[keys[1]].Header.Set("X-Fresh", "yes")
	if err := s.Update(objs[0], want[keys[1]]); err != nil {
		t.Fatal(err)
	}
	objs[0].Release()
	for i := range 300 {
		check(t, s, keys, size)
		put(t, s, fmt.Sprint("http://example.com/other/", i), storetest.Body("x", 900_000))
	}
	until(t, "objects are written", settled(s))
	if st := s.Stats(); st.Survivors < 2 || st.Evictions < 10 {
		t.Fatalf("%+v", st)
	}
	for range 2 {
		for _, key := range keys {
			wantVariants(t, s, []*cache.Meta{want[key]}, func(*cache.Meta) []byte { return storetest.Body(key, size) })
		}
		s = reopen(t, s, o)
	}
	if n := s.Stats().Corrupt; n > 0 {
		t.Errorf("%d damaged", n)
	}
}

// A purge finds what nobody has looked up since the start.
func TestPurgeOfObjectsNeverLookedUp(t *testing.T) {
	o := options(t)
	o.Memory = 0
	s := openIn(t, o)
	keys := fill(t, s, 50, 5_000)
	put(t, s, "http://example.com/else", storetest.Body("else", 5_000))
	s = reopen(t, s, o)
	n, err := s.Purge(t.Context(), store.Match{Prefix: "http://example.com/fill/"})
	if err != nil || n != len(keys) {
		t.Errorf("purged %d, %v; want %d", n, err, len(keys))
	}
	s = reopen(t, s, o)
	if hits := check(t, s, keys, 5_000); hits != 0 || s.Stats().Objects != 1 {
		t.Errorf("%d are there, %d objects", hits, s.Stats().Objects)
	}
	if _, ok := storetest.Get(t, s, "http://example.com/else"); !ok {
		t.Error("what was not purged is gone")
	}
}
