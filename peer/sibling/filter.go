package sibling

import (
	"math/bits"
	"sync/atomic"

	"github.com/zeebo/xxh3"
)

// The shape of a digest: 10 bits for each key and 7 of them set give a false
// hit for 0.8 % of the keys that are not in it.
const (
	bitsPerKey = 10
	hashes     = 7
)

// Sum stands for a cache key in digests. It is the same on all nodes.
func Sum(key string) uint64 { return xxh3.HashString(key) }

// Filter is a Bloom filter of sums. Adding and asking may go on at the same
// time. A nil Filter has nothing.
type Filter struct {
	words []uint64 // changed with atomic operations only
}

// NewFilter returns a filter with room for n keys.
func NewFilter(n int) *Filter {
	return &Filter{words: make([]uint64, max(1, (n*bitsPerKey+63)/64))}
}

// Add puts a key into the filter.
func (f *Filter) Add(sum uint64) {
	m, step := uint64(len(f.words))*64, stepOf(sum)
	for range hashes {
		bit, _ := bits.Mul64(sum, m)
		atomic.OrUint64(&f.words[bit/64], 1<<(bit%64))
		sum += step
	}
}

// Has reports whether a key was added; for others it is true by chance.
func (f *Filter) Has(sum uint64) bool {
	if f == nil {
		return false
	}
	m, step := uint64(len(f.words))*64, stepOf(sum)
	for range hashes {
		bit, _ := bits.Mul64(sum, m)
		if atomic.LoadUint64(&f.words[bit/64])&(1<<(bit%64)) == 0 {
			return false
		}
		sum += step
	}
	return true
}

// stepOf is the distance between the places of one key.
func stepOf(sum uint64) uint64 { return bits.RotateLeft64(sum*0x9e3779b97f4a7c15, 32) | 1 }

// Size is the memory that the filter takes, in bytes.
func (f *Filter) Size() int {
	if f == nil {
		return 0
	}
	return 8 * len(f.words)
}
