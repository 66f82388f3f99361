package election

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cachenode/cachenode/peer"
)

// Whatever the partition, and whoever held last: all nodes of a side say the
// same, and at most one side of three or more members has a winner.
func TestAtMostOneWinner(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(3, 9).Draw(t, "nodes")
		sides := rapid.SliceOfN(rapid.IntRange(0, 3), n, n).Draw(t, "sides")
		var ids []string
		all := make([]peer.Member, n)
		for i := range n {
			ids = append(ids, fmt.Sprintf("id%d", i))
			all[i] = peer.Member{ID: ids[i], Name: ids[i], Meta: peer.Meta{Priority: uint16(rapid.IntRange(1, 3).Draw(t, "priority"))}}
			all[i].State = rapid.SampledFrom([]peer.State{peer.Alive, peer.Alive, peer.Draining}).Draw(t, "state")
		}
		last := rapid.SampledFrom(append(ids, "")).Draw(t, "last")
		gateway := rapid.SampledFrom([]Gateway{GatewayNone, GatewaySilent, GatewayAnswers}).Draw(t, "gateway")
		winners := map[string][]int{}
		said := map[int]string{}
		for i := range n {
			members := slices.Clone(all)
			for j := range members {
				if sides[j] != sides[i] {
					members[j].State = peer.Failed
				}
			}
			s := Standing{Last: last, Voters: ids, Gateway: gateway}
			if rapid.Bool().Draw(t, "held") {
				s.Holder = last
			}
			holds := s.Holder != "" && slices.ContainsFunc(members, func(m peer.Member) bool { return m.ID == s.Holder && m.State == peer.Alive })
			id, why := Winner(peer.NewStatic(ids[i], members...).View(), s)
			if id == "" {
				continue
			}
			winners[id] = append(winners[id], i)
			if holds && (id != s.Holder || why != Holds) {
				t.Fatalf("the holder %s is alive, and %s wins: %v", s.Holder, id, why)
			}
			if !holds && said[sides[i]] != "" && said[sides[i]] != id {
				t.Fatalf("on side %d both %s and %s win", sides[i], said[sides[i]], id)
			}
			if !holds {
				said[sides[i]] = id
			}
		}
		won := map[int]bool{}
		for _, voters := range winners {
			for _, i := range voters {
				won[sides[i]] = true
			}
		}
		if len(won) > 1 {
			t.Fatalf("winners on %d sides: %v", len(won), winners)
		}
	})
}

func TestWinner(t *testing.T) {
	member := func(id string, s peer.State, priority uint16) peer.Member {
		return peer.Member{ID: id, Name: id, State: s, Meta: peer.Meta{Priority: priority}}
	}
	a, b, c, d := member("a", peer.Alive, 100), member("b", peer.Alive, 100), member("c", peer.Alive, 100), member("d", peer.Alive, 100)
	gone := func(m peer.Member) peer.Member { m.State = peer.Failed; return m }
	drains := func(m peer.Member) peer.Member { m.State = peer.Draining; return m }
	with := func(m peer.Member, p uint16) peer.Member { m.Priority = p; return m }
	for _, tc := range []struct {
		name    string
		members []peer.Member
		s       Standing
		id      string
		why     Reason
	}{
		{"sticky", []peer.Member{a, with(b, 200), c}, Standing{Holder: "a"}, "a", Holds},
		{"priority", []peer.Member{a, with(b, 200), c}, Standing{}, "b", ByPriority},
		{"of three one is left", []peer.Member{a, gone(b), gone(c)}, Standing{Holder: "a", Last: "a"}, "", NoQuorum},
		{"half with the holder", []peer.Member{a, gone(b), c, gone(d)}, Standing{Holder: "a", Last: "a"}, "a", Holds},
		{"half without", []peer.Member{a, gone(b), c, gone(d)}, Standing{Last: "b"}, "", HalfWithout},
		{"half, nobody ever held", []peer.Member{a, gone(b), c, gone(d)}, Standing{}, "", HalfWithout},
		{"one of two", []peer.Member{a, gone(b)}, Standing{Last: "b"}, "a", OnlyOne},
		{"one of two, gateway", []peer.Member{a, gone(b)}, Standing{Last: "b", Gateway: GatewayAnswers}, "a", OnlyOne},
		{"one of two, gateway silent", []peer.Member{a, gone(b)}, Standing{Last: "b", Gateway: GatewaySilent}, "", NoWitness},
		{"draining does not claim", []peer.Member{drains(a), with(b, 1)}, Standing{}, "b", OnlyOne},
		{"draining holder keeps", []peer.Member{drains(a), drains(b)}, Standing{Holder: "a"}, "a", OnlyOne},
		{"draining holder gives", []peer.Member{drains(a), b}, Standing{Holder: "a"}, "b", OnlyOne},
		{"nobody", []peer.Member{drains(a), drains(b)}, Standing{}, "", NobodyWilling},
		{"no part", []peer.Member{a, with(b, 0)}, Standing{}, "a", OnlyOne},
	} {
		v := peer.NewStatic("a", tc.members...).View()
		var f voters
		tc.s.Voters = f.count(v)
		if id, why := Winner(v, tc.s); id != tc.id || why != tc.why {
			t.Errorf("%s: %q, %v; want %q, %v", tc.name, id, why, tc.id, tc.why)
		}
	}
}

// Equal priorities are spread over clusters, not always on the first name.
func TestLotsDiffer(t *testing.T) {
	first := map[string]int{}
	for i := range 300 {
		best := ""
		for _, id := range []string{"a", "b", "c"} {
			if cluster := fmt.Sprint(i); best == "" || lot(cluster, id) > lot(cluster, best) {
				best = id
			}
		}
		first[best]++
	}
	for id, n := range first {
		if n < 60 {
			t.Errorf("%s is first in %d of 300 clusters", id, n)
		}
	}
}

func TestVotersForget(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	view := func(failed ...string) *peer.View {
		var list []peer.Member
		for _, id := range []string{"a", "b", "c", "d"} {
			m := peer.Member{ID: id, Name: id, Since: now, Meta: peer.Meta{Priority: 1}}
			if slices.Contains(failed, id) {
				m.State = peer.Failed
			}
			list = append(list, m)
		}
		return peer.NewStatic("a", list...).View()
	}
	var f voters
	f.update(view("d"), now.Add(9*time.Second), 10*time.Second, true)
	if n := len(f.count(view("d"))); n != 4 {
		t.Errorf("%d voters after 9 s", n)
	}
	f.update(view("d"), now.Add(10*time.Second), 10*time.Second, false)
	f.update(view("c", "d"), now.Add(time.Minute), 10*time.Second, true)
	if n := len(f.count(view("d"))); n != 4 {
		t.Errorf("%d voters without a holder, or for one of two halves", n)
	}
	f.update(view("d"), now.Add(10*time.Second), 10*time.Second, true)
	if n := len(f.count(view("d"))); n != 3 {
		t.Errorf("%d voters after 10 s", n)
	}
	f.update(view(), now.Add(20*time.Second), 10*time.Second, true)
	if n := len(f.count(view())); n != 4 {
		t.Errorf("%d voters after the return", n)
	}
}
