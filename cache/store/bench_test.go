package store_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/cachenode/cachenode/cache/store"
	"github.com/cachenode/cachenode/cache/store/storetest"
	"github.com/cachenode/cachenode/internal/units"
)

func BenchmarkLookupMemory(b *testing.B) {
	s := open(b, nil)
	storetest.Put(b, s, "http://example.com/a", storetest.Body("a", 10_000))
	for s.Stats().Pending > 0 {
		time.Sleep(time.Millisecond)
	}
	b.ReportAllocs()
	for b.Loop() {
		objs := s.Lookup("http://example.com/a")
		_ = objs[0].Bytes()
		objs[0].Release()
	}
}

// BenchmarkLookupDisk finds objects of which all but the body is in memory,
// BenchmarkLookupCold such of which nothing is.
func BenchmarkLookupDisk(b *testing.B) { benchmarkLookup(b, 0) }

func BenchmarkLookupCold(b *testing.B) { benchmarkLookup(b, units.MiB) }

func benchmarkLookup(b *testing.B, memory units.Size) {
	s := open(b, func(o *store.Options) { o.Memory = memory })
	keys := fill(b, s, 5000, 10_000)
	for s.Stats().Pending > 0 {
		time.Sleep(time.Millisecond)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		objs := s.Lookup(keys[i%len(keys)])
		if err := objs[0].Verify(); err != nil {
			b.Fatal(err)
		}
		objs[0].Release()
		i++
	}
}

func BenchmarkLookupMiss(b *testing.B) {
	s := open(b, nil)
	fill(b, s, 5000, 1000)
	b.ReportAllocs()
	for b.Loop() {
		s.Lookup("http://example.com/not-there")
	}
}

func BenchmarkStore10KB(b *testing.B) {
	s := open(b, func(o *store.Options) { o.Memory = 64 * units.MiB })
	body := storetest.Body("a", 10_000)
	b.ReportAllocs()
	b.SetBytes(10_000)
	i, refused := 0, 0
	for b.Loop() {
		i++
		m := storetest.Meta(fmt.Sprint("http://example.com/", i), 10_000)
		w, err := s.Create(m)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := w.Write(body); err != nil {
			b.Fatal(err)
		}
		if w.Commit(m) != nil {
			refused++
		}
		w.Close()
	}
	b.ReportMetric(float64(refused)/float64(i), "refused/op")
}

// BenchmarkOpen1M measures the start with a million stored objects; it fills
// the store first, so it only runs when asked to.
func BenchmarkOpen1M(b *testing.B) {
	if os.Getenv("CACHENODE_STORE_1M") == "" {
		b.Skip("CACHENODE_STORE_1M is not set")
	}
	o := store.DefaultOptions()
	o.Dir, o.Memory = b.TempDir(), 16*units.MiB
	s := openIn(b, o)
	for i := range 1_000_000 {
		key := fmt.Sprint("http://example.com/", i)
		for storetest.TryPut(s, storetest.Meta(key, 200), storetest.Body("a", 200)) != nil {
			time.Sleep(time.Millisecond)
		}
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s = openIn(b, o)
		b.StopTimer()
		if n := s.Stats().Objects; n != 1_000_000 {
			b.Errorf("%d objects", n)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
