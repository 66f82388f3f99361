// Package storetest checks that a cache.Store keeps its promises. It knows no
// implementation.
package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/cachenode/cachenode/cache"
)

// Run checks the store that open returns, a new one for each promise. open
// registers what must be closed with t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) cache.Store) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, s cache.Store)
	}{
		{"NothingIsAMiss", testMiss},
		{"VisibleOnlyAfterCommit", testVisibility},
		{"CloseWithoutCommitDrops", testAbandon},
		{"ReplaceSameVary", testReplace},
		{"VariantsNewestFirst", testVariants},
		{"AtMostMaxVariants", testManyVariants},
		{"MetaComesBack", testMeta},
		{"UpdateKeepsBody", testUpdate},
		{"UpdateLeavesOtherVariants", testUpdateVariant},
		{"UpdateOfTheGoneIsLost", testUpdateGone},
		{"DeleteDropsAllVariants", testDelete},
		{"DeleteStopsWhatIsInFlight", testDeleteInFlight},
		{"DeletedObjectStaysReadable", testDeletePinned},
		{"ReplacedObjectStaysReadable", testReplacePinned},
		{"Lengths", testLengths},
		{"UnknownLength", testUnknownLength},
		{"WrongLengthIsNotStored", testWrongLength},
		{"ReadWhileWriting", testReadWhileWriting},
		{"ReadWhileCommitting", testReadWhileCommitting},
		{"WrittenInReservedRoom", testReserve},
		{"WriterReadableAfterCommit", testReadAfterCommit},
		{"ReadAtEdges", testReadAtEdges},
		{"ManyKeysManyGoroutines", testConcurrent},
		{"LookupsDuringChanges", testLookupsDuringChanges},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

// Meta returns metadata for a body of n bytes under key, for vary's values.
func Meta(key string, n int64, vary ...cache.Selector) *cache.Meta {
	at := time.Unix(1763634000, 123456789)
	return &cache.Meta{
		Key: key, Vary: vary, Status: http.StatusOK,
		Header: http.Header{
			"Content-Type":   {"text/plain"},
			"Cache-Control":  {"max-age=600", "public"},
			"Content-Length": {strconv.FormatInt(n, 10)},
			"Etag":           {`"` + key + `"`},
		},
		Requested: at, Received: at.Add(time.Second),
		Length: n, Total: n,
	}
}

// Body returns n bytes that depend on seed and on every offset.
func Body(seed string, n int) []byte {
	var s [32]byte
	copy(s[:], seed)
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(s).Read(b) // never fails
	return b
}

// Put stores a body under key.
func Put(t testing.TB, s cache.Store, key string, body []byte, vary ...cache.Selector) {
	t.Helper()
	if err := TryPut(s, Meta(key, int64(len(body)), vary...), body); err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
}

// TryPut stores a body, in pieces.
func TryPut(s cache.Store, m *cache.Meta, body []byte) error {
	w, err := s.Create(m)
	if err != nil {
		return err
	}
	defer w.Close()
	for rest := body; len(rest) > 0; {
		n := min(len(rest), 20000)
		if _, err := w.Write(rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return w.Commit(m)
}

// Get returns the body of the newest object under key; ok is false on a miss.
// A body that does not pass its checks fails the test.
func Get(t testing.TB, s cache.Store, key string) (body []byte, ok bool) {
	t.Helper()
	objs := s.Lookup(key)
	defer release(objs)
	if len(objs) == 0 {
		return nil, false
	}
	body, err := Read(objs[0])
	if errors.Is(err, cache.ErrCorrupt) {
		return nil, false
	}
	if err != nil {
		t.Fatalf("read %s: %v", key, err)
	}
	return body, true
}

// Read reads the body of o as a proxy would.
func Read(o cache.Object) ([]byte, error) {
	if err := o.Verify(); err != nil {
		return nil, err
	}
	if b := o.Bytes(); b != nil {
		return slices.Clone(b), nil
	}
	return io.ReadAll(io.NewSectionReader(o, 0, o.Meta().Length))
}

func release(objs []cache.Object) {
	for _, o := range objs {
		o.Release()
	}
}

func want(t *testing.T, s cache.Store, key string, body []byte) {
	t.Helper()
	got, ok := Get(t, s, key)
	if !ok {
		t.Fatalf("%s is a miss", key)
	}
	if !bytes.Equal(got, body) {
		t.Fatalf("%s has a wrong body of %d bytes, want %d", key, len(got), len(body))
	}
}

func wantMiss(t *testing.T, s cache.Store, key string) {
	t.Helper()
	objs := s.Lookup(key)
	defer release(objs)
	if len(objs) != 0 {
		t.Fatalf("%s has %d objects, want a miss", key, len(objs))
	}
}

func lang(v string) cache.Selector {
	return cache.Selector{Name: "accept-language", Value: v, Present: v != ""}
}

const key = "http://example.com/a"

func testMiss(t *testing.T, s cache.Store) {
	wantMiss(t, s, key)
	if s.Delete(key) {
		t.Error("Delete knew of an object that never was")
	}
}

func testVisibility(t *testing.T, s cache.Store) {
	body := Body("v", 30000)
	m := Meta(key, int64(len(body)))
	w, err := s.Create(m)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := w.Write(body); err != nil {
		t.Fatal(err)
	}
	wantMiss(t, s, key)
	if err := w.Commit(m); err != nil {
		t.Fatal(err)
	}
	want(t, s, key, body)
}

func testAbandon(t *testing.T, s cache.Store) {
	for _, n := range []int{10, 3 << 20} {
		w, err := s.Create(Meta(key, int64(n)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(Body("x", n)); err != nil {
			t.Fatal(err)
		}
		w.Close()
		wantMiss(t, s, key)
	}
}

func testReplace(t *testing.T, s cache.Store) {
	for i := range 5 {
		body := Body(fmt.Sprint(i), 1000*i)
		Put(t, s, key, body)
		want(t, s, key, body)
		objs := s.Lookup(key)
		if len(objs) != 1 {
			t.Fatalf("%d objects after replacing, want 1", len(objs))
		}
		release(objs)
	}
}

func testVariants(t *testing.T, s cache.Store) {
	names := []string{"de", "en", "", "fr"}
	for _, l := range names {
		Put(t, s, key, Body(l, 500), lang(l))
	}
	Put(t, s, key, Body("de2", 600), lang("de"))
	objs := s.Lookup(key)
	defer release(objs)
	var got []string
	for _, o := range objs {
		got = append(got, o.Meta().Vary[0].Value)
	}
	if order := []string{"de", "fr", "", "en"}; !slices.Equal(got, order) {
		t.Fatalf("variants are %q, want %q", got, order)
	}
	if b, err := Read(objs[0]); err != nil || !bytes.Equal(b, Body("de2", 600)) {
		t.Fatalf("wrong body of the replaced variant: %v", err)
	}
	if b, err := Read(objs[2]); err != nil || !bytes.Equal(b, Body("", 500)) {
		t.Fatalf("wrong body of the variant without the field: %v", err)
	}
}

func testManyVariants(t *testing.T, s cache.Store) {
	for i := range cache.MaxVariants + 10 {
		Put(t, s, key, Body("b", 10), lang(fmt.Sprintf("l%03d", i)))
	}
	objs := s.Lookup(key)
	defer release(objs)
	if len(objs) != cache.MaxVariants {
		t.Fatalf("%d variants, want %d", len(objs), cache.MaxVariants)
	}
	if v := objs[0].Meta().Vary[0].Value; v != fmt.Sprintf("l%03d", cache.MaxVariants+9) {
		t.Fatalf("newest is %s", v)
	}
}

func testMeta(t *testing.T, s cache.Store) {
	m := Meta(key, 7, lang("de"), cache.Selector{Name: "x"})
	m.Status = http.StatusPartialContent
	m.Total = 100
	m.Spans = []cache.Span{{Off: 3, Len: 4}, {Off: 50, Len: 3}}
	m.Header["X-Empty"] = []string{""}
	m.Header["X-Many"] = []string{"a", "b", "c"}
	if err := TryPut(s, m, []byte("partial")); err != nil {
		t.Fatal(err)
	}
	objs := s.Lookup(key)
	defer release(objs)
	if len(objs) != 1 {
		t.Fatalf("%d objects", len(objs))
	}
	SameMeta(t, objs[0].Meta(), m)
}

// SameMeta fails the test when got differs from want.
func SameMeta(t testing.TB, got, want *cache.Meta) {
	t.Helper()
	same := got.Key == want.Key && slices.Equal(got.Vary, want.Vary) && got.Status == want.Status &&
		got.Requested.Equal(want.Requested) && got.Received.Equal(want.Received) &&
		got.Length == want.Length && got.Total == want.Total && slices.Equal(got.Spans, want.Spans) &&
		len(got.Header) == len(want.Header)
	for name, values := range want.Header {
		same = same && slices.Equal(got.Header[name], values)
	}
	if !same {
		t.Fatalf("meta is\n%+v, want\n%+v", got, want)
	}
}

func testUpdate(t *testing.T, s cache.Store) {
	for _, n := range []int{0, 100, 200_000, 3 << 20} {
		body := Body("u", n)
		Put(t, s, key, body, lang("de"))
		Put(t, s, key, Body("en", 5), lang("en"))
		objs := s.Lookup(key)
		m := Meta(key, int64(n), lang("de"))
		m.Header.Set("X-Fresh", "yes")
		if err := s.Update(objs[1], m); err != nil {
			t.Fatal(err)
		}
		release(objs)
		objs = s.Lookup(key)
		if len(objs) != 2 {
			t.Fatalf("%d objects after update", len(objs))
		}
		SameMeta(t, objs[0].Meta(), m)
		if b, err := Read(objs[0]); err != nil || !bytes.Equal(b, body) {
			t.Fatalf("wrong body after update: %v", err)
		}
		release(objs)
	}
}

func testUpdateVariant(t *testing.T, s cache.Store) {
	de, en := Meta(key, 4, lang("de")), Meta(key, 4, lang("en"))
	de.Header.Set("X-Of", "de")
	en.Header.Set("X-Of", "en")
	for _, m := range []*cache.Meta{de, en} {
		if err := TryPut(s, m, []byte("body")); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		fresh := Meta(key, 4, lang("de"))
		fresh.Header.Set("X-Fresh", fmt.Sprint(i))
		objs := s.Lookup(key)
		at := slices.IndexFunc(objs, func(o cache.Object) bool { return o.Meta().Vary[0].Value == "de" })
		err := s.Update(objs[at], fresh)
		release(objs)
		if err != nil {
			t.Fatal(err)
		}
		objs = s.Lookup(key)
		if len(objs) != 2 {
			t.Fatalf("%d objects after update", len(objs))
		}
		SameMeta(t, objs[0].Meta(), fresh)
		SameMeta(t, objs[1].Meta(), en)
		release(objs)
	}
}

func testUpdateGone(t *testing.T, s cache.Store) {
	Put(t, s, key, Body("a", 10))
	objs := s.Lookup(key)
	s.Delete(key)
	if err := s.Update(objs[0], Meta(key, 10)); err != nil {
		t.Fatal(err)
	}
	wantMiss(t, s, key)

	Put(t, s, key, Body("b", 20))
	if err := s.Update(objs[0], Meta(key, 10)); err != nil {
		t.Fatal(err)
	}
	release(objs)
	want(t, s, key, Body("b", 20))
}

func testDelete(t *testing.T, s cache.Store) {
	other := key + "b"
	Put(t, s, key, Body("a", 10), lang("de"))
	Put(t, s, key, Body("b", 3<<20), lang("en"))
	Put(t, s, other, Body("c", 30))
	if !s.Delete(key) {
		t.Error("Delete did not know of the objects")
	}
	wantMiss(t, s, key)
	want(t, s, other, Body("c", 30))
	Put(t, s, key, Body("d", 40))
	want(t, s, key, Body("d", 40))
}

func testDeleteInFlight(t *testing.T, s cache.Store) {
	for _, n := range []int64{100, 3 << 20} {
		m := Meta(key, n)
		w, err := s.Create(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(Body("f", int(n))); err != nil {
			t.Fatal(err)
		}
		s.Delete(key)
		Put(t, s, key, Body("new", 50))
		if err := w.Commit(m); err != nil {
			t.Fatal(err)
		}
		want(t, s, key, Body("new", 50))
		got := make([]byte, n)
		if _, err := w.ReadAt(got, 0); err != nil && !errors.Is(err, io.EOF) || !bytes.Equal(got, Body("f", int(n))) {
			t.Fatalf("writer is not readable after its commit was overtaken: %v", err)
		}
		w.Close()
		want(t, s, key, Body("new", 50))
		s.Delete(key)
	}
}

func testDeletePinned(t *testing.T, s cache.Store) {
	testPinned(t, s, func() { s.Delete(key) })
}

func testReplacePinned(t *testing.T, s cache.Store) {
	testPinned(t, s, func() { Put(t, s, key, Body("other", 999)) })
}

func testPinned(t *testing.T, s cache.Store, change func()) {
	for _, n := range []int{100, 5 << 20} {
		body := Body("p", n)
		Put(t, s, key, body)
		objs := s.Lookup(key)
		change()
		if got, err := Read(objs[0]); err != nil || !bytes.Equal(got, body) {
			t.Fatalf("%d bytes: pinned object is not readable: %v", n, err)
		}
		release(objs)
	}
}

func testLengths(t *testing.T, s cache.Store) {
	const block = 64 << 10
	for _, n := range []int{
		0, 1, 4095, 4096, block - 1, block, block + 1, 3*block + 17, 1 << 20, 1<<20 + 1,
		4 << 20, 9<<20 + 12345,
	} {
		k := fmt.Sprint("http://example.com/", n)
		Put(t, s, k, Body(k, n))
		want(t, s, k, Body(k, n))
		w, err := s.Create(Meta(k, -1))
		if err != nil {
			t.Fatal(err)
		}
		w.Close()
		want(t, s, k, Body(k, n))
	}
}

func testUnknownLength(t *testing.T, s cache.Store) {
	for _, n := range []int{0, 5, 70_000, 3<<20 + 1} {
		body := Body("u", n)
		w, err := s.Create(Meta(key, -1))
		if err != nil {
			t.Fatal(err)
		}
		for rest := body; len(rest) > 0; {
			k := min(len(rest), 1+len(rest)/3)
			if _, err := w.Write(rest[:k]); err != nil {
				t.Fatal(err)
			}
			rest = rest[k:]
		}
		if err := w.Commit(Meta(key, int64(n))); err != nil {
			t.Fatal(err)
		}
		w.Close()
		want(t, s, key, body)
	}
}

func testWrongLength(t *testing.T, s cache.Store) {
	w, err := s.Create(Meta(key, 10))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("four")); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(Meta(key, 10)); err == nil {
		t.Error("Commit took a length that is not that of the body")
	}
	w.Close()
	wantMiss(t, s, key)
}

func testReadWhileWriting(t *testing.T, s cache.Store) {
	body := Body("r", 5<<20+77)
	w, err := s.Create(Meta(key, -1))
	if err != nil {
		t.Fatal(err)
	}
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			if err := follow(w, body); err != nil {
				t.Error(err)
			}
		})
	}
	for rest := body; len(rest) > 0; {
		n := min(len(rest), 33333)
		if _, err := w.Write(rest[:n]); err != nil {
			t.Error(err)
			break
		}
		rest = rest[n:]
	}
	readers.Wait()
	if err := w.Commit(Meta(key, int64(len(body)))); err != nil {
		t.Error(err)
	}
	w.Close()
	want(t, s, key, body)
}

// A body that is put into reserved room is as good as a written one, and what
// was seen of it where it lies stays as it was.
func testReserve(t *testing.T, s cache.Store) {
	for _, n := range []int{1, 10_000, 100_000, 3<<20 + 77} {
		body := Body("v", n)
		w, err := s.Create(Meta(key, int64(n)))
		if err != nil {
			t.Fatal(err)
		}
		if w.Bytes(0) != nil {
			t.Error("there are bytes before the first was written")
		}
		first := []byte(nil)
		for off := 0; off < n; {
			room := w.Reserve(n - off)
			if len(room) > n-off {
				t.Fatalf("room for %d of %d bytes", len(room), n-off)
			}
			k := copy(room, body[off:min(n, off+30_000)])
			if len(room) > 0 {
				w.Advance(k)
			} else if k, err = w.Write(body[off:min(n, off+30_000)]); err != nil {
				t.Fatal(err)
			}
			if first == nil {
				first = w.Bytes(0)
			}
			if b := w.Bytes(int64(off)); b != nil && !bytes.Equal(b, body[off:off+k]) {
				t.Fatalf("wrong bytes at %d", off)
			}
			off += k
		}
		if !bytes.Equal(first, body[:len(first)]) {
			t.Error("what was seen of the body has changed")
		}
		if w.Bytes(int64(n)) != nil || w.Reserve(0) != nil {
			t.Error("there is something behind the end")
		}
		if err := w.Commit(Meta(key, int64(n))); err != nil {
			t.Fatal(err)
		}
		if err := follow(w, body); err != nil {
			t.Error(err)
		}
		w.Close()
		want(t, s, key, body)
	}
}

// follow reads what w gets until it is all of body.
func follow(w cache.Writer, body []byte) error {
	buf := make([]byte, 50_000)
	for off := 0; off < len(body); {
		n, err := w.ReadAt(buf, int64(off))
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if !bytes.Equal(buf[:n], body[off:off+n]) {
			return fmt.Errorf("wrong bytes at %d", off)
		}
		off += n
	}
	return nil
}

func testReadWhileCommitting(t *testing.T, s cache.Store) {
	for _, n := range []int{1000, 100_000, 3<<20 + 77} {
		body := Body("k", n)
		w, err := s.Create(Meta(key, -1))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(body); err != nil {
			t.Fatal(err)
		}
		committed := make(chan struct{})
		var readers sync.WaitGroup
		for range 4 {
			readers.Go(func() {
				for end := false; !end; {
					select {
					case <-committed:
						end = true
					default:
					}
					if err := follow(w, body); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		err = w.Commit(Meta(key, int64(n)))
		close(committed)
		readers.Wait()
		if err != nil {
			t.Error(err)
		}
		w.Close()
		want(t, s, key, body)
	}
}

func testReadAfterCommit(t *testing.T, s cache.Store) {
	for _, n := range []int{0, 1000, 100_000, 3 << 20} {
		body := Body("c", n)
		m := Meta(key, int64(n))
		w, err := s.Create(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(body); err != nil {
			t.Fatal(err)
		}
		if err := w.Commit(m); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(io.NewSectionReader(w, 0, 1<<30))
		if err != nil || !bytes.Equal(got, body) {
			t.Fatalf("%d bytes: writer is not readable after commit: %v", n, err)
		}
		w.Close()
	}
}

func testReadAtEdges(t *testing.T, s cache.Store) {
	for _, n := range []int{1000, 300_000, 2<<20 + 5} {
		body := Body("e", n)
		Put(t, s, key, body)
		objs := s.Lookup(key)
		o := objs[0]
		for _, c := range []struct{ off, len int }{
			{0, 1}, {n - 1, 1}, {n - 1, 10}, {n, 1}, {n / 2, n}, {65530, 20}, {1, n - 1}, {n + 5, 1},
		} {
			p := make([]byte, c.len)
			k, err := o.ReadAt(p, int64(c.off))
			wantN := max(0, min(c.len, n-c.off))
			if k != wantN || k < c.len && !errors.Is(err, io.EOF) || k == c.len && err != nil && !errors.Is(err, io.EOF) {
				t.Errorf("ReadAt(%d, %d) of %d is %d, %v; want %d", c.len, c.off, n, k, err, wantN)
			}
			if k > 0 && !bytes.Equal(p[:k], body[c.off:c.off+k]) {
				t.Errorf("ReadAt(%d, %d) of %d has wrong bytes", c.len, c.off, n)
			}
		}
		release(objs)
	}
}

func testConcurrent(t *testing.T, s cache.Store) {
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 200 {
				k := fmt.Sprintf("http://example.com/%d/%d", g, i)
				body := Body(k, 100+i*37)
				if err := TryPut(s, Meta(k, int64(len(body))), body); err != nil {
					t.Error(err)
					return
				}
				if got, ok := Get(t, s, k); !ok || !bytes.Equal(got, body) {
					t.Errorf("%s: hit %v, wrong body or none", k, ok)
					return
				}
				if i%5 == 0 && !s.Delete(k) {
					t.Errorf("%s: Delete did not know of it", k)
				}
			}
		})
	}
	all.Wait()
	for g := range 8 {
		for i := range 200 {
			k := fmt.Sprintf("http://example.com/%d/%d", g, i)
			if i%5 == 0 {
				wantMiss(t, s, k)
			} else {
				want(t, s, k, Body(k, 100+i*37))
			}
		}
	}
}

// testLookupsDuringChanges changes few keys from many sides. Whatever a reader
// finds must be a body that was stored under that key, and nothing older than
// what the reader's own key has been set to.
func testLookupsDuringChanges(t *testing.T, s cache.Store) {
	keys := []string{key + "1", key + "2", key + "3"}
	version := func(o cache.Object) int {
		v, _ := strconv.Atoi(o.Meta().Header.Get("X-Version"))
		return v
	}
	put := func(k string, v int) error {
		body := Body(fmt.Sprint(k, v), 100+v%7*15000)
		m := Meta(k, int64(len(body)))
		m.Header.Set("X-Version", strconv.Itoa(v))
		return TryPut(s, m, body)
	}
	var all sync.WaitGroup
	for _, k := range keys {
		var mu sync.RWMutex // guards floor
		floor := 0          // readers that begin now must not see less
		stop := make(chan struct{})
		all.Go(func() {
			defer close(stop)
			for v := 1; v <= 150; v++ {
				if err := put(k, v); err != nil {
					t.Error(err)
				}
				if v%10 == 0 {
					s.Delete(k)
				}
				mu.Lock()
				floor = v
				mu.Unlock()
			}
		})
		for range 3 {
			all.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					mu.RLock()
					least := floor
					mu.RUnlock()
					objs := s.Lookup(k)
					for _, o := range objs {
						v := version(o)
						body, err := Read(o)
						if err != nil || !bytes.Equal(body, Body(fmt.Sprint(k, v), 100+v%7*15000)) {
							t.Errorf("%s version %d: %v, wrong body or none", k, v, err)
						}
						if v < least || v == least && v%10 == 0 && v > 0 {
							t.Errorf("%s: found version %d after %d was settled", k, v, least)
						}
					}
					release(objs)
				}
			})
		}
	}
	all.Wait()
}
