package store

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/zeebo/xxh3"

	"github.com/cachenode/cachenode/cache"
)

// record is what the index keeps of one stored response.
type record struct {
	id    uint64 // unique in the store and ascending, restarts included
	loc   place
	sum   uint64 // of the body when it is one block; else the blocks' sums lie behind them
	meta  *cache.Meta
	apart int  // length of the metadata in the entry; 0: they are in the record itself
	bare  bool // of meta only what the record has is known: key, Vary and Length
	size  int  // metaSize of meta
}

// place is where an entry starts in a segment.
type place struct {
	seg uint64
	off int64
}

// The value of a key in the index is the records of its variants, newest first,
// so one Get answers a look-up however many there are:
//
//	version 1 · key · count · record… · xxh3 of all before (8 bytes)
//	record:  id · segment · offset · sum (8) · length · selectors · apart,
//	         then, when apart is 0, the metadata
//
// Numbers are (zigzag) varints, strings and lists are preceded by their length.
//
// Versions 1 and 2 have all metadata in the record. They are read, not written:
//
//	record:  id · segment · offset · sum (8) · status · requested · received ·
//	         steady · length · total · spans · selectors · fields
//
// Version 1 lacks steady.
const recordVersion = 3

// maxMeta bounds the metadata of one response, maxValue the value of one key.
const (
	maxMeta  = 96 << 10
	maxValue = 128 << 10
)

var errRecord = errors.New("malformed index record")

// appendRecords encodes the records of one key; the oldest are left out when
// they do not fit maxValue.
func appendRecords(b []byte, vars []*variant, line *timeline) []byte {
	size, n := 0, 0
	for _, v := range vars {
		if size += v.rec.indexSize(); n > 0 && size > maxValue {
			break
		}
		n++
	}
	start := len(b)
	b = append(b, recordVersion)
	b = appendString(b, vars[0].rec.meta.Key)
	b = binary.AppendUvarint(b, uint64(n))
	for _, v := range vars[:n] {
		b = v.rec.append(b, line)
	}
	return binary.LittleEndian.AppendUint64(b, xxh3.Hash(b[start:]))
}

// indexSize is about the number of bytes that r takes in the index.
func (r *record) indexSize() int {
	if r.apart > 0 {
		return selectSize(r.meta)
	}
	return r.size
}

func (r *record) append(b []byte, line *timeline) []byte {
	b = binary.AppendUvarint(b, r.id)
	b = binary.AppendUvarint(b, r.loc.seg)
	b = binary.AppendUvarint(b, uint64(r.loc.off))
	b = binary.LittleEndian.AppendUint64(b, r.sum)
	b = binary.AppendUvarint(b, uint64(r.meta.Length))
	b = binary.AppendUvarint(b, uint64(len(r.meta.Vary)))
	for _, v := range r.meta.Vary {
		b = appendString(b, v.Name)
		b = appendString(b, v.Value)
		b = append(b, boolByte(v.Present))
	}
	b = binary.AppendUvarint(b, uint64(r.apart))
	if r.apart == 0 {
		b = appendMeta(b, r.meta, line)
	}
	return b
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func boolByte(v bool) byte {
	if v {
		return 1
	}
	return 0
}

// parseRecords decodes the value of a key. All strings share one copy of b.
func parseRecords(b []byte, line *timeline) (*entry, error) {
	if len(b) < 9 {
		return nil, fmt.Errorf("%w: %d bytes", errRecord, len(b))
	}
	body, sum := b[:len(b)-8], binary.LittleEndian.Uint64(b[len(b)-8:])
	if xxh3.Hash(body) != sum {
		return nil, fmt.Errorf("%w: checksum", errRecord)
	}
	d := decoder{s: string(body), line: line}
	version := d.byte()
	if version == 0 || version > recordVersion {
		return nil, fmt.Errorf("%w: version %d", errRecord, version)
	}
	key := d.string()
	n := d.count(14)
	if n == 0 || n > cache.MaxVariants {
		return nil, fmt.Errorf("%w: %d variants", errRecord, n)
	}
	vars := make([]*variant, n)
	for i := range vars {
		v := &variant{rec: record{meta: &cache.Meta{Key: key}}}
		if version == recordVersion {
			d.record(&v.rec)
		} else {
			d.older(&v.rec, version)
		}
		v.rec.size = metaSize(v.rec.meta)
		vars[i] = v
	}
	if d.bad || d.s != "" {
		return nil, fmt.Errorf("%w: length", errRecord)
	}
	e := newEntry(vars)
	e.fromDisk = true
	return e, nil
}

func (d *decoder) record(r *record) {
	d.located(r)
	r.meta.Length = int64(d.uvarint())
	r.meta.Vary = d.selectors()
	apart := d.uvarint()
	if r.meta.Length < 0 || r.meta.Length > maxLength || apart > maxApart {
		d.fail()
		return
	}
	r.apart, r.bare = int(apart), apart > 0
	if !r.bare {
		d.meta(r.meta)
	}
}

// older reads a record of version 1 or 2.
func (d *decoder) older(r *record, version byte) {
	d.located(r)
	m := r.meta
	m.Status = int(d.uvarint())
	m.Requested, m.Received = d.time(), d.time()
	if version > 1 {
		m.Steady = d.steady()
	}
	m.Length, m.Total = d.varint(), d.varint()
	m.Spans, m.Vary, m.Header = d.spans(), d.selectors(), d.header()
	if m.Length < 0 || m.Length > maxLength {
		d.fail()
	}
}

// located reads what is the same in all versions of a record.
func (d *decoder) located(r *record) {
	r.id = d.uvarint()
	r.loc.seg = d.uvarint()
	r.loc.off = int64(d.uvarint())
	r.sum = d.fixed()
	if r.loc.off < 0 {
		d.fail()
	}
}

func (d *decoder) selectors() []cache.Selector {
	n := d.count(3)
	if n == 0 {
		return nil
	}
	vary := make([]cache.Selector, n)
	for i := range vary {
		vary[i] = cache.Selector{Name: d.string(), Value: d.string(), Present: d.byte() == 1}
	}
	return vary
}
