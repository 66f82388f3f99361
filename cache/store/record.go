package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/cachenode/cachenode/cache"
)

// record is what the index keeps of one stored response.
type record struct {
	id   uint64 // unique in the store and ascending, restarts included
	loc  place
	sum  uint64 // of the body when it is one block; else the blocks' sums lie behind them
	meta *cache.Meta
	size int // metaSize of meta
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
//	record:  id · segment · offset · sum (8) · status · requested · received ·
//	         steady · length · total · spans · selectors · fields
//
// Steady is received on the timeline of the store; version 1 lacks it.
// Numbers are (zigzag) varints, strings and lists are preceded by their length.
const recordVersion = 2

// maxMeta bounds the metadata of one response, maxValue those of one key.
const (
	maxMeta  = 96 << 10
	maxValue = 128 << 10
)

var errRecord = errors.New("malformed index record")

// metaSize is about the number of bytes that m takes, in memory and in a record.
func metaSize(m *cache.Meta) int {
	n := len(m.Key) + 64 + 16*len(m.Spans)
	for _, v := range m.Vary {
		n += len(v.Name) + len(v.Value) + 4
	}
	for name, values := range m.Header {
		n += len(name) + 4
		for _, v := range values {
			n += len(v) + 4
		}
	}
	return n
}

// encodeRecords encodes the records of one key; the oldest are left out when
// they do not fit maxValue.
func encodeRecords(vars []*variant, line *timeline) []byte {
	size, n := 0, 0
	for _, v := range vars {
		if size += v.rec.size; n > 0 && size > maxValue {
			break
		}
		n++
	}
	b := make([]byte, 0, size+64)
	b = append(b, recordVersion)
	b = appendString(b, vars[0].rec.meta.Key)
	b = binary.AppendUvarint(b, uint64(n))
	for _, v := range vars[:n] {
		b = v.rec.append(b, line)
	}
	return binary.LittleEndian.AppendUint64(b, xxh3.Hash(b))
}

func (r *record) append(b []byte, line *timeline) []byte {
	m := r.meta
	b = binary.AppendUvarint(b, r.id)
	b = binary.AppendUvarint(b, r.loc.seg)
	b = binary.AppendUvarint(b, uint64(r.loc.off))
	b = binary.LittleEndian.AppendUint64(b, r.sum)
	b = binary.AppendUvarint(b, uint64(m.Status))
	b = appendTime(b, m.Requested)
	b = appendTime(b, m.Received)
	b = appendSteady(b, m, line)
	b = binary.AppendVarint(b, m.Length)
	b = binary.AppendVarint(b, m.Total)
	b = binary.AppendUvarint(b, uint64(len(m.Spans)))
	for _, s := range m.Spans {
		b = binary.AppendVarint(b, s.Off)
		b = binary.AppendVarint(b, s.Len)
	}
	b = binary.AppendUvarint(b, uint64(len(m.Vary)))
	for _, v := range m.Vary {
		b = appendString(b, v.Name)
		b = appendString(b, v.Value)
		b = append(b, boolByte(v.Present))
	}
	b = binary.AppendUvarint(b, uint64(len(m.Header)))
	for name, values := range m.Header {
		b = appendString(b, name)
		b = binary.AppendUvarint(b, uint64(len(values)))
		for _, v := range values {
			b = appendString(b, v)
		}
	}
	return b
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// noTime stands for the zero time.Time, which has no Unix nanoseconds.
const noTime = math.MinInt64

func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return binary.AppendVarint(b, noTime)
	}
	return binary.AppendVarint(b, t.UnixNano())
}

func appendSteady(b []byte, m *cache.Meta, line *timeline) []byte {
	switch {
	case !m.Steady.IsZero():
		return binary.AppendVarint(b, line.of(m.Steady))
	case !m.Received.IsZero():
		return binary.AppendVarint(b, line.of(m.Received))
	}
	return binary.AppendVarint(b, noTime)
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
	d := decoder{s: string(body)}
	switch v := d.byte(); v {
	case recordVersion:
		d.line = line
	case 1:
	default:
		return nil, fmt.Errorf("%w: version %d", errRecord, v)
	}
	key := d.string()
	n := d.count(20)
	if n == 0 || n > cache.MaxVariants {
		return nil, fmt.Errorf("%w: %d variants", errRecord, n)
	}
	vars := make([]*variant, n)
	for i := range vars {
		vars[i] = &variant{rec: d.record(key)}
	}
	if d.bad || d.s != "" {
		return nil, fmt.Errorf("%w: length", errRecord)
	}
	e := newEntry(vars)
	e.fromDisk = true
	return e, nil
}

// decoder takes values off the front of s. After the first that is not there,
// bad is set and all are zero.
type decoder struct {
	s    string
	bad  bool
	line *timeline // of the steady times; nil: there are none
}

func (d *decoder) record(key string) record {
	m := &cache.Meta{Key: key}
	r := record{meta: m}
	r.id = d.uvarint()
	r.loc.seg = d.uvarint()
	r.loc.off = int64(d.uvarint())
	r.sum = d.fixed()
	m.Status = int(d.uvarint())
	m.Requested, m.Received = d.time(), d.time()
	if d.line != nil {
		m.Steady = d.steady()
	}
	m.Length, m.Total = d.varint(), d.varint()
	if n := d.count(2); n > 0 {
		m.Spans = make([]cache.Span, n)
		for i := range m.Spans {
			m.Spans[i] = cache.Span{Off: d.varint(), Len: d.varint()}
		}
	}
	if n := d.count(3); n > 0 {
		m.Vary = make([]cache.Selector, n)
		for i := range m.Vary {
			m.Vary[i] = cache.Selector{Name: d.string(), Value: d.string(), Present: d.byte() == 1}
		}
	}
	d.header(m)
	r.size = metaSize(m)
	if m.Length < 0 || r.loc.off < 0 {
		d.bad = true
	}
	return r
}

func (d *decoder) header(m *cache.Meta) {
	n := d.count(2)
	m.Header = make(http.Header, n)
	flat := make([]string, 0, n)
	for range n {
		name := d.string()
		k := d.count(1)
		if d.bad {
			return
		}
		for range k {
			flat = append(flat, d.string())
		}
		m.Header[name] = slices.Clip(flat[len(flat)-k:])
	}
}

func (d *decoder) fail() {
	d.bad = true
	d.s = ""
}

func (d *decoder) byte() byte {
	if d.s == "" {
		d.fail()
		return 0
	}
	c := d.s[0]
	d.s = d.s[1:]
	return c
}

func (d *decoder) uvarint() (v uint64) {
	for shift := 0; shift < 64; shift += 7 {
		c := d.byte()
		if d.bad {
			return 0
		}
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return v
		}
	}
	d.fail()
	return 0
}

func (d *decoder) varint() int64 {
	u := d.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

func (d *decoder) fixed() (v uint64) {
	for shift := 0; shift < 64; shift += 8 {
		v |= uint64(d.byte()) << shift
	}
	return v
}

func (d *decoder) time() time.Time {
	ns := d.varint()
	if ns == noTime || d.bad {
		return time.Time{}
	}
	return time.Unix(0, ns)
}

func (d *decoder) steady() time.Time {
	ns := d.varint()
	if ns == noTime || d.bad {
		return time.Time{}
	}
	return d.line.time(ns)
}

// count reads the length of a list whose elements take at least size bytes.
func (d *decoder) count(size int) int {
	n := d.uvarint()
	if n > uint64(len(d.s)/size) {
		d.fail()
		return 0
	}
	return int(n)
}

func (d *decoder) string() string {
	n := d.count(1)
	s := d.s[:n]
	d.s = d.s[n:]
	return s
}
