package store

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/cachenode/cachenode/cache"
)

// sample is a variant with everything in it.
var testLine = resume(time.Unix(1000, 0), moment{line: 5e12, wall: 900e9})

func sample(id uint64) *variant {
	return &variant{rec: record{
		id: id, loc: place{seg: 7, off: 4096}, sum: 99,
		meta: &cache.Meta{
			Key: "http://example.com/", Status: 206,
			Vary:      []cache.Selector{{Name: "accept", Value: "x", Present: true}, {Name: "cookie"}},
			Header:    http.Header{"Etag": {`"a"`}, "X-Many": {"1", "2", ""}},
			Requested: time.Unix(1, 2), Received: time.Unix(-3, 4),
			Length: 10, Total: 100, Spans: []cache.Span{{Off: 5, Len: 10}},
		},
	}}
}

func FuzzParseRecords(f *testing.F) {
	f.Add(encodeRecords([]*variant{sample(1)}, &testLine))
	f.Add(encodeRecords([]*variant{sample(1), sample(2)}, &testLine))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		// Half of the tries get a right checksum, to reach what lies behind it.
		if len(b) > 8 && len(b)%2 == 0 {
			b = slices.Clone(b)
			sum := xxh3.Hash(b[:len(b)-8])
			for i := range 8 {
				b[len(b)-8+i] = byte(sum >> (8 * i))
			}
		}
		e, err := parseRecords(b, &testLine)
		if err != nil {
			if !errors.Is(err, errRecord) {
				t.Fatalf("error is %v", err)
			}
			return
		}
		again, err := parseRecords(encodeRecords(e.vars, &testLine), &testLine)
		if err != nil || len(again.vars) > len(e.vars) || again.key != e.key {
			t.Fatalf("does not come back: %v", err)
		}
	})
}

func TestRecordsComeBack(t *testing.T) {
	for _, change := range []func(m *cache.Meta){
		func(*cache.Meta) {},
		func(m *cache.Meta) { m.Vary, m.Spans, m.Header = nil, nil, nil },
		func(m *cache.Meta) { m.Requested, m.Received = time.Time{}, time.Time{} },
		func(m *cache.Meta) { m.Length, m.Total = 0, 0 },
	} {
		v := sample(3)
		change(v.rec.meta)
		e, err := parseRecords(encodeRecords([]*variant{v}, &testLine), &testLine)
		if err != nil {
			t.Fatal(err)
		}
		got, want := e.vars[0].rec.meta, v.rec.meta
		if e.vars[0].rec.id != 3 || e.vars[0].rec.loc != v.rec.loc || e.vars[0].rec.sum != 99 ||
			!got.Requested.Equal(want.Requested) || !got.Received.Equal(want.Received) || !got.Steady.Equal(want.Received) ||
			!slices.Equal(got.Vary, want.Vary) || !slices.Equal(got.Spans, want.Spans) || len(got.Header) != len(want.Header) ||
			got.Length != want.Length || got.Total != want.Total || got.Status != want.Status {
			t.Errorf("%+v comes back as %+v", want, got)
		}
	}
}

// Values of one key that are too long together lose the oldest variants.
func TestRecordsAreBounded(t *testing.T) {
	var vars []*variant
	for i := range 10 {
		v := sample(uint64(i))
		v.rec.meta.Header = http.Header{"X": {string(make([]byte, 60<<10))}}
		vars = append(vars, v.withMeta(v.rec.meta))
	}
	b := encodeRecords(vars, &testLine)
	e, err := parseRecords(b, &testLine)
	if err != nil || len(e.vars) != 2 || e.vars[0].rec.id != 0 || len(b) > maxValue+4<<10 {
		t.Fatalf("%d bytes, %v, %+v", len(b), err, e)
	}
}

// entryBytes is an entry as the keeper writes it.
func entryBytes(h hash, id uint64, body []byte) []byte {
	b := header{h: h, id: id, length: int64(len(body))}.append(nil)
	b = append(b, body...)
	if len(body) > blockSize {
		s := sums{id: id}
		for block := range slices.Chunk(body, blockSize) {
			s.add(block)
		}
		b = append(b, s.take()...)
	}
	return append(b, make([]byte, entrySize(int64(len(body)))-int64(len(b)))...)
}

// FuzzSegment walks a file of any bytes and reads the entries it finds there.
func FuzzSegment(f *testing.F) {
	small := entryBytes(hash{1}, 5, []byte("hello"))
	f.Add(small, int64(0), uint64(5))
	f.Add(append(slices.Clone(small), entryBytes(hash{2}, 6, make([]byte, 3*blockSize+1))...), int64(len(small)), uint64(6))
	f.Add([]byte{}, int64(0), uint64(0))
	path := filepath.Join(f.TempDir(), "segment")
	f.Fuzz(func(t *testing.T, b []byte, off int64, id uint64) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		sg := newSegment(1, path, false, int64(len(b)))
		sg.f = file
		err = walk(sg, func(e found) bool {
			r := newBodyReader(sg, &record{id: e.id, loc: place{1, e.off}, meta: &cache.Meta{Length: e.length}})
			defer r.close()
			_, err := r.ReadAt(make([]byte, min(e.length, 1<<20)), 0)
			if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, cache.ErrCorrupt) {
				t.Errorf("error is %v", err)
			}
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzParsePurges(f *testing.F) {
	one, two := purge{id: 1, kind: purgeHost, pattern: "a"}, purge{id: 2, kind: purgeAll}
	f.Add(two.append(one.append(nil)))
	f.Add([]byte{0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		list, end := parsePurges(b)
		var again []byte
		for i := range list {
			again = list[i].append(again)
		}
		if !bytes.Equal(again, b[:end]) {
			t.Fatal("does not come back")
		}
	})
}

func FuzzParseState(f *testing.F) {
	f.Add(make([]byte, stateSlot))
	f.Fuzz(func(_ *testing.T, b []byte) { parseState(b) })
}

// A body of several groups is laid out so that each byte and each sum has a
// place of its own.
func TestLayoutOfHugeBodies(t *testing.T) {
	for _, n := range []int64{0, 1, blockSize, blockSize + 1, groupSize - 1, groupSize, groupSize + 1, 100 << 30} {
		if n == 0 {
			continue
		}
		last := fileOffset(n-1) + 1
		group := (n - 1) / groupSize
		blocks := (n - group*groupSize + blockSize - 1) / blockSize
		end := last
		if n > blockSize {
			end += 8 * (blocks + 1)
		}
		if want := headerSize + n + sumsSize(n); end != want {
			t.Errorf("a body of %d ends at %d, want %d", n, end, want)
		}
	}
}
