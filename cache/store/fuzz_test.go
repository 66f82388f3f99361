package store

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"maps"
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

// bare is v as the index has it when its metadata lie in its entry.
func bare(v *variant) *variant {
	nv := *v
	m := v.rec.meta
	nv.rec.meta = &cache.Meta{Key: m.Key, Vary: m.Vary, Length: m.Length}
	nv.rec.apart, nv.rec.bare = 99, true
	return &nv
}

func encoded(vars ...*variant) []byte { return appendRecords(nil, vars, &testLine) }

// recordsOfVersion2 is sample(3) without X-Many, and sample(2) without Vary, Spans
// and Header, as version 2 of the records had them.
func recordsOfVersion2(t testing.TB) []byte {
	b, err := hex.DecodeString("0213687474703a2f2f6578616d706c652e636f6d2f0203078020" +
		"6300000000000000ce0184a8d6b907f7f782ad1688a8d683bdee0114c801010a1402066163636570" +
		"7401780106636f6f6b69650000010445746167020322612201780207802063000000000000" +
		"00ce0184a8d6b907f7f782ad1688a8d683bdee0114c8010000007185eb8042612bdc")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func FuzzParseRecords(f *testing.F) {
	f.Add(encoded(sample(1)))
	f.Add(encoded(sample(1), bare(sample(2))))
	f.Add(recordsOfVersion2(f))
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
		again, err := parseRecords(encoded(e.vars...), &testLine)
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
		e, err := parseRecords(encoded(v), &testLine)
		if err != nil {
			t.Fatal(err)
		}
		if r := e.vars[0].rec; r.id != 3 || r.loc != v.rec.loc || r.sum != 99 || r.bare {
			t.Errorf("%+v comes back as %+v", v.rec, r)
		}
		v.rec.meta.Steady = v.rec.meta.Received
		sameMeta(t, e.vars[0].rec.meta, v.rec.meta)
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
	b := encoded(vars...)
	e, err := parseRecords(b, &testLine)
	if err != nil || len(e.vars) != 2 || e.vars[0].rec.id != 0 || len(b) > maxValue+4<<10 {
		t.Fatalf("%d bytes, %v, %+v", len(b), err, e)
	}
}

// A store of the version before is read.
func TestRecordsOfVersion2(t *testing.T) {
	e, err := parseRecords(recordsOfVersion2(t), &testLine)
	if err != nil || len(e.vars) != 2 || e.bare {
		t.Fatalf("%+v, %v", e, err)
	}
	one, two := sample(3), sample(2)
	one.rec.meta.Header = http.Header{"Etag": {`"a"`, "x"}}
	two.rec.meta.Header = http.Header{}
	two.rec.meta.Vary, two.rec.meta.Spans = nil, nil
	for i, want := range []*variant{one, two} {
		want.rec.meta.Steady = want.rec.meta.Received
		got := e.vars[i].rec
		sameMeta(t, got.meta, want.rec.meta)
		if got.id != want.rec.id || got.loc != want.rec.loc || got.sum != want.rec.sum || got.apart != 0 {
			t.Errorf("%+v comes back as %+v", want.rec, got)
		}
	}
}

func sameMeta(t *testing.T, got, want *cache.Meta) {
	t.Helper()
	if got.Key != want.Key || !got.Requested.Equal(want.Requested) || !got.Received.Equal(want.Received) || !got.Steady.Equal(want.Steady) ||
		!slices.Equal(got.Vary, want.Vary) || !slices.Equal(got.Spans, want.Spans) || !maps.EqualFunc(got.Header, want.Header, slices.Equal) ||
		got.Length != want.Length || got.Total != want.Total || got.Status != want.Status {
		t.Errorf("%+v comes back as %+v", want, got)
	}
}

// Of an object whose metadata lie in its entry the index has what it selects by,
// and little more.
func TestBareRecords(t *testing.T) {
	v := bare(sample(3))
	b := encoded(v)
	e, err := parseRecords(b, &testLine)
	if err != nil || !e.bare || !e.vars[0].rec.bare || e.vars[0].rec.apart != v.rec.apart {
		t.Fatalf("%+v, %v", e, err)
	}
	sameMeta(t, e.vars[0].rec.meta, v.rec.meta)
	if most := len(v.rec.meta.Key) + 60; len(b) > most {
		t.Errorf("it takes %d bytes, want at most %d", len(b), most)
	}
}

// Metadata are those of their object or none: another's, or a damaged one's, are
// not taken.
func TestMetadataApart(t *testing.T) {
	h, v := hash{1}, sample(3)
	body := []byte("0123456789")
	meta := appendApart(nil, h, &v.rec, &testLine)
	b := entryBytes(h, 3, body, meta)
	r := bare(v).rec
	r.loc.off, r.apart = 0, len(meta)
	for _, withBody := range []bool{false, true} {
		done, got, err := r.complete(bytes.NewReader(b), h, &testLine, withBody)
		if err != nil || done.bare || withBody && !bytes.Equal(got, body) || !withBody && got != nil {
			t.Fatalf("%+v, %q, %v", done, got, err)
		}
		v.rec.meta.Steady = v.rec.meta.Received
		sameMeta(t, done.meta, v.rec.meta)
	}

	other := r
	other.id = 4
	if _, _, err := other.complete(bytes.NewReader(b), h, &testLine, false); !errors.Is(err, cache.ErrCorrupt) {
		t.Errorf("metadata of another object: %v", err)
	}
	if _, _, err := r.complete(bytes.NewReader(b), hash{2}, &testLine, false); !errors.Is(err, cache.ErrCorrupt) {
		t.Errorf("metadata of another key: %v", err)
	}
	for i := range r.apart {
		at := int(r.apartAt()) + i
		b[at] ^= 1
		if _, _, err := r.complete(bytes.NewReader(b), h, &testLine, false); !errors.Is(err, cache.ErrCorrupt) {
			t.Errorf("byte %d is damaged: %v", i, err)
		}
		b[at] ^= 1
		if _, _, err := r.complete(bytes.NewReader(b[:at]), h, &testLine, false); !errors.Is(err, cache.ErrCorrupt) {
			t.Errorf("cut off at byte %d: %v", i, err)
		}
	}
}

// What fits into memory fits into an entry.
func TestMetadataAreBounded(t *testing.T) {
	m := sample(1).rec.meta
	m.Spans = nil
	for metaSize(m) < maxMeta {
		m.Spans = append(m.Spans, cache.Span{Off: 1 << 62, Len: 1 << 62})
	}
	if b := appendApart(nil, hash{}, &record{meta: m}, &testLine); len(b) > maxApart {
		t.Errorf("%d bytes of metadata, at most %d are read", len(b), maxApart)
	}
}

func FuzzMetadata(f *testing.F) {
	f.Add(appendMeta(nil, sample(1).rec.meta, &testLine))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := record{id: 1, loc: place{off: -headerSize}, meta: &cache.Meta{Key: "k"}, apart: len(b) + 8, bare: true}
		b = binary.LittleEndian.AppendUint64(b, xxh3.HashSeed(b, metaSeed(hash{}, 1)))
		done, _, err := r.complete(bytes.NewReader(b), hash{}, &testLine, true)
		if err != nil {
			if !errors.Is(err, cache.ErrCorrupt) {
				t.Fatalf("error is %v", err)
			}
			return
		}
		again := appendApart(nil, hash{}, &done, &testLine)
		if r.apart = len(again); r.apart > len(b)+30 {
			t.Fatalf("%d bytes have become %d", len(b), r.apart)
		}
		back, _, err := r.complete(bytes.NewReader(again), hash{}, &testLine, true)
		if err != nil {
			t.Fatalf("does not come back: %v", err)
		}
		sameMeta(t, back.meta, done.meta)
	})
}

// entryBytes is an entry as the keeper writes it.
func entryBytes(h hash, id uint64, body, meta []byte) []byte {
	e := header{h: h, id: id, length: int64(len(body)), apart: len(meta)}
	b := e.append(nil)
	b = append(b, body...)
	if len(body) > blockSize {
		s := sums{id: id}
		for block := range slices.Chunk(body, blockSize) {
			s.add(block)
		}
		b = append(b, s.take()...)
	}
	b = append(b, meta...)
	return append(b, make([]byte, e.size()-int64(len(b)))...)
}

// An entry of version 1 has no metadata.
func TestEntryOfVersion1(t *testing.T) {
	b := header{h: hash{1}, id: 5, length: 3}.append(nil)
	binary.LittleEndian.PutUint32(b[4:], 1)
	binary.LittleEndian.PutUint64(b[56:], xxh3.Hash(b[:56]))
	if e, err := parseHeader(b); err != nil || e != (header{h: hash{1}, id: 5, length: 3}) {
		t.Errorf("%+v, %v", e, err)
	}
	binary.LittleEndian.PutUint32(b[4:], 3)
	binary.LittleEndian.PutUint64(b[56:], xxh3.Hash(b[:56]))
	if _, err := parseHeader(b); err == nil {
		t.Error("an entry of a later version is read")
	}
}

// FuzzSegment walks a file of any bytes and reads the entries it finds there.
func FuzzSegment(f *testing.F) {
	v := sample(5)
	small := entryBytes(hash{1}, 5, []byte("hello"), appendApart(nil, hash{1}, &v.rec, &testLine))
	f.Add(small)
	f.Add(append(slices.Clone(small), entryBytes(hash{2}, 6, make([]byte, 3*blockSize+1), nil)...))
	f.Add([]byte{})
	path := filepath.Join(f.TempDir(), "segment")
	f.Fuzz(func(t *testing.T, b []byte) {
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
			rec := &record{id: e.id, loc: place{1, e.off}, meta: &cache.Meta{Length: e.length}, apart: e.apart, bare: true}
			r := newBodyReader(sg, rec)
			defer r.close()
			_, err := r.ReadAt(make([]byte, min(e.length, 1<<20)), 0)
			if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, cache.ErrCorrupt) {
				t.Errorf("error is %v", err)
			}
			if _, _, err := rec.complete(sg, e.h, &testLine, true); err != nil && !errors.Is(err, cache.ErrCorrupt) {
				t.Errorf("error of the metadata is %v", err)
			}
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzContents reads any bytes as contents; what is read comes back.
func FuzzContents(f *testing.F) {
	f.Add(appendTrailer(nil))
	f.Add(appendTrailer(listed{hash{2}, 128}.append(listed{hash{1}, 0}.append(nil))))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = contentsSize(b)
		all, ok := parseContents(b)
		if !ok {
			return
		}
		var again []byte
		for _, l := range all {
			again = l.append(again)
		}
		if !bytes.Equal(appendTrailer(again), b) {
			t.Fatal("does not come back")
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
