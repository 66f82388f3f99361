package store

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/cachenode/cachenode/cache"
)

// InMemory is the simplest cache.Store: a map that never evicts. Tests use it
// where the store is not the matter, and the real one is measured against it.
type InMemory struct {
	maxObject int64

	mu      sync.RWMutex // guards both below
	keys    map[string][]*kept
	writers map[*keptWriter]struct{}
}

var _ cache.Store = (*InMemory)(nil)

// NewInMemory returns an empty store that takes bodies of up to maxObject bytes.
func NewInMemory(maxObject int64) *InMemory {
	return &InMemory{
		maxObject: maxObject,
		keys:      map[string][]*kept{},
		writers:   map[*keptWriter]struct{}{},
	}
}

// kept is an object of InMemory; it is immutable.
type kept struct {
	id   *keptWriter // who wrote it: the same after an Update
	meta *cache.Meta
	body []byte
}

func (o *kept) Meta() *cache.Meta                       { return o.meta }
func (o *kept) Tier() cache.Tier                        { return cache.TierMemory }
func (o *kept) Bytes() []byte                           { return o.body }
func (o *kept) ReadAt(p []byte, off int64) (int, error) { return readAt(o.body, p, off) }
func (o *kept) Verify() error                           { return nil }
func (o *kept) Release()                                {}

// Lookup implements cache.Store.
func (s *InMemory) Lookup(key string) []cache.Object {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var objs []cache.Object
	for _, o := range s.keys[key] {
		objs = append(objs, o)
	}
	return objs
}

// Create implements cache.Store.
func (s *InMemory) Create(m *cache.Meta) (cache.Writer, error) {
	if m.Length > s.maxObject {
		return nil, cache.ErrTooLarge
	}
	w := &keptWriter{s: s, key: m.Key}
	s.mu.Lock()
	s.writers[w] = struct{}{}
	s.mu.Unlock()
	return w, nil
}

// Update implements cache.Store.
func (s *InMemory) Update(o cache.Object, m *cache.Meta) error {
	old, ok := o.(*kept)
	if !ok {
		return fmt.Errorf("update: not an object of this store: %T", o)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	has := func(k *kept) bool { return k.id == old.id }
	if slices.ContainsFunc(s.keys[m.Key], has) {
		s.put(&kept{id: old.id, meta: m, body: old.body})
	}
	return nil
}

// put makes o the newest object of its key; s.mu is held.
func (s *InMemory) put(o *kept) {
	list := slices.DeleteFunc(slices.Clone(s.keys[o.meta.Key]), func(k *kept) bool {
		return k.id == o.id || slices.Equal(k.meta.Vary, o.meta.Vary)
	})
	list = slices.Insert(list, 0, o)
	s.keys[o.meta.Key] = list[:min(len(list), cache.MaxVariants)]
}

// Delete implements cache.Store.
func (s *InMemory) Delete(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.writers {
		if w.key == key {
			w.deleted = true
		}
	}
	_, ok := s.keys[key]
	delete(s.keys, key)
	return ok
}

// keptWriter writes an object of InMemory.
type keptWriter struct {
	s       *InMemory
	key     string
	deleted bool // guarded by s.mu

	mu   sync.RWMutex // guards body
	body []byte
	err  error
}

func (w *keptWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil && int64(len(w.body)+len(p)) > w.s.maxObject {
		w.err = cache.ErrTooLarge
	}
	if w.err != nil {
		return 0, w.err
	}
	w.body = append(w.body, p...)
	return len(p), nil
}

// Reserve implements cache.Writer.
func (w *keptWriter) Reserve(n int) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n = int(min(int64(n), w.s.maxObject-int64(len(w.body)))); w.err != nil || n <= 0 {
		return nil
	}
	w.body = slices.Grow(w.body, n)
	return w.body[len(w.body) : len(w.body)+n]
}

// Advance implements cache.Writer.
func (w *keptWriter) Advance(k int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.body = w.body[:len(w.body)+k]
}

// Bytes implements cache.Writer.
func (w *keptWriter) Bytes(off int64) []byte {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if off < 0 || off >= int64(len(w.body)) {
		return nil
	}
	return w.body[off:]
}

func (w *keptWriter) ReadAt(p []byte, off int64) (int, error) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return readAt(w.body, p, off)
}

func (w *keptWriter) Commit(m *cache.Meta) error {
	if w.err != nil {
		return w.err
	}
	if m.Length != int64(len(w.body)) {
		return errors.New("commit: length is not that of the body")
	}
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	if !w.deleted {
		w.s.put(&kept{id: w, meta: m, body: slices.Clip(slices.Concat([]byte{}, w.body))})
	}
	return nil
}

func (w *keptWriter) Close() {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	delete(w.s.writers, w)
}
