package store_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/cachenode/cachenode/cache/store"
	"github.com/cachenode/cachenode/cache/store/storetest"
	"github.com/cachenode/cachenode/internal/units"
)

var purgeKeys = []string{
	"http://a.example/", "http://a.example:8080/x", "https://a.example/x?y", "http://b.a.example/x",
	"http://a.example.org/x", "http://[2001:db8::1]:80/x", "http://b.example/x/1", "http://b.example/x/2",
}

func TestPurge(t *testing.T) {
	for _, c := range []struct {
		m    store.Match
		gone []int
	}{
		{store.Match{URL: purgeKeys[0]}, []int{0}},
		{store.Match{URL: "http://nobody.example/"}, nil},
		{store.Match{Host: "A.example"}, []int{0, 1, 2}},
		{store.Match{Host: "2001:db8::1"}, []int{5}},
		{store.Match{Prefix: "http://b.example/x"}, []int{6, 7}},
		{store.Match{All: true}, []int{0, 1, 2, 3, 4, 5, 6, 7}},
	} {
		for name, change := range map[string]func(o *store.Options){
			"both": nil, "disk": func(o *store.Options) { o.Memory = 0 }, "memory": func(o *store.Options) { o.Disk = 0 },
		} {
			t.Run(fmt.Sprintf("%+v/%s", c.m, name), func(t *testing.T) { testPurge(t, open(t, change), c.m, c.gone) })
		}
	}
}

func testPurge(t *testing.T, s *store.Store, m store.Match, gone []int) {
	for _, key := range purgeKeys {
		storetest.Put(t, s, key, storetest.Body(key, 1000))
	}
	n, err := s.Purge(context.Background(), m)
	if err != nil || n != len(gone) {
		t.Errorf("purged %d, %v; want %d", n, err, len(gone))
	}
	for i, key := range purgeKeys {
		want := true
		for _, g := range gone {
			want = want && g != i
		}
		if _, ok := storetest.Get(t, s, key); ok != want {
			t.Errorf("%s: hit is %v", key, ok)
		}
	}
	if st := s.Stats(); st.Purges != 0 {
		t.Errorf("%d purges are not swept", st.Purges)
	}
	for _, i := range gone {
		storetest.Put(t, s, purgeKeys[i], storetest.Body("new", 10))
		if _, ok := storetest.Get(t, s, purgeKeys[i]); !ok {
			t.Errorf("%s: what was stored after the purge is a miss", purgeKeys[i])
		}
	}
}

func TestPurgeNeedsOneField(t *testing.T) {
	s := open(t, nil)
	for _, m := range []store.Match{{}, {URL: "a", All: true}, {Host: "a", Prefix: "b"}} {
		if _, err := s.Purge(context.Background(), m); err == nil {
			t.Errorf("%+v was taken", m)
		}
	}
}

// A purge that has no time to sweep holds at once, over a restart, and is swept
// by Run.
func TestPurgeHoldsBeforeItIsSwept(t *testing.T) {
	o := options(t)
	s := openIn(t, o)
	for i := range 500 {
		storetest.Put(t, s, fmt.Sprint("http://a.example/", i), storetest.Body("a", 500))
		storetest.Put(t, s, fmt.Sprint("http://b.example/", i), storetest.Body("b", 500))
	}
	w, err := s.Create(storetest.Meta("http://a.example/flying", 3))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Purge(ctx, store.Match{Host: "a.example"}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("old")); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(storetest.Meta("http://a.example/flying", 3)); err != nil {
		t.Fatal(err)
	}
	w.Close()
	wantPurged := func() {
		t.Helper()
		for i := range 500 {
			if _, ok := storetest.Get(t, s, fmt.Sprint("http://a.example/", i)); ok {
				t.Fatalf("object %d is still there", i)
			}
			if _, ok := storetest.Get(t, s, fmt.Sprint("http://b.example/", i)); !ok {
				t.Fatalf("object %d of another host is gone", i)
			}
		}
		if _, ok := storetest.Get(t, s, "http://a.example/flying"); ok {
			t.Fatal("an object that was being written when the purge came is visible")
		}
	}
	wantPurged()
	s = reopen(t, s, o)
	if s.Stats().Purges != 1 {
		t.Errorf("%d purges after a restart, want 1", s.Stats().Purges)
	}
	wantPurged()
	running(t, s)
	until(t, "the purge is swept", func() bool { return s.Stats().Purges == 0 })
	wantPurged()
	s = reopen(t, s, o)
	wantPurged()
	if n := s.Stats().Objects; n != 500 {
		t.Errorf("%d objects are counted, want 500", n)
	}
}

// More purges than the journal can hold become one of everything.
func TestManyPurges(t *testing.T) {
	o := options(t)
	o.Disk = 64 * units.MiB
	s := openIn(t, o)
	storetest.Put(t, s, "http://example.com/", []byte("x"))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	long := string(storetest.Body("", 0)) + fmt.Sprintf("%01000d", 0)
	for i := range 100 {
		if _, err := s.Purge(ctx, store.Match{Prefix: fmt.Sprint("http://a.example/", i, long)}); err != nil {
			t.Fatal(err)
		}
	}
	s = reopen(t, s, o)
	if _, ok := storetest.Get(t, s, "http://example.com/"); ok {
		t.Error("an overflow of the journal spares what a lost purge may have meant")
	}
	storetest.Put(t, s, "http://example.com/", []byte("y"))
	s = reopen(t, s, o)
	if _, ok := storetest.Get(t, s, "http://example.com/"); !ok {
		t.Error("what came after the overflow is lost")
	}
}
