package store

import (
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// soundness says which bodies of a segment have passed all their checksums, as
// long as nobody has changed its file since: what can be sent from the file
// unseen. It knows bodies of more than one block.
type soundness struct {
	// bits has one for each 64 KiB of the file: for the body whose entry starts
	// there. No two longer bodies start in one place.
	bits []atomic.Uint64
	at   atomic.Int64 // modification time of the file that bits are about

	mu sync.Mutex // guards the setting of both
}

// set notes that all blocks of a body have passed their checksums, since the
// file was changed at the time at.
func (s *soundness) set(r *record, at int64) {
	w, bit := s.bit(r)
	if w == nil || at == 0 || s.at.Load() == at && w.Load()&bit != 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at.Load() != at {
		s.at.Store(0)
		for i := range s.bits {
			s.bits[i].Store(0)
		}
		s.at.Store(at)
	}
	w.Or(bit)
}

// has reports that set was called for a body of a file last changed at the time at.
func (s *soundness) has(r *record, at int64) bool {
	w, bit := s.bit(r)
	return w != nil && at != 0 && s.at.Load() == at && w.Load()&bit != 0
}

func (s *soundness) bit(r *record) (*atomic.Uint64, uint64) {
	i := uint64(r.loc.off / blockSize)
	if r.meta.Length <= blockSize || i/64 >= uint64(len(s.bits)) {
		return nil, 0
	}
	return &s.bits[i/64], 1 << (i % 64)
}

// changedAt is when a file was last written to, 0 when that cannot be told.
func changedAt(f *os.File) int64 {
	var st unix.Stat_t
	if unix.Fstat(int(f.Fd()), &st) != nil {
		return 0
	}
	return st.Mtim.Nano()
}
