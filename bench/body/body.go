// Package body makes the content of the objects that a bench asks for, so that
// each byte can be checked where it arrives. Content follows from identity,
// version and length alone; nothing is stored and nobody need be asked.
//
// A body begins with a line that names it,
//
//	cachenode-bench id=RUN/17 v=3 n=10240\n
//
// cut where the body is shorter, and goes on with blocks out of one fixed table
// of noise. Where in the table a block begins follows from the identity and the
// number of the block, so neither a byte, nor a block in another place, nor a
// block of another body passes for the right one.
package body

import (
	"bytes"
	"strconv"
	"sync"
	"time"

	"github.com/zeebo/xxh3"
)

// Object names one body.
type Object struct {
	ID      string // no space and no control characters
	Version uint64
	Length  int64
}

const (
	magic     = "cachenode-bench id="
	blockSize = 16 << 10
	places    = 64 << 10 // where in the table a block may begin
)

// MaxHead is how long a body's first line can be with an ID of MaxID bytes.
const (
	MaxID   = 200
	MaxHead = len(magic) + MaxID + len(" v=") + 20 + len(" n=") + 20 + 1
)

// noise is the table. It is the same in every process and version: bodies in a
// cache must still be right after an update.
var noise = sync.OnceValue(func() []byte {
	table := make([]byte, places+blockSize)
	state := uint64(0x6361636865)
	for i := 0; i+8 <= len(table); i += 8 {
		state += 0x9e3779b97f4a7c15
		x := Mix(state)
		for k := range 8 {
			table[i+k] = byte(x >> (8 * k))
		}
	}
	return table
})

// Mix scrambles x: a bijection in which every bit of the result depends on every
// bit of x (the finalizer of SplitMix64).
func Mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// AppendHead appends the whole first line of o.
func (o Object) AppendHead(b []byte) []byte {
	return appendHead(b, []byte(o.ID), o.Version, o.Length)
}

func appendHead(b, id []byte, version uint64, length int64) []byte {
	b = append(b, magic...)
	b = append(b, id...)
	b = append(b, " v="...)
	b = strconv.AppendUint(b, version, 10)
	b = append(b, " n="...)
	b = strconv.AppendInt(b, length, 10)
	return append(b, '\n')
}

// ParseHead reads the line that a body begins with. ok is false where p is not
// the beginning of a body, or too short to hold the line.
func ParseHead(p []byte) (o Object, ok bool) {
	line, _, found := bytes.Cut(p[:min(len(p), MaxHead)], []byte("\n"))
	if !found {
		return Object{}, false
	}
	rest, found := bytes.CutPrefix(line, []byte(magic))
	if !found {
		return Object{}, false
	}
	id, rest, found := bytes.Cut(rest, []byte(" v="))
	if !found {
		return Object{}, false
	}
	v, n, found := bytes.Cut(rest, []byte(" n="))
	if !found {
		return Object{}, false
	}
	version, err := strconv.ParseUint(string(v), 10, 64)
	if err != nil {
		return Object{}, false
	}
	length, err := strconv.ParseInt(string(n), 10, 64)
	if err != nil || length < 0 {
		return Object{}, false
	}
	return Object{ID: string(id), Version: version, Length: length}, true
}

// Content gives the bytes of one object. Its zero value is ready for Reset, and
// it may be reset any number of times; it keeps only the first line.
type Content struct {
	head   []byte
	table  []byte
	key    uint64
	length int64
}

// Reset makes c the content of o.
func (c *Content) Reset(o Object) { c.ResetTo([]byte(o.ID), o.Version, o.Length) }

// ResetTo is Reset for an identity in a buffer, of which it keeps nothing.
func (c *Content) ResetTo(id []byte, version uint64, length int64) {
	c.head = appendHead(c.head[:0], id, version, length)
	c.head = c.head[:min(int64(len(c.head)), length)]
	c.table = noise()
	c.key = xxh3.Hash(id) ^ Mix(version+1)<<1 ^ Mix(uint64(length))
	c.length = length
}

// Len is the length of the object.
func (c *Content) Len() int64 { return c.length }

// At returns bytes of the content from off on: as many as lie together, none
// only at the end. They are not the caller's: they must not be written to, and
// hold until the next Reset.
func (c *Content) At(off int64) []byte {
	if off >= c.length {
		return nil
	}
	if off < int64(len(c.head)) {
		return c.head[off:]
	}
	block, in := off/blockSize, off%blockSize
	start := int64(Mix(c.key+uint64(block)) % places)
	end := min(blockSize, in+c.length-off)
	return c.table[start+in : start+end]
}

// Check compares p with the content at off and returns how many bytes from its
// beginning are right: len(p) when all are.
func (c *Content) Check(off int64, p []byte) int {
	done := 0
	for done < len(p) {
		want := c.At(off + int64(done))
		n := min(len(want), len(p)-done)
		if n == 0 || !bytes.Equal(want[:n], p[done:done+n]) {
			return done + agreeing(want[:n], p[done:done+n])
		}
		done += n
	}
	return done
}

func agreeing(a, b []byte) int {
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return len(a)
}

// VersionAt is the version that id has at a time when every object changes once
// in every; the objects do not change at the same moment. every 0 is never.
func VersionAt(id string, at time.Time, every time.Duration) uint64 {
	if every <= 0 {
		return 0
	}
	return uint64(at.UnixNano()+phase(id, every)) / uint64(every)
}

// VersionEnds is when the version of id is replaced by the next one.
func VersionEnds(id string, version uint64, every time.Duration) time.Time {
	return time.Unix(0, int64(version+1)*int64(every)-phase(id, every))
}

func phase(id string, every time.Duration) int64 {
	return int64(xxh3.HashString(id) % uint64(every))
}

// AppendETag appends the strong entity tag of o.
func (o Object) AppendETag(b []byte) []byte {
	b = append(b, '"')
	b = strconv.AppendUint(b, xxh3.HashString(o.ID)&0xffffffff, 36)
	b = append(b, '-')
	b = strconv.AppendUint(b, o.Version, 10)
	b = append(b, '-')
	b = strconv.AppendInt(b, o.Length, 10)
	return append(b, '"')
}
