package peer

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// In an hour in which every fifth datagram is lost nobody is taken for dead. The
// whole hour is for CACHENODE_LONG=1.
func TestLossIsNotDeath(t *testing.T) {
	atLength(t)
	inVirtualTime(t, func(l *lab) {
		l.start(4)
		l.wait(10*time.Second, 4, Alive, l.nodes...)
		l.mu.Lock()
		l.loss = 0.2
		l.mu.Unlock()
		views, stop := l.nodes[0].Watch()
		defer stop()
		hour := 5 * time.Minute
		if long() {
			hour = time.Hour
		}
		end := time.After(hour)
		for {
			select {
			case v := <-views:
				if n := v.Count(Alive); n != 4 {
					t.Fatalf("%d are alive: %s", n, l.nodes[0].states())
				}
			case <-end:
				return
			}
		}
	})
}

// A node that nothing reaches, and whose datagrams arrive, sees itself alone
// and is not lost when it hears again.
func TestOneWayDeafNode(t *testing.T) {
	inVirtualTime(t, func(l *lab) {
		l.start(4)
		l.wait(10*time.Second, 4, Alive, l.nodes...)
		deaf := l.nodes[3].own.Addr()
		l.setCut(func(_, to netip.Addr, _ bool) bool { return to == deaf })
		l.wait(10*time.Second, 3, Failed, l.nodes[3])
		time.Sleep(time.Minute)
		l.heal()
		l.wait(10*time.Second, 4, Alive, l.nodes...)
	})
}

// Datagrams blocked, streams not: members stay.
func TestOnlyStreamsGetThrough(t *testing.T) {
	atLength(t)
	inVirtualTime(t, func(l *lab) {
		l.start(3)
		l.wait(10*time.Second, 3, Alive, l.nodes...)
		l.setCut(func(_, _ netip.Addr, stream bool) bool { return !stream })
		// isCut asks for both ways of a stream; only datagrams are cut here.
		for range 60 {
			time.Sleep(time.Second)
			for _, n := range l.nodes {
				if n.View().Count(Alive) != 3 {
					t.Fatalf("%s sees %s", n.name, n.states())
				}
			}
		}
	})
}

// A node that is kept from running for a while is back at once when it runs.
func TestPausedNodeComesBack(t *testing.T) {
	inVirtualTime(t, func(l *lab) {
		l.start(4)
		l.wait(10*time.Second, 4, Alive, l.nodes...)
		away := l.nodes[2].own.Addr()
		l.setCut(func(from, to netip.Addr, _ bool) bool { return from == away || to == away })
		l.wait(10*time.Second, 1, Failed, l.nodes[0], l.nodes[1], l.nodes[3])
		time.Sleep(4 * time.Second)
		l.heal()
		took := l.wait(10*time.Second, 4, Alive, l.nodes...)
		t.Logf("back after %v", took)
		time.Sleep(30 * time.Second)
		l.wait(time.Second, 4, Alive, l.nodes...)
	})
}

func TestNodeReturnsAtAnotherAddress(t *testing.T) {
	inVirtualTime(t, func(l *lab) {
		l.start(3)
		l.wait(10*time.Second, 3, Alive, l.nodes...)
		l.nodes[2].kill() // the others have not noticed when it is back
		l.nodes[2] = l.run("id-n3", "n3", "10.0.9.9:7946", l.identity)
		for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
			m := l.nodes[0].View().ByName("n3")
			if m.State == Alive && m.Gossip == l.nodes[2].own {
				break
			}
			if time.Since(begin) > 10*time.Second {
				t.Fatalf("n3 is %v at %s", m.State, m.Gossip)
			}
		}
		l.wait(5*time.Second, 3, Alive, l.nodes...)
	})
}

// A node that a member comes to has arrived, though its own attempts to reach
// somebody go on.
func TestMetByAnother(t *testing.T) {
	inVirtualTime(t, func(l *lab) {
		l.start(2)
		l.wait(10*time.Second, 2, Alive, l.nodes...)
		gone := l.nodes[0].own.Addr()
		l.setCut(func(_, to netip.Addr, _ bool) bool { return to == gone })
		l.nodes[0].kill()
		time.Sleep(rejoinEvery + 4*time.Second) // of n2: its next attempts are in less than contactTime
		began := time.Now()
		l.start(1) // knows n1 only
		n3 := l.nodes[2]
		l.nodes[1].do(func() { l.nodes[1].roster.stray(n3.own) })
		n3.Settled(context.Background())
		if n := n3.View().Count(Alive); n != 2 {
			t.Errorf("after %v it sees %s", time.Since(began), n3.states())
		}
		if took := time.Since(began); took >= contactTime {
			t.Errorf("it has waited for its own attempt: %v", took)
		}
	})
}

func TestStoppedNodeIsNotFailed(t *testing.T) {
	inVirtualTime(t, func(l *lab) {
		l.start(3)
		l.wait(10*time.Second, 3, Alive, l.nodes...)
		l.nodes[1].halt()
		l.wait(time.Second, 1, Left, l.nodes[0], l.nodes[2])
		if away := l.nodes[0].View().Away(); len(away) != 1 || away[0] != "n2" {
			t.Errorf("away: %v", away)
		}
		l.nodes[1] = l.run("id-n2", "n2", "10.0.0.3:7946", l.identity)
		l.wait(10*time.Second, 3, Alive, l.nodes...)
	})
}

func TestDrainingIsSeen(t *testing.T) {
	inVirtualTime(t, func(l *lab) {
		l.start(3)
		l.wait(10*time.Second, 3, Alive, l.nodes...)
		l.nodes[1].SetDraining(true)
		l.nodes[1].Tell(func(m *Meta) { m.Digest = 42 })
		l.wait(time.Second, 1, Draining, l.nodes...)
		if m := l.nodes[0].View().ByName("n2"); m.Digest != 42 || !m.State.Up() {
			t.Errorf("%+v", m)
		}
		l.nodes[1].SetDraining(false)
		l.wait(time.Second, 3, Alive, l.nodes...)
	})
}

func TestForgottenNode(t *testing.T) {
	inVirtualTime(t, func(l *lab) {
		l.start(3)
		l.wait(10*time.Second, 3, Alive, l.nodes...)
		if err := l.nodes[0].Forget(l.t.Context(), "n3"); err == nil || !strings.Contains(err.Error(), "n3 is alive") {
			t.Errorf("forgetting a live node: %v", err)
		}
		l.nodes[2].kill()
		l.wait(5*time.Second, 1, Failed, l.nodes[:2]...)
		if err := l.nodes[0].Forget(l.t.Context(), "n3"); err != nil {
			t.Error(err)
		}
		l.wait(time.Second, 0, Failed, l.nodes[:2]...)
		time.Sleep(time.Minute)
		l.wait(time.Second, 0, Failed, l.nodes[:2]...)
		if err := l.nodes[0].Forget(l.t.Context(), "n9"); err == nil {
			t.Error("forgot a node that never was")
		}
	})
}

func TestLeaveAndJoinAgain(t *testing.T) {
	inVirtualTime(t, func(l *lab) {
		l.start(3)
		l.wait(10*time.Second, 3, Alive, l.nodes...)
		if err := l.nodes[2].Leave(); err != nil {
			t.Fatal(err)
		}
		l.wait(time.Second, 1, Left, l.nodes[:2]...)
		if away := l.nodes[0].View().Away(); len(away) != 0 {
			t.Errorf("away: %v", away)
		}
		if err := l.nodes[2].Leave(); !errors.Is(err, ErrAlone) {
			t.Errorf("leaving twice: %v", err)
		}
		time.Sleep(time.Minute)
		l.wait(time.Second, 2, Alive, l.nodes[:2]...)
		if _, err := l.nodes[2].Join(l.t.Context(), "10.0.0.3", l.identity.Token()); err != nil {
			t.Fatal(err)
		}
		l.wait(time.Second, 3, Alive, l.nodes...)
	})
}

// wantJoin requires that joining fails for a reason.
func wantJoin(t *testing.T, err error, kind JoinKind, words string) {
	t.Helper()
	e, ok := errors.AsType[*JoinError](err)
	if !ok || e.Kind != kind || !strings.Contains(e.Error(), words) || e.Hint() == "" {
		t.Errorf("error %v, want kind %d with %q and a hint", err, kind, words)
	}
}

// A node of the next version says more of itself, one of the last less.
func TestVersionsWorkTogether(t *testing.T) {
	inVirtualTime(t, func(l *lab) {
		l.start(3)
		next, last := l.nodes[1], l.nodes[2]
		next.mu.Lock()
		next.later = []byte{200, 3, 'n', 'e', 'w', 201, 0}
		next.mu.Unlock()
		last.mu.Lock()
		last.card = card{State: Alive, Name: "n3"}
		last.mu.Unlock()
		next.announce()
		last.announce()
		time.Sleep(time.Second)
		l.wait(10*time.Second, 3, Alive, l.nodes...)
		for _, n := range l.nodes {
			v := n.View()
			if m := v.ByName("n2"); m == nil || m.Version != "test" {
				t.Errorf("%s sees of the next version %+v", n.name, m)
			}
			if m := v.ByName("n3"); m == nil || m.Version != "" || m.Addr != last.own.Addr() {
				t.Errorf("%s sees of the last version %+v", n.name, m)
			}
		}
		next.SetDraining(true)
		l.wait(time.Second, 1, Draining, l.nodes...)
	})
}

// What keeps a node from joining is said in words. Here streams are real ones.
func TestJoinErrors(t *testing.T) {
	inVirtualTime(t, func(l *lab) {
		l.sec = mutualTLS{}
		l.start(2)
		l.wait(10*time.Second, 2, Alive, l.nodes...)
		first := l.nodes[0].own.String()
		tok := l.identity.Token()
		seeds := l.nodes
		l.nodes = nil // who comes now knows nobody
		lone := l.add("n7", "10.0.7.7:7946", NewIdentity("other", time.Now()))
		namesake := l.run("id-else", "n2", "10.0.7.8:7946", NewIdentity("third", time.Now()))
		l.nodes = append(seeds, lone, namesake)
		time.Sleep(time.Second)
		join := func(n *labNode, addr string, tok Token) error {
			_, err := n.Join(l.t.Context(), addr, tok)
			return err
		}
		wrongKey := tok
		wrongKey.Key = NewKey()
		wantJoin(t, join(lone, first, wrongKey), JoinKey, "gossip key does not match 10.0.0.2:7946")
		foreign := NewIdentity("lab", time.Now()).Token()
		wantJoin(t, join(lone, first, foreign), JoinCluster, "10.0.0.2:7946 is in cluster \"lab\"")
		wantJoin(t, join(lone, "10.0.99.99", tok), JoinUnreachable, "cannot reach 10.0.99.99:7946: connection refused")
		wantJoin(t, join(namesake, first, tok), JoinNameTaken, `the name "n2" is taken by the member at 10.0.0.3:7946`)
		wantJoin(t, join(lone, "10.0.7.7", tok), JoinSelf, "is this node itself")
		wantJoin(t, join(seeds[1], "10.0.7.7", lone.Identity().Token()), JoinMember, `member of cluster "lab"`)
		if len(lone.View().Members) != 1 || lone.View().Cluster != "other" || len(seeds[0].View().Members) != 2 {
			t.Error("a refusal changed something")
		}
		if n := seeds[0].Rejected()["key"]; n != 2 {
			t.Errorf("%d streams rejected for their key", n)
		}
		if err := join(lone, first, tok); err != nil {
			t.Fatal(err)
		}
		l.wait(time.Second, 3, Alive, lone, seeds[0], seeds[1])
		if v := lone.View(); v.Cluster != "lab" || lone.Identity().ID != l.identity.ID {
			t.Errorf("joined %q", v.Cluster)
		}
	})
}

func TestHelloIsJudged(t *testing.T) {
	now := time.Now()
	h := hello{ID: "me", Name: "n1", ProtoMin: 1, ProtoMax: 1}
	good := helloAnswer{ID: "you", Name: "n2", Version: "2.0", ProtoMin: 1, ProtoMax: 2, Time: now}
	to := netip.MustParseAddrPort("10.0.0.2:7946")
	judge := func(change func(*helloAnswer)) error {
		a := good
		change(&a)
		return a.judge(h, to, now.Add(-time.Second), now.Add(time.Second))
	}
	if err := judge(func(*helloAnswer) {}); err != nil {
		t.Error(err)
	}
	if err := judge(func(a *helloAnswer) { a.Time = now.Add(50 * time.Second) }); err != nil {
		t.Error(err)
	}
	wantJoin(t, judge(func(a *helloAnswer) { a.ProtoMin, a.ProtoMax = 2, 3 }), JoinVersion, "version of n2 (2.0)")
	wantJoin(t, judge(func(a *helloAnswer) { a.Time = now.Add(time.Hour) }), JoinClock, "1h0m0s behind that of n2")
	wantJoin(t, judge(func(a *helloAnswer) { a.Time = now.Add(-time.Hour) }), JoinClock, "1h0m0s ahead of that of n2")
	wantJoin(t, judge(func(a *helloAnswer) { a.ID = "me" }), JoinSelf, "this node itself")
	wantJoin(t, judge(func(a *helloAnswer) { a.Taken, a.Holder, a.At = "id", "n9", to }), JoinIDTaken, "data directory is a copy")
}

// The key is replaced while all stay in touch; who has the old one is out.
func TestKeyRotation(t *testing.T) {
	inVirtualTime(t, func(l *lab) {
		l.sec = mutualTLS{}
		l.start(4)
		l.wait(10*time.Second, 4, Alive, l.nodes...)
		old := l.identity.Token()
		views, stop := l.nodes[1].Watch()
		defer stop()
		for range 3 {
			k, err := l.nodes[0].Rotate(l.t.Context(), false)
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range l.nodes {
				if keys := n.Keys(); len(keys) != 1 || keys[0] != k {
					t.Errorf("%s has %v, want %v", n.name, keys, k)
				}
			}
			for end := time.After(20 * time.Second); end != nil; {
				select {
				case v := <-views:
					if v.Count(Alive) != 4 {
						t.Errorf("flap: %s", l.nodes[1].states())
					}
				case <-end:
					end = nil
				}
			}
		}
		late := l.run("id-n9", "n9", "10.0.9.9:7946", old.Identity())
		defer late.halt()
		time.Sleep(10 * time.Second)
		if n := len(late.View().Members); n != 1 {
			t.Errorf("with the old key a node sees %d members", n)
		}
		if w := late.Warnings(); len(w) == 0 || !strings.Contains(w[0], "key does not match") {
			t.Errorf("warnings %v", w)
		}
		l.nodes[3].kill()
		l.wait(5*time.Second, 1, Failed, l.nodes[:3]...)
		if _, err := l.nodes[0].Rotate(l.t.Context(), false); err == nil || !strings.Contains(err.Error(), "lock out n4") {
			t.Errorf("rotating with a member away: %v", err)
		}
	})
}

// What is not of the cluster has no effect, and is counted by its reason.
func TestStrangersAreRejected(t *testing.T) {
	inVirtualTime(t, func(l *lab) {
		l.start(2)
		l.wait(10*time.Second, 2, Alive, l.nodes...)
		target := l.nodes[0]
		evil := l.open(netip.MustParseAddrPort("10.6.6.6:7946"))
		defer evil.Close()
		strange := testRing(t)
		labelled := append([]byte{244, 5}, "other"...)
		ours := append([]byte{244, 3}, "lab"...)
		s := newSessions()
		data := func(payload []byte) *frame { f := s.next(payload); return &f }
		send := map[string][]byte{
			"format":    []byte("hello"),
			"oversized": make([]byte, maxDatagram+500),
			"label":     append(labelled, "gossip"...),
			"key":       appendFrame(nil, data(append(ours, "gossip"...)), strange),
		}
		for why, b := range send {
			before := target.Rejected()[why]
			if err := evil.WriteTo(b, target.own); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			if target.Rejected()[why] != before+1 {
				t.Errorf("%s: %v", why, target.Rejected())
			}
		}
		// A datagram between members is recorded and sent again.
		mine := data(append(ours, "gossip"...))
		b := appendFrame(nil, mine, target.wire.ring.Load())
		target.wire.sessions.mu.Lock()
		target.wire.sessions.met[s.own] = &session{proven: true, heard: time.Now()}
		target.wire.sessions.mu.Unlock()
		for range 3 {
			_ = evil.WriteTo(b, target.own)
		}
		time.Sleep(time.Second)
		if n := target.Rejected()["replayed"]; n != 2 {
			t.Errorf("%d replays rejected", n)
		}
		l.wait(time.Second, 2, Alive, l.nodes...)
	})
}
