package store

import "context"

// keysChunk is how many entries of the index are read in one go, so that no
// transaction of it stays open for long.
const keysChunk = 4096

// Keys calls yield with every key that has objects, until it returns false. A
// key may come twice, and one that changes meanwhile may come or not. The
// error is ctx's or the index's.
func (s *Store) Keys(ctx context.Context, yield func(key string) bool) error {
	if s.mem != nil {
		for _, e := range s.mem.c.All() {
			if len(e.vars) > 0 && !yield(e.key) {
				return nil
			}
		}
	}
	for i := range s.shards {
		for _, key := range s.shards[i].pendingKeys() {
			if !yield(key) {
				return nil
			}
		}
	}
	if s.disk == nil {
		return ctx.Err()
	}
	for after := []byte(nil); ; {
		next, err := s.disk.keys(after, yield)
		if err == nil {
			err = ctx.Err()
		}
		if err != nil || next == nil {
			return err
		}
		after = next
	}
}

// pendingKeys lists the keys with objects that the index does not have yet.
func (sh *shard) pendingKeys() (keys []string) {
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	for _, p := range sh.keys {
		if n := len(p.changes); n > 0 && p.changes[n-1].kind != changeDrop {
			keys = append(keys, p.changes[n-1].v.rec.meta.Key)
		}
	}
	return keys
}

// keys calls yield for a chunk of the index; next is where to go on, nil at the
// end.
func (d *disk) keys(after []byte, yield func(key string) bool) (next []byte, err error) {
	n := 0
	err = d.idx.scan(after, func(h hash, e *entry, err error) bool {
		if n++; n > keysChunk {
			next = h[:]
			return false
		}
		return err != nil || len(e.vars) == 0 || yield(e.key)
	})
	return next, err
}
