package election

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cachenode/cachenode/peer"
)

// inOrder gives nodes priorities, so that node 0 is the first holder, node 1 the
// next and so on.
func (c *cluster) inOrder() {
	for i, h := range c.nodes {
		h.prio = uint16(200 - 10*i)
	}
	c.Start()
	first, _ := c.WaitHolders(1)
	time.Sleep(3 * time.Second)
	if first[0] != 0 {
		if err := c.nodes[first[0]].e.Move(c.ctx, c.nodes[0].id); err != nil {
			c.t.Fatal(err)
		}
		c.WaitHolder(0)
	}
	c.Most()
}

// dies cuts the holder's power, and says how long it takes until the one that
// is next has the address.
func (c *cluster) dies() time.Duration {
	c.t.Helper()
	c.nodes[0].CutPower()
	_, took := c.WaitHolders(1)
	c.Stay(10 * time.Second)
	if most := c.Most(); most != 1 {
		c.t.Errorf("%d held it at the same time", most)
	}
	return took
}

// Members that heard the holder later than the candidate refuse at first. That
// costs no more than the difference.
func TestVotersHeardTheHolderLater(t *testing.T) {
	for _, later := range [][]time.Duration{
		{10 * time.Millisecond, 10 * time.Millisecond},
		{10 * time.Millisecond, 95 * time.Millisecond},
		{95 * time.Millisecond, 95 * time.Millisecond},
	} {
		t.Run(fmt.Sprint(later), func(t *testing.T) {
			inCluster(t, 4, func(c *cluster) {
				c.inOrder()
				c.Delay(0, 2, later[0])
				c.Delay(0, 3, later[1])
				time.Sleep(time.Second)
				below(t, "death to a new holder", c.dies(), 380*time.Millisecond+max(later[0], later[1]))
				if n := c.nodes[1].e.Status().Transitions; n != 1 {
					t.Errorf("the next in the ranking took it %d times", n)
				}
			})
		})
	}
}

// Votes that come late count: the members are busy.
func TestLateVotes(t *testing.T) {
	inCluster(t, 4, func(c *cluster) {
		c.inOrder()
		for _, voter := range []int{2, 3} {
			c.Delay(1, voter, 40*time.Millisecond)
			c.Delay(voter, 1, 40*time.Millisecond)
		}
		below(t, "death to a new holder", c.dies(), 450*time.Millisecond)
	})
}

// Of two candidates that ask at the same time one gets all votes soon, since the
// other gives way.
func TestCandidatesMeet(t *testing.T) {
	inCluster(t, 4, func(c *cluster) {
		c.inOrder()
		c.Delay(0, 1, 80*time.Millisecond) // so it finds the holder gone when node 2 claims
		time.Sleep(time.Second)
		below(t, "death to a new holder", c.dies(), 500*time.Millisecond)
	})
}

// A candidate that hears nobody gives the votes back soon.
func TestFirstCandidateIsDeaf(t *testing.T) {
	inCluster(t, 5, func(c *cluster) {
		c.inOrder()
		for i := range c.nodes {
			c.Lose(i, 1)
		}
		below(t, "death to a new holder", c.dies(), 550*time.Millisecond)
		if c.nodes[1].rec.Held() {
			t.Error("the deaf node has it")
		}
	})
}

// Whatever is late, lost or cut off, two never have it at a time.
func TestNeverTwo(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 0))
			n := 3 + r.IntN(3)
			inCluster(t, n, func(c *cluster) {
				c.Start()
				for i := range 300 {
					if i%15 == 0 {
						c.Heal() // or members are forgotten, and two that are left may both hold it
						time.Sleep(3 * time.Second)
					}
					c.disturb(r)
					time.Sleep(time.Duration(r.IntN(400)) * time.Millisecond)
				}
				if most := c.Most(); most > 1 {
					t.Errorf("%d of %d held it at the same time", most, n)
				}
			})
		})
	}
}

// disturb changes at random what passes between two nodes, and now and then heals
// everything.
func (c *cluster) disturb(r *rand.Rand) {
	from, to := r.IntN(len(c.nodes)), r.IntN(len(c.nodes))
	switch r.IntN(10) {
	case 0:
		c.Partition(from)
	case 1, 2:
		c.Heal()
	case 3, 4:
		c.Lose(from, to)
	default:
		c.Delay(from, to, time.Duration(r.IntN(150))*time.Millisecond)
	}
}

// candidate is the machine of a, of members a, b, c and d, that asks for the
// address of d.
func candidate(t *testing.T, now time.Time) (*machine, *world) {
	t.Helper()
	o := DefaultOptions()
	w := &world{}
	m := newMachine("a", timingOf(&o), w, slog.New(slog.DiscardHandler))
	m.start(now.Add(-time.Minute), peer.NewStatic("a", members("a", "b", "c", "d")...).View(), Memory{})
	m.onPacket(now.Add(-m.t.silence), Packet{Kind: Beat, Term: 1, Sender: "d", Sequence: 1})
	m.startAsk(now)
	return m, w
}

// answers has a member answer the latest Ask.
func (m *machine) answers(now time.Time, kind Kind, from, subject string) {
	echo := m.ask.sent[len(m.ask.sent)-1].sequence
	m.onPacket(now, Packet{Kind: kind, Sender: from, Subject: subject, Sequence: echo, Echo: echo, Term: m.ask.term})
}

// No vote counts before the holder, whose word the voter may have had until just
// before it voted, has let go.
func TestVotesRipen(t *testing.T) {
	start := time.Unix(1e9, 0)
	m, _ := candidate(t, start)
	m.answers(start, Grant, "b", "")
	m.answers(start, Refusal, "c", "d")
	voted := start.Add(m.t.again)
	m.tick(voted)
	m.answers(voted, Grant, "b", "")
	m.answers(voted, Grant, "c", "")
	free := voted.Add(m.t.hold - m.t.silence) // of the old holder, at the latest
	m.onProbe(free, m.ask.sequence(), Probe{})
	if m.state != Probing {
		t.Fatalf("state %v before the vote is ripe", m.state)
	}
	m.onProbe(voted.Add(m.t.ripe), m.ask.sequence(), Probe{})
	if !m.state.Holds() {
		t.Fatalf("state %v, %v", m.state, m.reason)
	}
	if at := m.quorumAt(voted.Add(m.t.ripe)); !at.Equal(voted) {
		t.Errorf("its quorum is of %v after the start, want %v", at.Sub(start), voted.Sub(start))
	}
}

// A vote that was not prolonged, or was taken back, counts no more.
func TestVotesRunOut(t *testing.T) {
	start := time.Unix(1e9, 0)
	m, _ := candidate(t, start)
	m.answers(start, Grant, "b", "")
	m.answers(start, Grant, "c", "")
	late := start.Add(m.t.hold)
	if at, why := m.quorumFrom(late, GatewayNone); !at.IsZero() || why != NoQuorum {
		t.Errorf("votes count for ever: %v, %v", at, why)
	}
	m.tick(late)
	m.answers(late, Grant, "b", "")
	m.answers(late, Grant, "c", "")
	if at, _ := m.quorumFrom(late, GatewayNone); !at.Equal(late.Add(m.t.ripe)) {
		t.Errorf("votes given anew count from %v", at.Sub(late))
	}
	m.tick(late.Add(m.t.again))
	m.answers(late, Refusal, "c", "d")
	if at, _ := m.quorumFrom(late.Add(time.Second/4), GatewayNone); !at.IsZero() {
		t.Error("a vote counts that was taken back")
	}
}

// While a node asks it gives its own vote to nobody, however long that takes.
func TestCandidateKeepsItsVote(t *testing.T) {
	now := time.Unix(1e9, 0)
	m, w := candidate(t, now)
	for end := now.Add(m.t.hold + m.t.ripe); now.Before(end); now = now.Add(m.t.again) {
		m.tick(now)
	}
	w.sent = nil
	m.onPacket(now, Packet{Kind: Ask, Term: m.ask.term, Sender: "c", Sequence: 9})
	if len(w.sent) != 1 || w.sent[0].Kind != Refusal || w.sent[0].Subject != "a" {
		t.Errorf("sent %+v", w.sent)
	}
}

// What a node waits because votes were lacking has nothing to do with how it
// lost the address earlier, and begins anew with each holder.
func TestTriesBeginAnew(t *testing.T) {
	now := time.Unix(1e9, 0)
	m, _ := holderOf(t, now, "a", "b", "c", "d")
	m.giveUp(now, NoQuorum)
	for range 3 {
		now = now.Add(5 * time.Second)
		m.onPacket(now, Packet{Kind: Beat, Term: m.term + 1, Sender: "d", Sequence: uint64(now.UnixNano())})
		now = now.Add(m.t.silence)
		m.startAsk(now)
		m.answers(now, Refusal, "b", "d")
		now = now.Add(m.t.hold + m.t.ripe)
		m.onProbe(now, m.ask.sequence(), Probe{})
		if m.state != Idle {
			t.Fatalf("state %v", m.state)
		}
		if wait := m.claimAt(0).Sub(now); wait > m.t.hold+m.t.again+2*m.t.step {
			t.Errorf("it waits %v", wait)
		}
	}
}
