package peer

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func fullCard() card {
	return card{State: Draining, Name: "n1", Meta: Meta{
		Addr: netip.MustParseAddr("10.0.0.11"), ProxyPort: 3128, ICPPort: 3130, AdminPort: 3180,
		Version: "1.2.3", Priority: 100, Term: 7, Capacity: 10 << 30, Digest: 258,
		Started: time.Unix(1763634000, 0).UTC(),
	}}
}

var cardGoldens = []struct {
	name string
	hex  string
	card card
}{
	{"empty", "01", card{}},
	{"full", "01" + "010102" + "02026e31" + "0305312e322e33" + "04040a00000b" + "05020c38" + "06020c3a" + "07020c6c" +
		"080164" + "090107" + "0a050280000000" + "0b020102" + "0c04691eeb50", fullCard()},
	{"IPv6", "01" + "010101" + "0410" + "fd000000000000000000000000000001",
		card{State: Alive, Meta: Meta{Addr: netip.MustParseAddr("fd00::1")}}},
}

func TestCardGoldens(t *testing.T) {
	for _, g := range cardGoldens {
		t.Run(g.name, func(t *testing.T) {
			if got := hex.EncodeToString(encodeCard(&g.card)); got != g.hex {
				t.Errorf("encoded\n%s, want\n%s", got, g.hex)
			}
			b, _ := hex.DecodeString(g.hex)
			if got, err := parseCard(b); err != nil || got != g.card {
				t.Errorf("parsed %+v, %v", got, err)
			}
		})
	}
}

// A member of the next version says more, and a reader of this one skips it.
func TestCardOfTheNextVersion(t *testing.T) {
	want := fullCard()
	b := encodeCard(&want)
	more := append(append([]byte{metaForm}, 200, 3, 'n', 'e', 'w'), b[1:]...)
	more = append(more, 201, 0)
	if got, err := parseCard(more); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	// One of the last version says less.
	less := encodeCard(&card{State: Alive, Name: "n1"})
	if got, err := parseCard(less); err != nil || got.Name != "n1" || got.ICPPort != 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestCardRefusesDamage(t *testing.T) {
	whole := fullCard()
	b := encodeCard(&whole)
	bad := map[string][]byte{
		"nothing": nil, "another form": {9}, "half a field": b[:len(b)-1], "a number alone": {1, 2},
		"an address of 5 bytes": {1, fieldAddr, 5, 1, 2, 3, 4, 5},
	}
	for name, b := range bad {
		if c, err := parseCard(b); err == nil {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

func TestCardFitsIntoGossip(t *testing.T) {
	c := fullCard()
	c.Name, c.Version = strings.Repeat("n", 300), strings.Repeat("v", 300)
	c.Addr, c.Term, c.Capacity, c.Digest = netip.MustParseAddr("fd00::1"), 1<<63, 1<<63, 1<<63
	if n := len(encodeCard(&c)); n > maxMeta {
		t.Errorf("%d bytes", n)
	}
}

func FuzzParseCard(f *testing.F) {
	for _, g := range cardGoldens {
		b, _ := hex.DecodeString(g.hex)
		f.Add(b)
	}
	f.Add([]byte{1, 200, 3, 'n', 'e', 'w'})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := parseCard(b)
		if err != nil {
			return
		}
		again, err := parseCard(encodeCard(&c))
		if err != nil || again != c {
			t.Fatalf("%+v became %+v, %v", c, again, err)
		}
		if strings.ContainsAny(c.Name+c.Version, "\n\r\x1b ") {
			t.Fatalf("%q %q", c.Name, c.Version)
		}
	})
}
