package proxy

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/cachenode/cachenode/cache"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// countingStore fails the test when a pin or a writer is given back twice or
// never, and fails itself now and then.
type countingStore struct {
	cache.Store
	t       *testing.T
	faulty  bool
	objects atomic.Int64 // not released yet
	writers atomic.Int64 // not closed yet
}

func (s *countingStore) Lookup(key string) []cache.Object {
	found := slices.Clone(s.Store.Lookup(key))
	for i, o := range found {
		s.objects.Add(1)
		found[i] = &countedObject{Object: o, s: s}
	}
	return found
}

func (s *countingStore) Create(m *cache.Meta) (cache.Writer, error) {
	if s.faulty && rand.N(20) == 0 {
		return nil, cache.ErrFull
	}
	w, err := s.Store.Create(m)
	if err != nil {
		return nil, err
	}
	s.writers.Add(1)
	cw := &countedWriter{Writer: w, s: s, left: 1 << 60}
	if s.faulty && rand.N(10) == 0 {
		cw.left = rand.Int64N(150_000)
	}
	return cw, nil
}

func (s *countingStore) Update(o cache.Object, m *cache.Meta) error {
	return s.Store.Update(o.(*countedObject).Object, m)
}

func (s *countingStore) settled() bool { return s.objects.Load() == 0 && s.writers.Load() == 0 }

type countedObject struct {
	cache.Object
	s        *countingStore
	released atomic.Bool
}

func (o *countedObject) use() {
	if o.released.Load() {
		o.s.t.Error("an object is used after its release")
	}
}

func (o *countedObject) Bytes() []byte {
	o.use()
	if o.s.faulty && rand.N(2) == 0 {
		return nil // as if it were on disk
	}
	return o.Object.Bytes()
}

func (o *countedObject) ReadAt(p []byte, off int64) (int, error) {
	o.use()
	if o.s.faulty && rand.N(200) == 0 {
		return 0, cache.ErrCorrupt
	}
	return o.Object.ReadAt(p, off)
}

func (o *countedObject) Verify() error {
	o.use()
	if o.s.faulty && rand.N(50) == 0 {
		return cache.ErrCorrupt
	}
	return o.Object.Verify()
}

func (o *countedObject) Release() {
	if o.released.Swap(true) {
		o.s.t.Error("an object is released twice")
		return
	}
	o.s.objects.Add(-1)
	o.Object.Release()
}

type countedWriter struct {
	cache.Writer
	s      *countingStore
	left   int64
	closed atomic.Bool
}

func (w *countedWriter) Write(p []byte) (int, error) {
	if int64(len(p)) > w.left {
		w.left = 0
		return 0, cache.ErrFull
	}
	w.left -= int64(len(p))
	return w.Writer.Write(p)
}

func (w *countedWriter) Reserve(n int) []byte {
	if w.s.faulty && rand.N(4) == 0 {
		return nil
	}
	return w.Writer.Reserve(int(min(int64(n), w.left)))
}

func (w *countedWriter) Advance(k int) {
	w.left -= int64(k)
	w.Writer.Advance(k)
}

func (w *countedWriter) Bytes(off int64) []byte {
	if w.closed.Load() {
		w.s.t.Error("a writer is read after its close")
	}
	if w.s.faulty && rand.N(4) == 0 {
		return nil // as if it were on disk
	}
	return w.Writer.Bytes(off)
}

func (w *countedWriter) ReadAt(p []byte, off int64) (int, error) {
	if w.closed.Load() {
		w.s.t.Error("a writer is read after its close")
	}
	return w.Writer.ReadAt(p, off)
}

func (w *countedWriter) Close() {
	if w.closed.Swap(true) {
		w.s.t.Error("a writer is closed twice")
		return
	}
	w.s.writers.Add(-1)
	w.Writer.Close()
}
