package dns

import (
	"io"
	"os"
	"sync/atomic"
	"time"
)

const recheckEvery = 5 * time.Second

// watched is a file that is read again when it has changed.
type watched[T any] struct {
	path  string
	parse func(io.Reader) T
	now   func() time.Time

	current atomic.Pointer[version[T]]
	due     atomic.Pointer[time.Time] // when to look again, by the monotonic clock; nil: now
}

type version[T any] struct {
	value T
	stamp stamp
}

// stamp tells versions of a file apart.
type stamp struct {
	modified time.Time
	size     int64
}

// get returns what the file said when it was last read. It looks at most every
// recheckEvery whether that was long ago. A file that cannot be read counts as
// empty at first, and as unchanged later.
func (w *watched[T]) get() T {
	now, due, cur := w.now(), w.due.Load(), w.current.Load()
	// One caller goes to look; others meanwhile take what there is.
	if cur == nil || (due == nil || !now.Before(*due)) && w.due.CompareAndSwap(due, later(now)) {
		cur = w.read(cur)
		w.current.Store(cur)
	}
	return cur.value
}

func later(now time.Time) *time.Time {
	t := now.Add(recheckEvery)
	return &t
}

func (w *watched[T]) read(cur *version[T]) *version[T] {
	if cur == nil {
		cur = &version[T]{value: w.parse(eof{})}
	}
	f, err := os.Open(w.path)
	if err != nil {
		return cur
	}
	defer f.Close() //nolint:errcheck // nothing was written
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return cur
	}
	s := stamp{info.ModTime(), info.Size()}
	if s == cur.stamp {
		return cur
	}
	return &version[T]{w.parse(io.LimitReader(f, maxConfigFile)), s}
}

const maxConfigFile = 64 << 20 // bytes read of a hosts file, for blocklists are kept in them

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }
