package election

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/cachenode/cachenode/peer"
)

// inSteeringCluster runs a scenario in which hand-overs keep connections. The
// first node is the holder, and the others follow in the ranking.
func inSteeringCluster(t *testing.T, n int, scenario func(c *cluster, ranked []*host)) {
	t.Helper()
	inCluster(t, n, func(c *cluster) {
		c.steering = true
		c.Start()
		scenario(c, c.ranked())
	})
}

// ranked waits for a holder and for it to have heard all others.
func (c *cluster) ranked() (list []*host) {
	c.t.Helper()
	first, _ := c.WaitHolders(1)
	time.Sleep(3 * time.Second)
	list = append(list, c.nodes[first[0]])
	for _, m := range Ranking(list[0].dir.View()) {
		if m.ID != list[0].id {
			list = append(list, c.nodes[slices.IndexFunc(c.nodes, func(h *host) bool { return h.id == m.ID })])
		}
	}
	return list
}

func (c *cluster) move(from, to *host) {
	c.t.Helper()
	if err := from.e.Move(c.ctx, to.id); err != nil {
		c.t.Fatal(err)
	}
	c.WaitHolder(to.index)
	time.Sleep(2 * time.Second) // the connections are counted in between
}

func (h *host) sends() string { return `forward to "` + mac(h.index).String() + `"` }

const sendsNowhere = `forward to ""`

// wantLog checks what a node did last with the address.
func (h *host) wantLog(want ...string) {
	h.c.t.Helper()
	log := h.rec.Log()
	if got := log[max(0, len(log)-len(want)):]; !slices.Equal(got, want) {
		h.c.t.Errorf("%s did %q, want %q", h.id, got, want)
	}
}

// The new holder sends on before it has the address; the old one stays until
// its connections have ended.
func TestMoveKeepsConnections(t *testing.T) {
	inSteeringCluster(t, 3, func(c *cluster, n []*host) {
		n[0].rec.Connect(5)
		c.move(n[0], n[1])
		n[0].wantLog(`hold from ""`, "stay")
		n[1].wantLog(n[0].sends(), `hold from "`+n[0].id+`"`)
		if s := n[0].e.Status(); !s.Lingering || s.State != Idle {
			t.Errorf("status %+v", s)
		}
		c.Stay(time.Minute)
		if !n[0].rec.Stays() {
			t.Error("it does not stay")
		}
		n[0].rec.Connect(0)
		time.Sleep(5 * time.Second)
		n[0].wantLog("stay", `release to ""`)
		n[1].wantLog(`hold from "`+n[0].id+`"`, sendsNowhere)
		if n[0].e.Status().Lingering {
			t.Error("it lingers still")
		}
	})
}

func TestConnectionsHaveADeadline(t *testing.T) {
	inSteeringCluster(t, 2, func(c *cluster, n []*host) {
		n[0].rec.Connect(5)
		c.move(n[0], n[1])
		time.Sleep(DefaultOptions().Linger.D() - 10*time.Second)
		n[0].wantLog("stay")
		time.Sleep(20 * time.Second)
		n[0].wantLog("stay", `release to ""`)
		n[1].wantLog(sendsNowhere)
	})
}

// A drain has a deadline of its own, which may be later.
func TestConnectionsOfADrainHaveItsDeadline(t *testing.T) {
	inSteeringCluster(t, 2, func(c *cluster, n []*host) {
		n[0].rec.Connect(5)
		c.Drain(n[0].index, peer.Draining)
		c.WaitHolder(n[1].index)
		c.Stay(3 * DefaultOptions().Linger.D())
		n[0].wantLog("stay")
		n[0].rec.Connect(0) // the drain has cut them
		time.Sleep(2 * time.Second)
		n[0].wantLog("stay", `release to ""`)
	})
}

// The last holder sends to the one before, which sends on; when that one is
// through it sends to the first.
func TestConnectionsOfSeveralHolders(t *testing.T) {
	inSteeringCluster(t, 3, func(c *cluster, n []*host) {
		n[0].rec.Connect(5)
		c.move(n[0], n[1])
		n[1].rec.Connect(5)
		c.move(n[1], n[2])
		n[2].wantLog(n[1].sends(), `hold from "`+n[1].id+`"`)
		n[1].wantLog(n[0].sends(), `hold from "`+n[0].id+`"`, "stay")
		n[1].rec.Connect(0)
		time.Sleep(5 * time.Second)
		n[1].wantLog("stay", `release to ""`, sendsNowhere)
		n[2].wantLog(`hold from "`+n[1].id+`"`, n[0].sends())
		n[0].wantLog("stay")
	})
}

// A holder that takes the address back has its own connections at once, and
// sends to the one in between. The rest of the ring does not send to it.
func TestConnectionsAfterTheAddressCameBack(t *testing.T) {
	inSteeringCluster(t, 2, func(c *cluster, n []*host) {
		n[0].rec.Connect(5)
		c.move(n[0], n[1])
		n[1].rec.Connect(5)
		c.move(n[1], n[0])
		n[0].wantLog("stay", n[1].sends(), `hold from "`+n[1].id+`"`)
		n[1].wantLog("stay", sendsNowhere)
		if n[0].rec.Stays() || n[0].e.Status().Lingering {
			t.Error("the holder lingers")
		}
	})
}

// A holder dies while the one before has connections still: who comes after it
// sends them there, though the change was not planned.
func TestConnectionsOutliveTheNextHolder(t *testing.T) {
	inSteeringCluster(t, 3, func(c *cluster, n []*host) {
		n[0].rec.Connect(5)
		c.move(n[0], n[1])
		c.Drain(n[0].index, peer.Draining)
		n[1].CutPower()
		c.WaitHolder(n[2].index)
		n[2].wantLog(n[0].sends(), `hold from ""`)
	})
}

// A node that stops has bytes to send of connections that it has closed: it waits
// for those, whether it held the address until now or before.
func TestStopWaitsForConnections(t *testing.T) {
	for name, before := range map[string]func(c *cluster, n []*host){
		"holder": func(*cluster, []*host) {},
		"stays":  func(c *cluster, n []*host) { c.move(n[0], n[1]) },
	} {
		t.Run(name, func(t *testing.T) {
			inSteeringCluster(t, 2, func(c *cluster, n []*host) {
				n[0].rec.Connect(5)
				before(c, n)
				stopped := make(chan error, 1)
				go func() { stopped <- n[0].e.Stop(c.ctx) }()
				c.WaitHolder(n[1].index)
				c.Stay(time.Minute)
				n[0].wantLog("stay")
				select {
				case err := <-stopped:
					t.Fatalf("it did not wait: %v", err)
				default:
				}
				n[0].rec.Connect(0)
				if err := <-stopped; err != nil {
					t.Error(err)
				}
				n[0].wantLog("stay", `release to ""`)
			})
		})
	}
}

// What is not through when the time is over, is cut.
func TestStopDoesNotWaitForEver(t *testing.T) {
	inSteeringCluster(t, 2, func(c *cluster, n []*host) {
		n[0].rec.Connect(5)
		ctx, cancel := context.WithTimeout(c.ctx, 10*time.Second)
		defer cancel()
		if err := n[0].e.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		n[0].Kill()
		n[0].wantLog("stay", `release to ""`)
		c.WaitHolder(n[1].index)
	})
}

// Nothing is sent on by a node that has ended.
func TestEndOfForwarding(t *testing.T) {
	inSteeringCluster(t, 2, func(c *cluster, n []*host) {
		n[0].rec.Connect(5)
		c.move(n[0], n[1])
		n[1].Kill()
		n[1].wantLog(`release to ""`, sendsNowhere, `hold from ""`) // the last by its kernel
	})
}

var errOld = errors.New("the kernel is too old")

// A drain chooses a member that keeps the connections.
func TestDrainChoosesWhoCanForward(t *testing.T) {
	inCluster(t, 3, func(c *cluster) {
		c.steering = true
		// The first of the ranking holds it, the second would be next.
		second := Ranking(peer.NewStatic("id0", members("id0", "id1", "id2")...).View())[1].ID
		for _, h := range c.nodes {
			if h.id == second {
				h.rec.CannotForward = errOld
			}
		}
		c.Start()
		n := c.ranked()
		if n[1].id != second {
			t.Fatalf("%s comes after the holder, not %s", n[1].id, second)
		}
		n[0].rec.Connect(5)
		c.Drain(n[0].index, peer.Draining)
		c.WaitHolder(n[2].index)
		time.Sleep(time.Second)
		n[0].wantLog("stay")
	})
}

// Where nobody can keep them, a drain waits for the end of connections.
func TestDrainWaitsForConnections(t *testing.T) {
	for name, lack := range map[string]func(h *host){
		"successor cannot send on": func(h *host) { h.rec.CannotForward = errOld },
		"holder cannot stay":       func(h *host) { h.rec.CannotStay = errOld },
	} {
		t.Run(name, func(t *testing.T) {
			inCluster(t, 2, func(c *cluster) {
				c.steering = true
				for _, h := range c.nodes {
					lack(h)
				}
				c.Start()
				n := c.ranked()
				n[0].rec.Connect(5)
				c.Drain(n[0].index, peer.Draining)
				left := make(chan error, 1)
				go func() { left <- n[0].e.Leave(c.ctx) }()
				c.Stay(3 * DefaultOptions().Linger.D())
				if !n[0].e.Status().Waits {
					t.Error("its status does not say that it waits")
				}
				n[0].rec.Connect(0)
				c.WaitHolder(n[1].index)
				if err := <-left; err != nil || n[0].e.Status().Waits {
					t.Errorf("error %v, status %+v", err, n[0].e.Status())
				}
				n[0].wantLog(`hold from ""`, `release to "`+n[1].id+`"`)
			})
		})
	}
}

// Without a drain that would end them, connections are waited for so long only.
func TestLeaveDoesNotWaitForEver(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		c.steering, c.linger = true, time.Minute
		for _, h := range c.nodes {
			h.rec.CannotForward = errOld
		}
		c.Start()
		n := c.ranked()
		n[0].rec.Connect(5)
		ctx, cancel := context.WithTimeout(c.ctx, time.Second)
		defer cancel()
		if err := n[0].e.Leave(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		c.Stay(50 * time.Second)
		c.WaitHolder(n[1].index)
	})
}

// A move that somebody asked for takes place at once.
func TestMoveDoesNotWait(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		c.steering = true
		for _, h := range c.nodes {
			h.rec.CannotForward = errOld
		}
		c.Start()
		n := c.ranked()
		n[0].rec.Connect(5)
		c.move(n[0], n[1])
		n[0].wantLog(`release to "` + n[1].id + `"`)
		n[1].wantLog(`hold from "` + n[0].id + `"`)
	})
}
