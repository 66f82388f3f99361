package node

import (
	"time"

	"github.com/cachenode/cachenode/admin"
)

// drainPhase is how far a node is out of service.
type drainPhase uint8

const (
	inService drainPhase = iota
	draining             // what is under way may end
	drained              // nothing is under way, or it was cut: the node may be stopped
)

const (
	// spreadTime is what the other members take to hear that a node drains, with
	// some to spare; before that they may send it clients.
	spreadTime = 500 * time.Millisecond
	// handoverTime is how long a hand-over of the virtual IP may hold up what a
	// drain does next. The address stays where nobody else is willing.
	handoverTime = 3 * time.Second
)

// drain is a node's drain at one moment. It never changes; the methods return
// the next one.
type drain struct {
	phase    drainPhase
	began    time.Time
	deadline time.Time // zero: none
	message  string
	held     bool  // the node held the virtual IP when it began
	cut      int64 // connections that were cut at the deadline
	forced   bool  // the deadline was a command
}

// load is what clients have of a node.
type load struct {
	connections int64 // tunnels included
	tunnels     int64
	vip         bool // it holds the virtual IP
}

// order begins a drain. Of one that is under way, which it reports, only what o
// says expressly changes.
func (d drain) order(o admin.DrainOrder, now time.Time, l load) (next drain, already bool) {
	already = d.phase != inService
	if !already {
		d = drain{phase: draining, began: now, deadline: now.Add(admin.DefaultDrain), held: l.vip}
	}
	if o.Message != "" {
		d.message = o.Message
	}
	if d.phase == drained {
		return d, already
	}
	switch {
	case o.Force:
		d.deadline, d.forced = now, true
	case o.NoDeadline:
		d.deadline, d.forced = time.Time{}, false
	case o.Seconds > 0:
		d.deadline, d.forced = now.Add(time.Duration(o.Seconds*float64(time.Second))), false
	}
	return d, already
}

// step looks whether the drain is at its end; cut means that what is left shall
// be cut.
func (d drain) step(now time.Time, l load) (next drain, cut bool) {
	age := now.Sub(d.began)
	switch {
	case d.phase != draining:
	case l.vip && age < handoverTime: // clients of the address come here until it has moved
	case l.connections == 0 && age >= spreadTime:
		d.phase = drained
	case d.deadline.IsZero() || now.Before(d.deadline):
	case l.connections > 0:
		d.phase, d.cut = drained, l.connections
		return d, true
	}
	return d, false
}

// left is the time until what is under way is cut; false: that will not happen.
func (d drain) left(now time.Time) (time.Duration, bool) {
	if d.phase != draining || d.deadline.IsZero() {
		return 0, false
	}
	return max(0, d.deadline.Sub(now)), true
}
