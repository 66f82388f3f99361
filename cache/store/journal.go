package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/zeebo/xxh3"
	"golang.org/x/sys/unix"
)

// purgeList is the purges that are not swept yet. They are kept in a file of
// fixed size, allocated when it is made, so that a purge also holds on a full
// disk:
//
//	record…: length of the rest 4 · id 8 · kind 1 · pattern · xxh3 of id to pattern 8
//
// The list ends at the first record that is malformed or has not a higher id
// than the one before. A list that overflows becomes one purge of everything.
type purgeList struct {
	list atomic.Pointer[[]purge] // ascending; replaced, never changed

	mu   sync.Mutex // guards all below, and the replacing of list
	f    *os.File   // nil: purges are not kept
	end  int64
	size int64
}

const (
	journalSize    = 64 << 10
	journalReserve = 64 // for the purge of everything
	recordOverhead = 4 + 8 + 1 + 8
)

func newPurgeList() *purgeList {
	l := &purgeList{}
	l.list.Store(&[]purge{})
	return l
}

// active reports whether there are any.
func (l *purgeList) active() bool { return len(*l.list.Load()) > 0 }

// matches reports whether a purge hides the object.
func (l *purgeList) matches(key string, id uint64) bool {
	for _, p := range *l.list.Load() {
		if id < p.id && p.matches(key) {
			return true
		}
	}
	return false
}

// open reads the purges that an earlier process left.
func (l *purgeList) open(path string, log *slog.Logger) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return &DirError{Dir: path, Err: err}
	}
	if err := allocateZeros(f, journalSize); err != nil {
		log.Warn("no room for the list of purges", "path", path, "err", err)
	}
	b, err := io.ReadAll(io.NewSectionReader(f, 0, journalSize))
	if err != nil {
		return errors.Join(fmt.Errorf("read purges: %w", err), f.Close())
	}
	list, n := parsePurges(b)
	l.f, l.end, l.size = f, n, journalSize
	l.list.Store(&list)
	return nil
}

// allocateZeros makes sure that f has size bytes that can be overwritten when
// the disk is full.
func allocateZeros(f *os.File, size int64) error {
	info, err := f.Stat()
	if err != nil || info.Size() >= size {
		return err
	}
	if _, err := f.WriteAt(make([]byte, size-info.Size()), info.Size()); err != nil {
		return err
	}
	return f.Sync()
}

func (l *purgeList) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f == nil {
		return nil
	}
	err := l.f.Close()
	l.f = nil
	return err
}

// add makes a purge hold, and when it returns nil also after a power failure.
func (l *purgeList) add(p purge) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := append(slices.Clone(*l.list.Load()), p)
	l.list.Store(&list)
	if l.f == nil {
		return nil
	}
	b := p.append(nil)
	if l.end+int64(len(b)) > l.size-journalReserve {
		p = purge{id: p.id, kind: purgeAll}
		list = append(list[:len(list)-1], p)
		l.list.Store(&list)
		b = p.append(nil)
		if l.end+int64(len(b)) > l.size {
			return l.rewrite(list)
		}
	}
	return l.write(b)
}

// write appends to the file; mu is held.
func (l *purgeList) write(b []byte) error {
	if _, err := l.f.WriteAt(b, l.end); err != nil {
		return err
	}
	l.end += int64(len(b))
	return unix.Fdatasync(int(l.f.Fd()))
}

// drop takes off a purge that has been swept.
func (l *purgeList) drop(id uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := slices.DeleteFunc(slices.Clone(*l.list.Load()), func(p purge) bool { return p.id == id })
	l.list.Store(&list)
	// One that stays in the file is swept once more after a restart. So the file
	// is only written when that costs nothing: when it becomes empty.
	if l.f != nil && len(list) == 0 && l.end > 0 {
		_ = l.rewrite(nil) // see above
	}
}

// rewrite makes the file hold the last of list alone, which must be a purge of
// everything, or nothing; mu is held.
func (l *purgeList) rewrite(list []purge) error {
	l.end = 0
	if len(list) > 0 {
		return l.write(list[len(list)-1].append(nil))
	}
	_, err := l.f.WriteAt(make([]byte, 4), 0)
	return err
}

func (p *purge) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(recordOverhead-4+len(p.pattern)))
	start := len(b)
	b = binary.LittleEndian.AppendUint64(b, p.id)
	b = append(b, byte(p.kind))
	b = append(b, p.pattern...)
	return binary.LittleEndian.AppendUint64(b, xxh3.Hash(b[start:]))
}

// parsePurges reads the records of a file and returns where they end.
func parsePurges(b []byte) (list []purge, end int64) {
	list = []purge{}
	for {
		p, n, ok := parsePurge(b[end:])
		if !ok || len(list) > 0 && p.id <= list[len(list)-1].id {
			return list, end
		}
		list = append(list, p)
		end += int64(n)
	}
}

func parsePurge(b []byte) (p purge, n int, ok bool) {
	if len(b) < recordOverhead {
		return p, 0, false
	}
	size := binary.LittleEndian.Uint32(b)
	if size < recordOverhead-4 || int64(size) > int64(len(b)-4) {
		return p, 0, false
	}
	r := b[4 : 4+size]
	body, sum := r[:len(r)-8], binary.LittleEndian.Uint64(r[len(r)-8:])
	if xxh3.Hash(body) != sum {
		return p, 0, false
	}
	p = purge{id: binary.LittleEndian.Uint64(body), kind: purgeKind(body[8]), pattern: string(body[9:])}
	return p, 4 + len(r), p.kind >= purgeURL && p.kind <= purgeAll
}
