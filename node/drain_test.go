package node

import (
	"testing"
	"time"

	"github.com/cachenode/cachenode/admin"
)

// What an order makes of a drain.
func TestDrainOrders(t *testing.T) {
	began := time.Unix(1_800_000_000, 0)
	now := began.Add(time.Minute)
	underWay := drain{phase: draining, began: began, deadline: began.Add(time.Hour), message: "disk"}
	over := drain{phase: drained, began: began, message: "disk"}
	for _, c := range []struct {
		name    string
		before  drain
		order   admin.DrainOrder
		already bool
		left    time.Duration // -1: no deadline
		message string
	}{
		{"by default", drain{}, admin.DrainOrder{}, false, 10 * time.Minute, ""},
		{"with a deadline", drain{}, admin.DrainOrder{Seconds: 90, Message: "x"}, false, 90 * time.Second, "x"},
		{"without one", drain{}, admin.DrainOrder{NoDeadline: true}, false, -1, ""},
		{"at once", drain{}, admin.DrainOrder{Force: true}, false, 0, ""},
		{"again", underWay, admin.DrainOrder{}, true, 59 * time.Minute, "disk"},
		{"again, with a deadline", underWay, admin.DrainOrder{Seconds: 1}, true, time.Second, "disk"},
		{"again, without one", underWay, admin.DrainOrder{NoDeadline: true, Message: "y"}, true, -1, "y"},
		{"again, at once", underWay, admin.DrainOrder{Force: true}, true, 0, "disk"},
		{"when all is over", over, admin.DrainOrder{Force: true}, true, -1, "disk"},
	} {
		d, already := c.before.order(c.order, now, load{vip: true})
		left, ok := d.left(now)
		if !ok {
			left = -1
		}
		if already != c.already || left != c.left || d.message != c.message || d.phase == inService {
			t.Errorf("%s: already %v, left %v, %+v", c.name, already, left, d)
		}
		if fresh := c.before.phase == inService; d.held != fresh || fresh != d.began.Equal(now) || d.forced != (c.order.Force && c.before.phase != drained) {
			t.Errorf("%s: %+v", c.name, d)
		}
	}
}

// When a drain is at its end, and when something is cut.
func TestDrainSteps(t *testing.T) {
	began := time.Unix(1_800_000_000, 0)
	until := func(deadline time.Duration) drain {
		return drain{phase: draining, began: began, deadline: began.Add(deadline)}
	}
	endless := drain{phase: draining, began: began}
	busy, holder := load{connections: 7, tunnels: 5}, load{connections: 7, vip: true}
	for _, c := range []struct {
		name   string
		before drain
		age    time.Duration
		load   load
		phase  drainPhase
		cut    int64
	}{
		{"nobody is there, the others may not know yet", until(time.Hour), 0, load{}, draining, 0},
		{"nobody is there", until(time.Hour), time.Second, load{}, drained, 0},
		{"somebody is there", until(time.Hour), 59 * time.Minute, busy, draining, 0},
		{"the deadline", until(time.Hour), time.Hour, busy, drained, 7},
		{"no deadline", endless, 1000 * time.Hour, busy, draining, 0},
		{"at once", until(0), 0, busy, drained, 7},
		{"at once with nobody there", until(0), 0, load{}, draining, 0},
		{"at once, but the address goes first", until(0), time.Second, holder, draining, 0},
		{"at once, and nobody takes the address", until(0), handoverTime, holder, drained, 7},
		{"nobody is there, but the address", until(time.Hour), time.Second, load{vip: true}, draining, 0},
		{"nobody is there, nobody takes the address", until(time.Hour), handoverTime, load{vip: true}, drained, 0},
		{"drained, and somebody comes", drain{phase: drained, began: began}, time.Hour, busy, drained, 0},
		{"in service", drain{}, time.Hour, busy, inService, 0},
	} {
		d, cut := c.before.step(began.Add(c.age), c.load)
		if d.phase != c.phase || d.cut != c.cut || cut != (c.cut > 0) {
			t.Errorf("%s: %+v, cut %v", c.name, d, cut)
		}
	}
}
