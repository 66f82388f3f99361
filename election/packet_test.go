package election

import (
	"encoding/hex"
	"errors"
	"testing"
)

func testKey(t testing.TB) Key {
	t.Helper()
	key, err := DeriveKey([]byte("0123456789abcdef0123456789abcdef"), "prod")
	if err != nil {
		t.Fatal(err)
	}
	return key
}

var sample = Packet{
	Kind: Beat, Term: 7, Sequence: 0x0102030405060708, Echo: 9, Alone: true, Stays: true,
	Sender: "n1", Subject: "n22", MAC: [6]byte{2, 0, 0, 0, 0, 1},
}

// The bytes on the wire stay what they are: nodes of two versions talk to each
// other during an upgrade.
func TestPacketOnTheWire(t *testing.T) {
	const want = "434e5631" + "01" + "02" + "03" + "05" + "0000000000000007" + "0102030405060708" +
		"0000000000000009" + "020000000001" + "6e31" + "6e3232"
	b := sample.Append(nil, testKey(t))
	if got := hex.EncodeToString(b[:len(b)-tagLength]); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if p, err := Parse(b, testKey(t)); err != nil || p != sample {
		t.Errorf("parsed %+v, %v", p, err)
	}
}

func TestPacketsOfOthersAreRefused(t *testing.T) {
	key := testKey(t)
	good := sample.Append(nil, key)
	for i := range good {
		bad := append([]byte(nil), good...)
		bad[i] ^= 1
		if _, err := Parse(bad, key); err == nil {
			t.Fatalf("byte %d changed, and accepted", i)
		}
	}
	for n := range good {
		if _, err := Parse(good[:n], key); err == nil {
			t.Fatalf("cut to %d bytes, and accepted", n)
		}
	}
	if _, err := Parse(append(good, 0), key); !errors.Is(err, ErrForged) {
		t.Errorf("a byte more: %v", err)
	}
	other, err := DeriveKey([]byte("0123456789abcdef0123456789abcdef"), "test")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Parse(good, other); !errors.Is(err, ErrForged) {
		t.Errorf("key of another cluster: %v", err)
	}
	unknown := sample
	for _, unknown.Kind = range []Kind{0, lastKind + 1, 255} {
		if _, err := Parse(unknown.Append(nil, key), key); !errors.Is(err, ErrForeign) {
			t.Errorf("kind %d: %v", unknown.Kind, err)
		}
	}
}

// FuzzParse tries bytes both as they are and with a right authentication.
func FuzzParse(f *testing.F) {
	key := testKey(f)
	f.Add(sample.Append(nil, key))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, in := range [][]byte{b, append(append([]byte(nil), b...), key.tag(b)...)} {
			p, err := Parse(in, key)
			if err != nil {
				continue
			}
			if again, err := Parse(p.Append(nil, key), key); err != nil || again != p {
				t.Fatalf("%+v became %+v, %v", p, again, err)
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	key := testKey(b)
	in := sample.Append(nil, key)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(in, key); err != nil {
			b.Fatal(err)
		}
	}
}
