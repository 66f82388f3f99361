package acl

// recent is a map of bounded size that keeps the entries used last. It has two
// generations: when the young one is full, the old one is dropped and the young
// one grows old. Reading an old entry makes it young again.
type recent[K comparable, V any] struct {
	limit      int // of one generation
	young, old map[K]V
}

// newRecent returns a map that holds at most limit entries, and at least the
// limit/2 used last.
func newRecent[K comparable, V any](limit int) *recent[K, V] {
	return &recent[K, V]{limit: limit / 2, young: make(map[K]V)}
}

func (r *recent[K, V]) get(key K) (V, bool) {
	v, ok := r.young[key]
	if ok {
		return v, true
	}
	if v, ok = r.old[key]; ok {
		delete(r.old, key)
		r.put(key, v)
	}
	return v, ok
}

func (r *recent[K, V]) put(key K, v V) {
	if r.limit == 0 {
		return
	}
	if _, ok := r.young[key]; !ok && len(r.young) >= r.limit {
		r.old, r.young = r.young, make(map[K]V)
	}
	delete(r.old, key)
	r.young[key] = v
}
