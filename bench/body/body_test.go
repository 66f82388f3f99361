package body

import (
	"bytes"
	"testing"
	"time"
)

func content(o Object) []byte {
	var c Content
	c.Reset(o)
	var all []byte
	for int64(len(all)) < c.Len() {
		all = append(all, c.At(int64(len(all)))...)
	}
	return all
}

func TestContentIsAsLongAsItSays(t *testing.T) {
	for _, n := range []int64{0, 1, 5, 36, 37, 38, 1024, blockSize - 1, blockSize, blockSize + 1, 5*blockSize + 77} {
		o := Object{ID: "r/1", Version: 3, Length: n}
		b := content(o)
		if int64(len(b)) != n {
			t.Fatalf("%d bytes, want %d", len(b), n)
		}
		var c Content
		c.Reset(o)
		if got := c.Check(0, b); got != len(b) {
			t.Errorf("length %d: right up to %d", n, got)
		}
		if got, ok := ParseHead(b); n > 100 && (!ok || got != o) {
			t.Errorf("length %d: head %+v, %v", n, got, ok)
		}
	}
}

// Every single wrong byte is found, and where it is.
func TestCheckFindsEveryByte(t *testing.T) {
	o := Object{ID: "r/1", Length: 2*blockSize + 100}
	b := content(o)
	var c Content
	c.Reset(o)
	for _, i := range []int{0, 3, 40, 41, 1000, blockSize - 1, blockSize, 2 * blockSize, len(b) - 1} {
		b[i] ^= 1
		if got := c.Check(0, b); got != i {
			t.Errorf("byte %d: found at %d", i, got)
		}
		if got := c.Check(int64(i), b[i:]); got != 0 {
			t.Errorf("byte %d from there: %d", i, got)
		}
		b[i] ^= 1
	}
	if got := c.Check(0, append(b, 'x')); got != len(b) {
		t.Errorf("a byte too many: right up to %d of %d", got, len(b))
	}
}

// No block passes for one of another object, another version or another place.
func TestBlocksDiffer(t *testing.T) {
	o := Object{ID: "r/1", Length: 4 * blockSize}
	var c Content
	c.Reset(o)
	for name, other := range map[string]Object{
		"id": {ID: "r/2", Length: o.Length}, "version": {ID: "r/1", Version: 1, Length: o.Length}, "length": {ID: "r/1", Length: o.Length + 1},
	} {
		b := content(other)
		for i := blockSize; i < int(o.Length); i += blockSize {
			if c.Check(int64(i), b[i:i+100]) > 8 {
				t.Errorf("%s: block %d passes", name, i/blockSize)
			}
		}
	}
	b := content(o)
	if c.Check(blockSize, b[2*blockSize:3*blockSize]) > 8 {
		t.Error("a block passes in another place")
	}
}

func TestVersions(t *testing.T) {
	now, every := time.Unix(1_800_000_000, 0), 30*time.Second
	if VersionAt("x", now, 0) != 0 {
		t.Error("what never changes has version 0")
	}
	v := VersionAt("x", now, every)
	end := VersionEnds("x", v, every)
	if !end.After(now) || end.Sub(now) > every {
		t.Errorf("ends in %v", end.Sub(now))
	}
	if VersionAt("x", end.Add(-1), every) != v || VersionAt("x", end, every) != v+1 {
		t.Error("the version does not end where it says")
	}
}

func FuzzParseHead(f *testing.F) {
	f.Add(Object{ID: "r/1", Version: 2, Length: 3}.AppendHead(nil))
	f.Add([]byte("cachenode-bench id= v= n=\n"))
	f.Fuzz(func(t *testing.T, p []byte) {
		o, ok := ParseHead(p)
		if !ok {
			return
		}
		again, ok := ParseHead(o.AppendHead(nil))
		if !ok || again != o {
			t.Errorf("%q: %+v, then %+v", p, o, again)
		}
	})
}

func BenchmarkCheck10K(b *testing.B) {
	o := Object{ID: "run/12345", Length: 10 << 10}
	all := bytes.Clone(content(o))
	var c Content
	b.SetBytes(o.Length)
	b.ReportAllocs()
	for b.Loop() {
		c.Reset(o)
		if c.Check(0, all) != len(all) {
			b.Fatal("wrong")
		}
	}
}
