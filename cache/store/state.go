package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"

	"github.com/zeebo/xxh3"
)

// state is what a store remembers beside its objects.
type state struct {
	Seed    uint64 // of the key hash
	Boot    uint64 // counts starts
	Opening uint64 // starts in a row that died while opening the index
	Objects int64  // about, after a crash
	Bytes   int64
	Clean   bool   // the store was closed
	Census  census // of the segments when it was closed
	Noted   moment // when this was written last; zero: not known
}

// stateFile holds the state in two slots of one disk block, written in turn and
// in place: that works on a full disk, and a torn write leaves the other slot.
//
//	slot: magic 4 · version 4 · serial 8 · the fields of state 10×8 · xxh3 8
//
// Version 1 has neither census nor moment.
type stateFile struct {
	f *os.File

	mu     sync.Mutex // guards both below once the store is open
	serial uint64
	now    state
}

const (
	stateMagic   = 0x74736e63 // "cnst"
	stateVersion = 2
	stateSlot    = 512
	stateLen     = 4 + 4 + 8 + 10*8 + 8
	stateLenV1   = 4 + 4 + 8 + 6*8 + 8
)

// maxOpening is the number of starts in a row that may die while they open the
// index before it is set aside. One may have been killed by somebody.
const maxOpening = 2

func openState(path string) (*stateFile, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, &DirError{Dir: path, Err: err}
	}
	return &stateFile{f: f}, nil
}

// start reads the state and counts this start. A file that is empty begins a
// new state; one that cannot be understood is damage.
func (sf *stateFile) start() (state, error) {
	b := make([]byte, 2*stateSlot)
	n, err := sf.f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return state{}, fmt.Errorf("read state: %w", err)
	}
	found := false
	for slot := range 2 {
		st, serial, ok := parseState(b[slot*stateSlot:])
		if ok && (!found || serial > sf.serial) {
			sf.now, sf.serial, found = st, serial, true
		}
	}
	if !found && n > 0 {
		return state{}, &damageError{errors.New("state file is damaged or of another version")}
	}
	if !found {
		sf.now = state{Seed: rand.Uint64()}
	}
	if sf.now.Opening >= maxOpening {
		return state{}, &damageError{fmt.Errorf("%d starts in a row died while opening the index", sf.now.Opening)}
	}
	sf.now.Boot++
	sf.now.Opening++
	st := sf.now
	sf.now.Clean = false
	return st, sf.write(true)
}

// opened notes that the index is open.
func (sf *stateFile) opened() error {
	sf.now.Opening = 0
	return sf.write(false)
}

// totals notes how much is stored, and when that is.
func (sf *stateFile) totals(objects, bytes int64, noted moment) error {
	sf.mu.Lock()
	defer sf.mu.Unlock()
	sf.now.Objects, sf.now.Bytes, sf.now.Noted = objects, bytes, noted
	return sf.write(false)
}

func (sf *stateFile) stop(d *disk) error {
	sf.mu.Lock()
	sf.now.Clean = true
	sf.now.Census = takeCensus(d.segs.dir)
	sf.mu.Unlock()
	err := d.noteTotals()
	return errors.Join(err, sf.f.Close())
}

func (sf *stateFile) write(sync bool) error {
	sf.serial++
	b := make([]byte, 0, stateSlot)
	b = binary.LittleEndian.AppendUint32(b, stateMagic)
	b = binary.LittleEndian.AppendUint32(b, stateVersion)
	for _, v := range []uint64{
		sf.serial, sf.now.Seed, sf.now.Boot, sf.now.Opening, uint64(sf.now.Objects), uint64(sf.now.Bytes),
		uint64(boolByte(sf.now.Clean)), uint64(sf.now.Census.files), uint64(sf.now.Census.bytes),
		uint64(sf.now.Noted.line), uint64(sf.now.Noted.wall),
	} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	b = binary.LittleEndian.AppendUint64(b, xxh3.Hash(b))
	if _, err := sf.f.WriteAt(b[:stateSlot], int64(sf.serial%2)*stateSlot); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	if sync {
		return sf.f.Sync()
	}
	return nil
}

func parseState(b []byte) (st state, serial uint64, ok bool) {
	if len(b) < stateSlot || binary.LittleEndian.Uint32(b) != stateMagic {
		return state{}, 0, false
	}
	size := stateLen
	switch binary.LittleEndian.Uint32(b[4:]) {
	case stateVersion:
	case 1:
		size = stateLenV1
	default:
		return state{}, 0, false
	}
	if binary.LittleEndian.Uint64(b[size-8:]) != xxh3.Hash(b[:size-8]) {
		return state{}, 0, false
	}
	v := func(i int) uint64 { return binary.LittleEndian.Uint64(b[8+8*i:]) }
	st = state{Seed: v(1), Boot: v(2), Opening: v(3), Objects: int64(v(4)), Bytes: int64(v(5)), Clean: v(6) == 1, Census: unknownCensus}
	if size == stateLen {
		st.Census = census{files: int64(v(7)), bytes: int64(v(8))}
		st.Noted = moment{line: int64(v(9)), wall: int64(v(10))}
	}
	return st, v(0), true
}

// idSource gives out the ids of objects and purges: ascending, unique, also
// across restarts and whatever the clock does.
type idSource struct{ last atomic.Uint64 }

// start begins the ids of one start of the process; each has 2^40.
func (i *idSource) start(boot uint64) { i.last.Store(boot << 40) }

func (i *idSource) next() uint64 { return i.last.Add(1) }
