package store

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// Whatever is copied and lent, and whenever it is written, the file has it in order.
func TestTail(t *testing.T) {
	for _, grain := range []int{entryAlign, 512, diskAlign} {
		for seed := range uint64(5) {
			t.Run(fmt.Sprint(grain, "/", seed), func(t *testing.T) {
				f, direct, err := createDirect(filepath.Join(t.TempDir(), "tail"))
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				if direct && int64(grain) < grainOf(f) {
					t.Skip("the file system wants more alignment")
				}
				testTail(t, rand.New(rand.NewPCG(seed, 1)), f, grain)
			})
		}
	}
}

func testTail(t *testing.T, rng *rand.Rand, f *os.File, grain int) {
	var tl tail
	if err := tl.init(8 * diskAlign); err != nil {
		t.Fatal(err)
	}
	tl.begin(int64(grain))
	var ls leases
	var held []*lease
	var want []byte
	random := func(b []byte) []byte {
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		want = append(want, b...)
		return b
	}
	put := func(b []byte) {
		for len(b) > 0 {
			b = b[tl.copy(b):]
			if tl.full() {
				save(t, &tl, f)
			}
		}
	}
	for range 150 {
		switch rng.IntN(10) {
		case 0:
			save(t, &tl, f)
		case 1, 2, 3:
			put(random(make([]byte, rng.IntN(3*diskAlign))))
		default:
			put(random(make([]byte, int(-tl.end()&int64(grain-1)))))
			l := ls.take(int64(grain * (1 + rng.IntN(max(1, 8192/grain)))))
			held = append(held, l)
			tl.lend(random(l.b[:len(l.b)/grain*grain]), l)
		}
		if tl.end() != int64(len(want)) {
			t.Fatalf("it ends at %d, not %d", tl.end(), len(want))
		}
	}
	save(t, &tl, f)
	got, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	if len(got)%diskAlign != 0 || len(got)-len(want) >= diskAlign || !bytes.Equal(got[:len(want)], want) {
		t.Errorf("the file has other bytes: %d for %d", len(got), len(want))
	}
	for _, l := range held {
		if n := l.refs.Load(); n != 1 {
			t.Fatalf("a lease is held %d times", n)
		}
	}
}

func save(t *testing.T, tl *tail, f *os.File) {
	t.Helper()
	if err := tl.write(f); err != nil {
		t.Fatal(err)
	}
	if tl.unsaved() {
		t.Fatal("something is left to be written")
	}
}

// A write that the kernel takes in parts goes on where it ended.
func TestBehind(t *testing.T) {
	all := []byte("abcdefghij")
	for n := range len(all) + 1 {
		parts := behind([][]byte{[]byte("abc"), []byte("d"), []byte("efghij")}, n)
		if got := bytes.Join(parts, nil); !bytes.Equal(got, all[n:]) {
			t.Errorf("behind %d: %q", n, got)
		}
	}
}

// An entry that was made around its body is what would have been written by copying
// its parts, with room behind it that walkers pass over.
func TestFill(t *testing.T) {
	for _, length := range []int{1, 4000, 10_000, blockSize, blockSize + 1, 200_000} {
		for _, grain := range []int64{entryAlign, 512, diskAlign} {
			apart := bytes.Repeat([]byte("m"), 300)
			frame := make([]byte, frameSize(int64(length), len(apart))+diskAlign)
			body := append(inFrame(frame, length), bytes.Repeat([]byte("b"), length)...)
			if !frames(frame, body) || frames(frame, bytes.Clone(body)) || frames(nil, body) {
				t.Fatal("where the body lies is not known")
			}
			e := header{h: hash{1}, id: 7, length: int64(length), apart: len(apart)}
			var s sums
			if length > blockSize {
				s.addAll(body)
				s.b = s.seal()
			}
			want := append(e.append(nil), bytes.Join([][]byte{body, s.b, apart}, nil)...)
			got := fill(frame, e, s.b, apart, grain, 0)
			if got == nil {
				if waste := (grain - e.size()%grain) % grain; waste*16 <= e.size() && length > 32<<10 {
					t.Errorf("%d bytes by %d do not fit", length, grain)
				}
				continue
			}
			if int64(len(got))%grain != 0 || !bytes.HasPrefix(got, want) {
				t.Errorf("%d bytes by %d: the entry is wrong", length, grain)
			}
			if rest := got[e.size():]; len(rest) > 0 {
				if next, err := parseHeader(rest); err != nil || next.h != (hash{}) || next.size() != int64(len(rest)) {
					t.Errorf("%d bytes by %d: what fills it is %+v %v", length, grain, next, err)
				}
			}
		}
	}
}

// A frame that is too short, or would waste too much of the disk, is not used.
func TestFillNot(t *testing.T) {
	var ls leases
	frame := ls.take(2 * diskAlign).b
	e := header{h: hash{1}, id: 7, length: 5000}
	if fill(frame, e, nil, nil, diskAlign, 0) != nil {
		t.Error("waste behind it is not noticed")
	}
	if fill(frame, e, nil, nil, entryAlign, 512) != nil || fill(frame, e, nil, nil, entryAlign, 192) == nil {
		t.Error("waste in front of it is not noticed")
	}
	e.length = int64(len(frame))
	if fill(frame, e, nil, nil, entryAlign, 0) != nil {
		t.Error("a frame is too short")
	}
}
