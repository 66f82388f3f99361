package store

import (
	"math"
	"slices"
	"testing"
)

func TestContents(t *testing.T) {
	want := []listed{{hash{1}, 0}, {hash{2}, 64}, {hash{1, 2}, math.MaxInt64}}
	var b []byte
	for _, l := range want {
		b = l.append(b)
	}
	b = appendTrailer(b)
	if got, ok := parseContents(b); !ok || !slices.Equal(got, want) {
		t.Errorf("got %v, %v", got, ok)
	}
	if n := contentsSize(append([]byte("before"), b...)); n != int64(len(b)) {
		t.Errorf("%d bytes, want %d", n, len(b))
	}
	if got, ok := parseContents(appendTrailer(nil)); !ok || len(got) != 0 {
		t.Errorf("of nothing: %v, %v", got, ok)
	}
	for i := range b {
		damaged := slices.Clone(b)
		damaged[i] ^= 1
		if _, ok := parseContents(damaged); ok {
			t.Errorf("damage at %d is not seen", i)
		}
		if _, ok := parseContents(b[:i]); ok {
			t.Errorf("%d bytes are whole", i)
		}
	}
}
