package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// index is badger, with the calls that the store needs.
type index struct {
	dir   string
	db    *badger.DB
	known presence
	line  timeline // of the times in records
	room  []byte   // for the keys and values of a batch, used again by the next
}

// openIndex opens badger in dir. What badger only finds by dying is looked for
// first; a panic of it is an error.
func openIndex(dir string, memtable, table int64, line timeline) (x *index, err error) {
	o := indexOptions(dir, memtable, table)
	tables, err := checkTables(dir)
	if err != nil {
		return nil, err
	}
	if err := checkManifest(o, tables); err != nil {
		return nil, err
	}
	defer func() {
		if p := recover(); p != nil {
			x, err = nil, fmt.Errorf("badger panics: %v", p)
		}
	}()
	db, err := badger.Open(o)
	if err != nil {
		return nil, err
	}
	return &index{dir: dir, db: db, line: line}, nil
}

// indexOptions keep badger small: all values in the tree, little memory, no
// caches of its own (uncompressed blocks are read from the page cache), and
// compaction soon, because its space counts against the quota. It pools up to
// eight builders of six times the table size; each table is a descriptor.
func indexOptions(dir string, memtable, table int64) badger.Options {
	o := badger.DefaultOptions(dir).
		WithLogger(nil).
		WithMetricsEnabled(false).
		WithDetectConflicts(false).
		WithNumVersionsToKeep(1).
		WithCompression(options.None).
		WithChecksumVerificationMode(options.OnBlockRead).
		WithBlockCacheSize(0).
		WithIndexCacheSize(0).
		WithMemTableSize(memtable).
		WithNumMemtables(2).
		WithNumLevelZeroTables(3).
		WithNumLevelZeroTablesStall(12).
		WithBaseTableSize(table).
		WithBaseLevelSize(max(4<<20, memtable)).
		WithNumCompactors(2).
		WithValueThreshold(maxValue + 4<<10).
		WithValueLogFileSize(1 << 20)
	o.TableSizeMultiplier = 1
	return o
}

// minMemtable is the smallest that takes a batch with the longest value.
const minMemtable = 1 << 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checkManifest looks for a manifest that has lost its tables: badger would
// delete them all without a word. A single table may be one that a crash has
// kept from being entered; what is in it is in the log of its memtable too.
func checkManifest(o badger.Options, tables int) error {
	logs, err := filepath.Glob(filepath.Join(o.Dir, "*.mem"))
	if tables == 0 || tables == 1 && len(logs) > 0 || err != nil {
		return err
	}
	f, err := os.Open(filepath.Join(o.Dir, badger.ManifestFilename))
	if err != nil {
		return err
	}
	defer f.Close()
	m, _, err := badger.ReplayManifestFile(f, o.ExternalMagicVersion, o)
	if err == nil && len(m.Tables) == 0 {
		err = errors.New("the manifest names no tables, though there are some")
	}
	return err
}

// checkTables reads the footer of each table, as badger dies of a truncated
// one, and counts them.
func checkTables(dir string) (int, error) {
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil {
		return 0, err
	}
	for _, path := range tables {
		if err := checkTable(path); err != nil {
			return 0, fmt.Errorf("%s: %w", filepath.Base(path), err)
		}
	}
	return len(tables), nil
}

var errTable = errors.New("damaged table")

// checkTable checks the end of a table: index · its length 4 · checksum · its
// length 4.
func checkTable(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	end := info.Size()
	sum, end, err := tablePart(f, end)
	if err != nil {
		return err
	}
	tableIndex, _, err := tablePart(f, end)
	if err != nil {
		return err
	}
	// The checksum is a protobuf message; of field 1, the algorithm, only the
	// default is used, which is left out. Field 2 is the sum.
	want, n := binary.Uvarint(sum[min(1, len(sum)):])
	if n <= 0 || sum[0] != 2<<3 || want != uint64(crc32.Checksum(tableIndex, castagnoli)) {
		return fmt.Errorf("%w: checksum of its index", errTable)
	}
	return nil
}

// tablePart reads the part that ends at end with its own length, and returns
// where it starts.
func tablePart(f *os.File, end int64) ([]byte, int64, error) {
	var size [4]byte
	if end -= 4; end < 0 {
		return nil, 0, errTable
	}
	if _, err := f.ReadAt(size[:], end); err != nil {
		return nil, 0, err
	}
	n := int64(binary.BigEndian.Uint32(size[:]))
	if n > end {
		return nil, 0, errTable
	}
	b := make([]byte, n)
	_, err := f.ReadAt(b, end-n)
	return b, end - n, err
}

func (x *index) close() error { return x.db.Close() }

// load returns the entry of h, nil when there is none. A value that cannot be
// read is an error.
func (x *index) load(h hash) (*entry, error) {
	if !x.known.has(h) {
		return nil, nil
	}
	return x.read(h)
}

// read is load from badger.
func (x *index) read(h hash) (e *entry, err error) {
	defer recovered(&err)
	err = x.db.View(func(t *badger.Txn) error {
		item, err := t.Get(h[:])
		if errors.Is(err, badger.ErrKeyNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		return item.Value(func(b []byte) error {
			e, err = parseRecords(b, &x.line)
			return err
		})
	})
	return e, err
}

// recovered turns a panic of badger over damaged blocks into an error.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("badger panics: %v", p)
	}
}

// batch is a number of changes that become durable together or in parts. There is
// one at a time.
type batch struct {
	x   *index
	txn *badger.Txn
}

// maxRoom is how much room is kept for the next batch.
const maxRoom = 1 << 20

func (x *index) newBatch() *batch {
	if x.room = x.room[:0]; cap(x.room) > maxRoom {
		x.room = nil
	}
	return &batch{x: x, txn: x.db.NewTransaction(true)}
}

// put sets the value of h to vars; none deletes it. What badger gets is its own when
// the batch is committed.
func (b *batch) put(h hash, vars []*variant) error {
	start := len(b.x.room)
	b.x.room = append(b.x.room, h[:]...)
	if len(vars) > 0 {
		b.x.known.add(h)
		b.x.room = appendRecords(b.x.room, vars, &b.x.line)
	}
	key, value := b.x.room[start:start+len(h)], b.x.room[start+len(h):]
	entry := func() error {
		if len(vars) == 0 {
			return b.txn.Delete(key)
		}
		return b.txn.Set(key, value)
	}
	err := entry()
	if errors.Is(err, badger.ErrTxnTooBig) {
		if err := b.txn.Commit(); err != nil {
			return err
		}
		b.txn = b.x.db.NewTransaction(true)
		err = entry()
	}
	return err
}

func (b *batch) commit() error { return b.txn.Commit() }

func (b *batch) discard() { b.txn.Discard() }

// scan calls fn for each value, in the order of the hashes, from after on, until
// it returns false. Values that cannot be read come as an error.
func (x *index) scan(after []byte, fn func(h hash, e *entry, err error) bool) error {
	return x.each(after, func(h hash, item *badger.Item) bool {
		var e *entry
		err := item.Value(func(b []byte) (err error) {
			e, err = parseRecords(b, &x.line)
			return err
		})
		return fn(h, e, err)
	})
}

// hashes calls fn for up to n keys from after on; next is where to go on, nil at
// the end.
func (x *index) hashes(after []byte, n int, fn func(h hash)) (next []byte, err error) {
	err = x.each(after, func(h hash, _ *badger.Item) bool {
		if n--; n < 0 {
			next = h[:]
			return false
		}
		fn(h)
		return true
	})
	return next, err
}

// eachAtOnce is how many keys are read before others may have the processor: requests
// come first, also where there is only one.
const eachAtOnce = 256

// each calls fn for each key, in order, from after on, until it returns false.
func (x *index) each(after []byte, fn func(h hash, item *badger.Item) bool) (err error) {
	defer recovered(&err)
	return x.db.View(func(t *badger.Txn) error {
		o := badger.DefaultIteratorOptions
		o.PrefetchValues = false
		it := t.NewIterator(o)
		defer it.Close()
		n := 0
		for it.Seek(after); it.Valid(); it.Next() {
			if n++; n%eachAtOnce == 0 {
				runtime.Gosched()
			}
			item := it.Item()
			if len(item.Key()) == len(hash{}) && !fn(hash(item.Key()), item) {
				return nil
			}
		}
		return nil
	})
}

// size is the space that the index takes on disk, and in its tables alone.
func (x *index) size() (all, tables int64) {
	_ = filepath.WalkDir(x.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // badger removes files meanwhile
		}
		info, err := d.Info()
		if err != nil {
			return nil
		}
		n := allocated(info)
		all += n
		if strings.HasSuffix(path, ".sst") {
			tables += n
		}
		return nil
	})
	return all, tables
}
