package election

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cachenode/cachenode/peer"
)

// below fails when something took longer than virtual time allows.
func below(t *testing.T, what string, took, limit time.Duration) {
	t.Helper()
	t.Logf("%s: %v", what, took)
	if took > limit {
		t.Errorf("%s took %v, want %v at most", what, took, limit)
	}
}

func TestOneNodeAlone(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		c.Start()
		below(t, "start to holding", c.WaitHolder(0), 500*time.Millisecond)
		c.Stay(10 * time.Second)
	})
}

func TestColdStartTogether(t *testing.T) {
	for _, n := range []int{2, 3, 5} {
		inCluster(t, n, func(c *cluster) {
			c.Start()
			_, took := c.WaitHolders(1)
			below(t, "start to one holder", took, time.Second)
			c.Stay(10 * time.Second)
			if most := c.Most(); most != 1 {
				t.Errorf("%d nodes: %d held it at the same time", n, most)
			}
		})
	}
}

func TestHolderCutOff(t *testing.T) {
	inCluster(t, 4, func(c *cluster) {
		c.Start()
		first, _ := c.WaitHolders(1)
		c.Stay(3 * time.Second)
		c.Most()
		c.Partition(first[0])
		for c.nodes[first[0]].rec.Held() {
			time.Sleep(time.Millisecond)
		}
		_, took := c.WaitHolders(1)
		t.Log("after the holder let go:", took)
		c.Stay(5 * time.Second)
		second := c.Holders()[0]
		c.Heal()
		c.Stay(10 * time.Second) // no pre-emption
		if c.Holders()[0] != second || second == first[0] {
			t.Errorf("held by %v, then %d, then %v", first, second, c.Holders())
		}
		if most := c.Most(); most != 1 {
			t.Errorf("%d held it at the same time", most)
		}
	})
}

// A machine that loses its power neither answers nor lets go.
func TestHolderDies(t *testing.T) {
	for _, n := range []int{2, 3, 4, 7} {
		inCluster(t, n, func(c *cluster) {
			c.Start()
			first, _ := c.WaitHolders(1)
			time.Sleep(3 * time.Second)
			h := c.nodes[first[0]]
			h.CutPower()
			_, took := c.WaitHolders(1)
			below(t, "death to a new holder", took, 450*time.Millisecond)
			c.Stay(10 * time.Second)
		})
	}
}

func TestProcessHangs(t *testing.T) {
	for _, n := range []int{2, 4} {
		inCluster(t, n, func(c *cluster) {
			c.Start()
			first, _ := c.WaitHolders(1)
			time.Sleep(3 * time.Second)
			c.Most()
			h := c.nodes[first[0]]
			h.Hang()
			for h.rec.Held() {
				time.Sleep(time.Millisecond)
			}
			_, took := c.WaitHolders(1)
			below(t, "end of the lease to a new holder", took, 300*time.Millisecond)
			time.Sleep(8 * time.Second)
			announced := h.rec.Announcements()
			h.Wake() // and it wakes
			c.Stay(10 * time.Second)
			if h.rec.Announcements() != announced {
				t.Error("the woken node announced the address")
			}
			if most := c.Most(); most != 1 {
				t.Errorf("%d held it at the same time", most)
			}
		})
	}
}

// A hang shorter than the lease changes nothing.
func TestShortPause(t *testing.T) {
	inCluster(t, 3, func(c *cluster) {
		c.Start()
		first, _ := c.WaitHolders(1)
		time.Sleep(3 * time.Second)
		h := c.nodes[first[0]]
		h.Hang()
		time.Sleep(1200 * time.Millisecond)
		h.Wake()
		c.Stay(10 * time.Second)
		if c.Holders()[0] != first[0] || h.e.Status().Transitions != 1 {
			t.Errorf("held by %v, then %v; it took it %d times", first, c.Holders(), h.e.Status().Transitions)
		}
	})
}

func TestSplits(t *testing.T) {
	for _, tc := range []struct {
		name      string
		n         int
		withFirst int // how many are on the holder's side
	}{{"2|2", 4, 2}, {"3|1", 4, 3}, {"1|3", 4, 1}, {"2|3", 5, 2}, {"1|2", 3, 1}} {
		t.Run(tc.name, func(t *testing.T) {
			inCluster(t, tc.n, func(c *cluster) {
				c.Start()
				first, _ := c.WaitHolders(1)
				time.Sleep(3 * time.Second)
				c.Most()
				group := []int{first[0]}
				for i := 0; len(group) < tc.withFirst; i++ {
					if i != first[0] {
						group = append(group, i)
					}
				}
				c.Partition(group...)
				time.Sleep(time.Second)
				holders, _ := c.WaitHolders(1)
				kept := holders[0] == first[0]
				if want := 2*tc.withFirst >= tc.n; kept != want {
					t.Errorf("held by %v, then by %v: kept %v, want %v", first, holders, kept, want)
				}
				c.Stay(time.Minute)
				c.Heal()
				c.Stay(10 * time.Second)
				if most := c.Most(); most != 1 {
					t.Errorf("%d held it at the same time", most)
				}
			})
		})
	}
}

// Without a quorum anywhere nobody holds; when it is back, somebody does soon.
func TestNoQuorumAnywhere(t *testing.T) {
	inCluster(t, 3, func(c *cluster) {
		c.Start()
		c.WaitHolders(1)
		time.Sleep(3 * time.Second)
		c.Partition(0)
		c.Partition(1)
		_, took := c.WaitHolders(0)
		below(t, "isolation to no holder", took, 400*time.Millisecond)
		time.Sleep(20 * time.Second)
		c.Heal()
		_, took = c.WaitHolders(1)
		below(t, "heal to a holder", took, 1500*time.Millisecond)
		c.Stay(10 * time.Second)
	})
}

// Two nodes split with nothing to ask: both hold it until they see each other,
// and then the one that took it last keeps it.
func TestTwoNodesSplit(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		c.Start()
		first, _ := c.WaitHolders(1)
		time.Sleep(3 * time.Second)
		c.Partition(0)
		c.WaitHolders(2)
		time.Sleep(10 * time.Second)
		c.Heal()
		holders, took := c.WaitHolders(1)
		below(t, "heal to one holder", took, 300*time.Millisecond)
		if holders[0] == first[0] {
			t.Errorf("the lower term, of %d, was kept", first[0])
		}
		c.Stay(10 * time.Second)
	})
}

// With a gateway that only the holder reaches, the other one does not claim.
func TestTwoNodesAskTheGateway(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		c.Gateway(true, true)
		c.Start()
		first, _ := c.WaitHolders(1)
		other := 1 - first[0]
		time.Sleep(3 * time.Second)
		c.Gateway(first[0] == 0, first[0] == 1)
		c.Partition(0)
		c.Stay(20 * time.Second)
		if r := c.nodes[other].e.Status().Reason; r != NoWitness {
			t.Errorf("the other node says %v", r)
		}
		c.Gateway(true, true)
		c.WaitHolders(2)
	})
}

// A node that hears nobody does not claim, and a holder that hears nobody
// lets go.
func TestDeafNodes(t *testing.T) {
	inCluster(t, 3, func(c *cluster) {
		c.Start()
		first, _ := c.WaitHolders(1)
		time.Sleep(3 * time.Second)
		c.Most()
		deaf := (first[0] + 1) % 3
		for i := range 3 {
			if i != deaf {
				c.Lose(i, deaf)
			}
		}
		c.Stay(20 * time.Second)
		c.Heal()
		c.Stay(5 * time.Second)
		for i := range 3 {
			if i != first[0] {
				c.Lose(i, first[0])
			}
		}
		time.Sleep(time.Second)
		second, _ := c.WaitHolders(1)
		if second[0] == first[0] {
			t.Error("the deaf holder kept the address")
		}
		c.Stay(20 * time.Second)
		if most := c.Most(); most != 1 {
			t.Errorf("%d held it at the same time", most)
		}
	})
}

// Machines die one after the other, down to the last.
func TestLastOneStanding(t *testing.T) {
	inCluster(t, 5, func(c *cluster) {
		c.Start()
		for range 4 {
			holders, _ := c.WaitHolders(1)
			time.Sleep(20 * time.Second)
			h := c.nodes[holders[0]]
			h.CutPower()
			_, took := c.WaitHolders(1)
			below(t, "death to a new holder", took, 450*time.Millisecond)
		}
		c.Stay(time.Minute)
	})
}

func TestMove(t *testing.T) {
	inCluster(t, 3, func(c *cluster) {
		c.Start()
		first, _ := c.WaitHolders(1)
		time.Sleep(3 * time.Second)
		h := c.nodes[first[0]]
		to := c.nodes[(first[0]+1)%3]
		if err := h.e.Move(c.ctx, to.id); err != nil {
			t.Fatal(err)
		}
		c.WaitHolder(to.index)
		if log := h.rec.Log(); log[len(log)-1] != `release to "`+to.id+`"` {
			t.Errorf("the old holder did %q", log)
		}
		if log := to.rec.Log(); log[0] != `hold from "`+h.id+`"` {
			t.Errorf("the new holder did %q", log)
		}
		c.Stay(10 * time.Second)
		if err := h.e.Move(c.ctx, h.id); !errors.Is(err, ErrNotHolder) {
			t.Errorf("a move by a node without the address: %v", err)
		}
		if err := to.e.Move(c.ctx, "nobody"); err == nil {
			t.Error("moved to nobody")
		}
		c.Lose(to.index, h.index)
		if err := to.e.Move(c.ctx, h.id); !errors.Is(err, ErrNotTaken) {
			t.Errorf("a move to a node that does not hear: %v", err)
		}
		c.Stay(10 * time.Second)
	})
}

func TestDrain(t *testing.T) {
	inCluster(t, 3, func(c *cluster) {
		c.Start()
		first, _ := c.WaitHolders(1)
		time.Sleep(3 * time.Second)
		c.Drain(first[0], peer.Draining)
		time.Sleep(time.Second)
		second, _ := c.WaitHolders(1)
		if second[0] == first[0] {
			t.Error("a draining node keeps the address")
		}
		for i := range 3 {
			c.Drain(i, peer.Draining)
		}
		c.Stay(10 * time.Second) // nobody is left to take it
		c.Drain(first[0], peer.Alive)
		c.WaitHolder(first[0])
	})
}

func TestStopHandsOver(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		c.Start()
		first, _ := c.WaitHolders(1)
		time.Sleep(3 * time.Second)
		h, other := c.nodes[first[0]], c.nodes[1-first[0]]
		if err := h.e.Stop(c.ctx); err != nil {
			t.Fatal(err)
		}
		if h.rec.Held() || !other.rec.Held() {
			t.Error("the address is not with the other node")
		}
		if err := other.e.Stop(c.ctx); err != nil || other.rec.Held() {
			t.Errorf("the last node keeps the address: %v", err)
		}
		time.Sleep(10 * time.Second)
		if n := c.Holders(); len(n) != 0 {
			t.Errorf("nodes that stop hold it: %v", n)
		}
	})
}

func TestForeignOwner(t *testing.T) {
	inCluster(t, 3, func(c *cluster) {
		c.Foreign(true)
		c.Start()
		time.Sleep(20 * time.Second)
		if most := c.Most(); most != 0 {
			t.Fatal("the address of another machine was taken")
		}
		if s := c.nodes[0].e.Status(); s.Reason != ForeignOwner {
			t.Errorf("status %+v", s)
		}
		c.Foreign(false)
		_, took := c.WaitHolders(1)
		below(t, "free to taken", took, 31*time.Second)
	})
}

// A node that may not have the address leaves it to the next.
func TestRefusedBySystem(t *testing.T) {
	inCluster(t, 3, func(c *cluster) {
		c.nodes[0].prio = 200
		c.Start()
		c.nodes[0].rec.Refuse(errors.New("no permission"))
		_, took := c.WaitHolders(1)
		below(t, "start to a holder", took, 2*time.Second)
		c.Stay(time.Minute)
	})
}

func TestPriority(t *testing.T) {
	inCluster(t, 3, func(c *cluster) {
		c.nodes[2].prio = 200
		c.nodes[1].prio = 0
		c.Start()
		c.WaitHolder(2)
		h := c.nodes[2]
		h.CutPower()
		c.WaitHolder(0)
		c.Stay(time.Minute)
	})
}

func TestCarrierLost(t *testing.T) {
	inCluster(t, 3, func(c *cluster) {
		c.Start()
		first, _ := c.WaitHolders(1)
		time.Sleep(3 * time.Second)
		h := c.nodes[first[0]]
		c.Partition(first[0])
		h.events <- Event{Carrier: false}
		_, took := c.WaitHolders(0)
		below(t, "link lost to let go", took, 10*time.Millisecond)
		c.WaitHolders(1)
		c.Heal()
		h.events <- Event{Carrier: true}
		c.Stay(10 * time.Second)
	})
}

func TestConflictIsAnsweredAndAnnouncementsRepeat(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		c.Start()
		first, _ := c.WaitHolders(1)
		time.Sleep(5 * time.Second)
		h := c.nodes[first[0]]
		before := h.rec.Announcements()
		time.Sleep(10 * time.Second)
		if n := h.rec.Announcements() - before; n < 9 || n > 11 {
			t.Errorf("%d announcements in 10 s", n)
		}
		time.Sleep(500 * time.Millisecond)
		before = h.rec.Announcements()
		h.events <- Event{Conflict: stranger()}
		time.Sleep(150 * time.Millisecond)
		if n := h.rec.Announcements() - before; n != 3 {
			t.Errorf("%d announcements after a conflict", n)
		}
	})
}

// A node that remembers nothing of its own term is heard again.
func TestRestartWithoutMemory(t *testing.T) {
	inCluster(t, 3, func(c *cluster) {
		c.Start()
		first, _ := c.WaitHolders(1)
		time.Sleep(3 * time.Second)
		h := c.nodes[first[0]]
		h.Kill()
		c.Heal()
		h.start()
		c.WaitHolders(1)
		time.Sleep(3 * time.Second)
		c.Stay(10 * time.Second)
		if h.e.Status().Term < 2 {
			t.Errorf("status %+v", h.e.Status())
		}
	})
}

func TestOrdersEnd(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		c.Start()
		h := c.nodes[0]
		ctx, cancel := context.WithCancel(c.ctx)
		cancel()
		if err := h.e.Move(ctx, ""); err == nil {
			t.Error("a canceled order was done")
		}
		e := h.e
		h.Kill()
		if err := e.Move(c.ctx, ""); !errors.Is(err, ErrNotHolder) {
			t.Errorf("an order after the end: %v", err)
		}
	})
}
