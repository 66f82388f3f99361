package frontdoor

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// those makes candidates of words such as "w3 a2": a weight and how many
// connections it has.
func those(t *testing.T, text string) []candidate {
	t.Helper()
	var all []candidate
	for part := range strings.SplitSeq(text, ",") {
		c := candidate{weight: 1, seed: seedOf(fmt.Sprint(len(all)))}
		for word := range strings.FieldsSeq(part) {
			switch n := 0; {
			case word == "leaving":
				c.grade = leaving
			case word == "dead":
				c.grade = dead
			case word == "self":
				c.self = true
			case word == "tried":
				c.tried = true
			case scan(word, "w%d", &n):
				c.weight = int64(n)
			case scan(word, "a%d", &n):
				c.active = n
			case scan(word, "m%d", &n):
				c.limit = n
			case scan(word, "t%d", &n):
				c.turn = uint64(n)
			default:
				t.Fatalf("what is %q?", word)
			}
		}
		all = append(all, c)
	}
	return all
}

func scan(word, format string, n *int) bool {
	_, err := fmt.Sscanf(word, format, n)
	return err == nil
}

func TestPick(t *testing.T) {
	for _, c := range []struct {
		nodes string
		at    int
		why   Reason
	}{
		{"a1, a0, a2", 1, ByLeastConn},
		{"a3 w1, a5 w3, a4 w2", 1, ByLeastConn}, // (3+1)/1, (5+1)/3, (4+1)/2
		{"a0 w1, a1 w100", 0, ByLeastConn},      // an idle node, whatever its weight
		{"a1 w1, a3 w100", 1, ByLeastConn},      // one that is just starting
		{"a1 t7, a1 t5, a1 t6", 1, ByLeastConn}, // whose turn is the longest ago
		{"a1, a0 tried", 0, ByLeastConn},        // never twice
		{"a5 m5, a9 m10", 1, ByLeastConn},       // not where it is full
		{"a0 leaving, a9", 1, ByLeastConn},      // not where it drains
		{"a0 dead, a9", 1, ByLeastConn},         // not where it is down
		{"tried, leaving a3, leaving a2, dead", 2, ByLeaving},
		{"dead a0, dead self a9", 1, ByDespair}, // the own node is there for sure
		{"dead a3, dead a2", 1, ByDespair},
		{"tried, dead self tried, dead", 2, ByDespair},
		{"a5 m5, leaving, dead", -1, Full}, // waits rather than disturbs what drains
		{"a5 m5 tried, a1 m1", -1, Full},
		{"leaving a1 m1, dead", -1, Full},
		{"tried, leaving tried, dead tried", -1, Exhausted},
		{"tried a5 m5", -1, Exhausted},
	} {
		at, why := pick(those(t, c.nodes), LeastConn, netip.Addr{})
		if at != c.at || why != c.why {
			t.Errorf("%s: got %d %v, want %d %v", c.nodes, at, why, c.at, c.why)
		}
	}
	if at, why := pick(nil, LeastConn, netip.Addr{}); at != -1 || why != NoNode {
		t.Errorf("of none: %d %v", at, why)
	}
}

func TestReasons(t *testing.T) {
	seen := map[string]bool{}
	for r := range reasons {
		if text := r.String(); text == "" || seen[text] {
			t.Errorf("reason %d is called %q", r, text)
		} else {
			seen[text] = true
		}
	}
}

// turns plays roundrobin.
func turns(all []candidate, n int) string {
	var b strings.Builder
	for range n {
		at, _ := pick(all, RoundRobin, netip.Addr{})
		charge(all, at)
		b.WriteByte("abcdefgh"[at])
	}
	return b.String()
}

func TestRoundRobinIsSmooth(t *testing.T) {
	for nodes, want := range map[string]string{
		"w1, w1, w1":         "abcabc",
		"w5, w1, w1":         "aabacaaaabacaa",
		"w2, w1":             "abaaba",
		"w1, w2 dead, w1":    "acac",
		"w1, w2 tried, w1":   "acac",
		"w1, w1 leaving, w2": "cacc" + "ac",
	} {
		if got := turns(those(t, nodes), len(want)); got != want {
			t.Errorf("%s: got %s, want %s", nodes, got, want)
		}
	}
}

// Over a whole round every node has exactly its weight, and whoever was away has
// no claims when it comes back.
func TestRoundRobinIsFair(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		weights := rapid.SliceOfN(rapid.IntRange(1, 9), 1, 6).Draw(rt, "weights")
		var all []candidate
		round := 0
		for _, w := range weights {
			all = append(all, candidate{weight: int64(w)})
			round += w
		}
		got := turns(all, round)
		for i, w := range weights {
			if n := strings.Count(got, "abcdefgh"[i:i+1]); n != w {
				rt.Fatalf("%v: node %d has %d of %s", weights, i, n, got)
			}
		}
	})
}

func clients() (all []netip.Addr) {
	for i := range 4096 {
		all = append(all, netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}))
	}
	return all
}

// bySource is where each client goes.
func bySource(all []candidate) []int {
	var at []int
	for _, c := range clients() {
		i, _ := pick(all, Source, c)
		at = append(at, i)
	}
	return at
}

func TestSourceMovesOnlyTheClientsOfTheNodeThatChanged(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(2, 8).Draw(rt, "nodes")
		var all []candidate
		for i := range n {
			all = append(all, candidate{weight: 100, seed: seedOf(fmt.Sprint("node", i))})
		}
		before := bySource(all)
		gone := rapid.IntRange(0, n-1).Draw(rt, "gone")
		all[gone].grade = dead
		moved := 0
		for i, at := range bySource(all) {
			if at == before[i] {
				continue
			}
			if moved++; before[i] != gone {
				rt.Fatalf("a client of node %d moved to %d when node %d went", before[i], at, gone)
			}
		}
		if part := float64(moved) * float64(n) / float64(len(before)); part < 0.85 || part > 1.15 {
			rt.Fatalf("%d of %d clients moved, of %d nodes", moved, len(before), n)
		}
	})
}

func TestSourceByWeight(t *testing.T) {
	all := []candidate{{weight: 100, seed: seedOf("a")}, {weight: 300, seed: seedOf("b")}}
	before := bySource(all)
	heavy := 0
	for _, at := range before {
		heavy += at
	}
	if part := float64(heavy) / float64(len(before)); part < 0.72 || part > 0.78 {
		t.Errorf("three quarters of the weight have %v of the clients", part)
	}
	all[0].weight = 200 // a node whose weight grows takes clients, and none goes elsewhere
	for i, at := range bySource(all) {
		if before[i] == 0 && at != 0 {
			t.Fatal("a client left the node whose weight grew")
		}
	}
}

// Nodes of other versions must agree, or a client changes its node when the
// virtual IP moves.
func TestSourceIsFixed(t *testing.T) {
	all := []candidate{{weight: 100, seed: seedOf("n1")}, {weight: 100, seed: seedOf("n2")}, {weight: 100, seed: seedOf("n3")}}
	var got strings.Builder
	for i := range 8 {
		at, _ := pick(all, Source, netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}))
		got.WriteByte("123"[at])
	}
	at, _ := pick(all, Source, netip.MustParseAddr("fd00::1"))
	got.WriteByte("123"[at])
	const want = "121311133"
	if got.String() != want {
		t.Errorf("got %s, want %s", got.String(), want)
	}
}

func BenchmarkPick(b *testing.B) {
	for _, how := range []Balance{LeastConn, RoundRobin, Source} {
		b.Run(string(how), func(b *testing.B) {
			var all []candidate
			for i := range 10 {
				all = append(all, candidate{weight: 100, active: i, seed: seedOf(fmt.Sprint(i))})
			}
			client := netip.MustParseAddr("10.0.0.5")
			for b.Loop() {
				pick(all, how, client)
			}
		})
	}
}
