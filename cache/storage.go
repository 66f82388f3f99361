package cache

import (
	"errors"
	"io"
	"os"
)

// Store keeps responses. Losing one is always allowed, returning a wrong byte
// never. All methods may be called from many goroutines.
type Store interface {
	// Lookup returns the objects stored under key, newest first, at most
	// MaxVariants; none is a miss. The caller must Release each of them.
	// Damaged or purged objects are dropped, never returned.
	Lookup(key string) []Object
	// Create starts a new object. Nobody sees it before Commit, which
	// replaces the object with the same Key and Vary. The error is ErrFull
	// (read-only for want of space, or an I/O error) or ErrTooLarge.
	// m.Length is the expected length, -1 when it is not known; nothing is
	// reserved for it, but a length over the limits fails here.
	Create(m *Meta) (Writer, error)
	// Update replaces the metadata of a stored object whose body stays: what
	// a 304 does (RFC 9111 §4.3.4). It is lost, without error, when the object
	// has gone meanwhile.
	Update(o Object, m *Meta) error
	// Delete drops all objects of key and reports whether there were any that
	// it knew of. It is durable: a restart does not bring them back. Objects
	// that were being written when Delete came do not become visible either.
	Delete(key string) bool
}

// Peeker is a Store that can tell at once what it knows of a key.
type Peeker interface {
	// Peek is Lookup, but may return none where that would ask the disk.
	Peek(key string) []Object
}

// MaxVariants bounds the variants kept for one key.
const MaxVariants = 64

// Object is one stored response, pinned until Release.
type Object interface {
	Meta() *Meta
	// Tier says where the body is now, for the log: TierMemory or TierDisk.
	Tier() Tier
	// Bytes is the whole body when it is in memory, else nil. It must not be
	// changed, nor used after Release.
	Bytes() []byte
	// ReaderAt reads the kept body, offsets counting from its first kept byte
	// (not those of the representation). Bytes it returns have passed their
	// checksum once since the start of the process; damage is ErrCorrupt, and
	// the object has then been dropped from the store.
	io.ReaderAt
	// Verify reads what must be checked before the head of a response may be
	// sent. ErrCorrupt means: treat this as a miss.
	Verify() error
	// Release unpins the object. It must be called exactly once.
	Release()
}

// InFile is an Object whose body a server may send from its file.
type InFile interface {
	Object
	// File is where the body begins, after Verify; it lies there in one run, all
	// of which has passed its checksums since the file was changed last, in this
	// process. Nil: some of it has not, or there are several runs. The file is
	// open until Release; its offset is nobody's, and it must not be closed.
	File() (f *os.File, off int64)
}

// Tier is where a body lives.
type Tier uint8

// The tiers of a store.
const (
	TierMemory Tier = iota
	TierDisk
)

// Writer takes the body of a new object. Write and ReadAt may be called
// concurrently with each other; one goroutine writes.
type Writer interface {
	// Write appends to the body. An error (ErrFull, ErrTooLarge) is final: the
	// object will not be stored, what was written stays readable until Abort.
	io.Writer
	// Reserve returns room for the next bytes of the body, at most n of them,
	// so that a fetch can read into what will be served; nil when there is none,
	// and Write takes them. Advance makes the first k bytes of that room part of
	// the body. The room is the caller's until the next Write, Reserve or Commit.
	Reserve(n int) []byte
	Advance(k int)
	// ReadAt reads what has been written so far; beyond it, io.EOF.
	io.ReaderAt
	// Bytes is what has been written so far from off on, nil when that is not
	// in memory or nothing is there yet. It is never changed; it must not be used
	// after Close.
	Bytes(off int64) []byte
	// Commit makes the object visible with final metadata; before it no reader
	// can see a byte. m.Length must be the number of bytes written. The writer
	// stays readable until Close.
	Commit(m *Meta) error
	// Close frees the writer; without a Commit the object is dropped. It must
	// be called exactly once, after the last ReadAt has returned.
	Close()
}

// Errors of a Store.
var (
	ErrFull     = errors.New("store is read-only")
	ErrTooLarge = errors.New("object exceeds the size limit")
	ErrCorrupt  = errors.New("stored object is damaged")
)
