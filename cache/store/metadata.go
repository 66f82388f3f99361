package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/cachenode/cachenode/cache"
)

// The metadata of a response are those of cache.Meta that a record has not:
//
//	status · requested · received · steady · total · spans · fields
//
// Steady is received on the timeline of the store. In an entry they lie behind
// the body, with their xxh3 (8 bytes), seeded with the key hash and the id.
func appendMeta(b []byte, m *cache.Meta, line *timeline) []byte {
	b = binary.AppendUvarint(b, uint64(m.Status))
	b = appendTime(b, m.Requested)
	b = appendTime(b, m.Received)
	b = appendSteady(b, m, line)
	b = binary.AppendVarint(b, m.Total)
	b = binary.AppendUvarint(b, uint64(len(m.Spans)))
	for _, s := range m.Spans {
		b = binary.AppendVarint(b, s.Off)
		b = binary.AppendVarint(b, s.Len)
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

// metaSize is about the number of bytes that m takes, in memory and in a record.
func metaSize(m *cache.Meta) int {
	n := selectSize(m) + 16*len(m.Spans)
	for name, values := range m.Header {
		n += len(name) + 4
		for _, v := range values {
			n += len(v) + 4
		}
	}
	return n
}

// selectSize is metaSize of what a look-up selects by.
func selectSize(m *cache.Meta) int {
	n := len(m.Key) + 64
	for _, v := range m.Vary {
		n += len(v.Name) + len(v.Value) + 4
	}
	return n
}

// maxApart bounds the metadata in an entry: what takes maxMeta in memory.
const maxApart = maxMeta + maxMeta/2

// appendApart encodes the metadata of an object for its entry.
func appendApart(b []byte, h hash, r *record, line *timeline) []byte {
	start := len(b)
	b = appendMeta(b, r.meta, line)
	return binary.LittleEndian.AppendUint64(b, xxh3.HashSeed(b[start:], metaSeed(h, r.id)))
}

func metaSeed(h hash, id uint64) uint64 {
	return id*0x9e3779b97f4a7c15 ^ binary.LittleEndian.Uint64(h[:])
}

// checkApart returns the metadata in b without their checksum, which must be that
// of this object.
func checkApart(b []byte, h hash, id uint64) ([]byte, error) {
	if len(b) < 8 {
		return nil, fmt.Errorf("%w: metadata", cache.ErrCorrupt)
	}
	m, sum := b[:len(b)-8], binary.LittleEndian.Uint64(b[len(b)-8:])
	if xxh3.HashSeed(m, metaSeed(h, id)) != sum {
		return nil, fmt.Errorf("%w: metadata", cache.ErrCorrupt)
	}
	return m, nil
}

// apartAt is where the metadata of r lie in the segment.
func (r *record) apartAt() int64 {
	return r.loc.off + headerSize + r.meta.Length + sumsSize(r.meta.Length)
}

// readApart reads the metadata of r from its entry, as they stand there.
func readApart(src io.ReaderAt, h hash, r *record) ([]byte, error) {
	b := make([]byte, r.apart)
	if err := readFull(src, b, r.apartAt()); err != nil {
		return nil, err
	}
	_, err := checkApart(b, h, r.id)
	return b, err
}

// complete reads the metadata of a bare record from its entry. A body of one block
// comes with them when it is wanted too, in the same read and not checked yet.
func (r *record) complete(src io.ReaderAt, h hash, line *timeline, withBody bool) (done record, body []byte, err error) {
	length := 0
	if withBody && r.meta.Length <= blockSize {
		length = int(r.meta.Length)
	}
	b := make([]byte, length+r.apart)
	if err := readFull(src, b, r.apartAt()-int64(length)); err != nil {
		return record{}, nil, err
	}
	apart, err := checkApart(b[length:], h, r.id)
	if err != nil {
		return record{}, nil, err
	}
	m := &cache.Meta{Key: r.meta.Key, Vary: r.meta.Vary, Length: r.meta.Length}
	d := decoder{s: string(apart), line: line}
	d.meta(m)
	if d.bad || d.s != "" {
		return record{}, nil, fmt.Errorf("%w: metadata", cache.ErrCorrupt)
	}
	done = *r
	done.meta, done.bare, done.size = m, false, metaSize(m)
	if int64(length) == r.meta.Length {
		body = b[:length] // its capacity is what it takes, the rest included
	}
	return done, body, nil
}

// readFull reads all of p; a file that ends too early is damage.
func readFull(src io.ReaderAt, p []byte, off int64) error {
	n, err := src.ReadAt(p, off)
	switch {
	case n == len(p):
		return nil
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%w: segment ends within an entry", cache.ErrCorrupt)
	}
	return err
}

// meta reads the metadata of a response into m.
func (d *decoder) meta(m *cache.Meta) {
	m.Status = int(d.uvarint())
	m.Requested, m.Received, m.Steady = d.time(), d.time(), d.steady()
	m.Total = d.varint()
	m.Spans = d.spans()
	m.Header = d.header()
}

func (d *decoder) spans() []cache.Span {
	n := d.count(2)
	if n == 0 {
		return nil
	}
	spans := make([]cache.Span, n)
	for i := range spans {
		spans[i] = cache.Span{Off: d.varint(), Len: d.varint()}
	}
	return spans
}

func (d *decoder) header() http.Header {
	n := d.count(2)
	h := make(http.Header, n)
	flat := make([]string, 0, n)
	for range n {
		name := d.string()
		k := d.count(1)
		if d.bad {
			return h
		}
		for range k {
			flat = append(flat, d.string())
		}
		h[name] = slices.Clip(flat[len(flat)-k:])
	}
	return h
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
