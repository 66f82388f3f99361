package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cachenode/cachenode/cache"
	"github.com/cachenode/cachenode/internal/units"
)

// leaseBody is what is stored under a key: nothing in it is another's.
func leaseBody(key string, n int) []byte {
	b := make([]byte, n)
	seed := sumOf([]byte(key))
	for i := 0; i+8 <= n; i += 8 {
		binary.LittleEndian.PutUint64(b[i:], seed+uint64(i))
	}
	return b
}

// Memory that is used again never shows in a body that somebody reads, and all of
// it comes back exactly once.
func TestLeasedBodiesAreNobodyElses(t *testing.T) {
	o := DefaultOptions()
	o.Dir, o.Memory, o.Disk = t.TempDir(), 0, 32*units.MiB // so small that objects are evicted
	s, err := New(o, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	var taken, back atomic.Int64
	s.leases.onPut = func(b []byte) {
		back.Add(1)
		for i := range b {
			b[i] = 0xDB
		}
	}
	const keys, size = 400, 9000
	key := func(i int) string { return fmt.Sprint("http://example.com/", i) }
	want := make([][]byte, keys)
	for i := range want {
		want[i] = leaseBody(key(i), size+i)
	}
	until := time.Now().Add(2 * time.Second)
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			for time.Now().Before(until) {
				i := rand.IntN(keys)
				taken.Add(1)
				if err := storeLeased(s, key(i), want[i]); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 3 {
		all.Go(func() {
			for time.Now().Before(until) {
				i := rand.IntN(keys)
				for _, o := range s.Lookup(key(i)) {
					if b := o.Bytes(); b != nil {
						for range 3 { // the first look is not enough
							if !bytes.Equal(b, want[i]) {
								t.Error("a body is not its own")
							}
							time.Sleep(time.Duration(rand.IntN(100)) * time.Microsecond)
						}
					}
					o.Release()
				}
			}
		})
	}
	all.Go(func() {
		for time.Now().Before(until) {
			s.Delete(key(rand.IntN(keys)))
			time.Sleep(time.Millisecond)
		}
	})
	all.Wait()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if taken.Load() != back.Load() {
		t.Errorf("%d bodies were leased, %d came back", taken.Load(), back.Load())
	}
	t.Log(taken.Load(), "bodies")
}

// storeLeased stores body as a fetch does, and reads it through the writer after
// it was committed.
func storeLeased(s *Store, key string, body []byte) error {
	n := int64(len(body))
	m := &cache.Meta{Key: key, Status: 200, Header: http.Header{}, Length: n, Total: n, Received: time.Unix(1, 0)}
	w, err := s.Create(m)
	if err != nil {
		return err
	}
	defer w.Close()
	for got := 0; got < len(body); {
		k := copy(w.Reserve(len(body)-got), body[got:])
		w.Advance(k)
		got += k
	}
	if !w.(*writer).leased() {
		return fmt.Errorf("%s: the body is not leased", key)
	}
	switch rand.IntN(8) {
	case 0: // as when the client has left
		return nil
	default:
		if err := w.Commit(m); err != nil && err != cache.ErrFull { //nolint:errorlint // the disk is slow
			return err
		}
	}
	time.Sleep(time.Duration(rand.IntN(200)) * time.Microsecond)
	got := make([]byte, len(body))
	if _, err := w.ReadAt(got, 0); err != nil && err != io.EOF { //nolint:errorlint // ReaderAt's own
		return err
	}
	if !bytes.Equal(got, body) || !bytes.Equal(w.Bytes(0), body) {
		return fmt.Errorf("%s: the writer has another's body", key)
	}
	return nil
}

// A body that outgrows what was announced, or that the memory tier keeps, is not
// leased.
func TestBodiesThatAreNotLeased(t *testing.T) {
	o := DefaultOptions()
	o.Dir, o.Memory, o.Disk = t.TempDir(), 16*units.MiB, 64*units.MiB
	s, err := New(o, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	create := func(length int64) *writer {
		w, err := s.Create(&cache.Meta{Key: "http://example.com/", Status: 200, Header: http.Header{}, Length: length, Total: length})
		if err != nil {
			t.Fatal(err)
		}
		return w.(*writer)
	}
	kept := create(10_000)
	if kept.Reserve(10_000); kept.leased() {
		t.Error("what the memory tier keeps is leased")
	}
	kept.Close()
	s.mem.maxObject = -1
	w := create(10_000)
	defer w.Close()
	if w.Reserve(10_000); !w.leased() {
		t.Fatal("the body is not leased")
	}
	if _, err := w.Write(make([]byte, 10_001)); err != nil || w.leased() {
		t.Errorf("one that has outgrown its announcement is leased: %v", err)
	}
}
