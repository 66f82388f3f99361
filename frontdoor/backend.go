package frontdoor

import (
	"net/netip"
	"time"
)

// Backend is a node as the cluster knows it.
type Backend struct {
	ID   string // never changes; what Source hashes
	Name string // what people call it
	Addr netip.AddrPort
	// Weight is its share beside the others; less than 1 counts as 1.
	Weight int
	State  State
	// Self is the own node: connections are handed over in the process.
	Self bool
}

// State is what the cluster says about a node.
type State uint8

// The states.
const (
	Up       State = iota
	Draining       // gets new connections only when no other node is up
	Down           // its connections are reset, unless it answers all the same
)

func (s State) String() string {
	return [...]string{Up: "up", Draining: "draining", Down: "down"}[s]
}

// Status is what the front door makes of a node, in the words of HAProxy.
type Status string

// The statuses.
const (
	StatusUp    Status = "UP"
	StatusDown  Status = "DOWN"
	StatusDrain Status = "DRAIN" // the cluster says that it is draining
	StatusNoLB  Status = "NOLB"  // it answers checks that it is not ready
	StatusOpen  Status = "OPEN"  // the frontend's
)

// node is a backend with what the front door knows of it.
type node struct {
	Backend
	health health
	seed   uint64
	active int // connections that were placed there and have not ended
	turn   uint64
	credit int64

	status  Status
	changed time.Time     // when that was last another
	risen   time.Time     // when it came up; zero: it was from the beginning
	down    time.Duration // how long it was down before changed

	checking bool
	checkAt  time.Time // when the next check is due
	checked  time.Time // when the last one began
	last     lastCheck

	count counts
}

// statusOf is what the cluster and health make of a node, together.
func statusOf(s State, h grade) Status {
	switch {
	case s == Down || h == dead:
		return StatusDown
	case s == Draining:
		return StatusDrain
	case h == leaving:
		return StatusNoLB
	default:
		return StatusUp
	}
}

func (s Status) grade() grade {
	switch s {
	case StatusUp:
		return fit
	case StatusDown:
		return dead
	default:
		return leaving
	}
}

// update notes what became of the status; it reports whether it is another.
func (n *node) update(now time.Time) bool {
	is := statusOf(n.State, n.health.grade)
	if is == n.status {
		return false
	}
	if n.status == StatusDown {
		n.down += now.Sub(n.changed)
	}
	if is == StatusDown {
		n.count.downs++
	}
	if n.status.grade() == dead && is == StatusUp {
		n.risen = now
	}
	n.status, n.changed = is, now
	return true
}

// downtime is how long it was down in all.
func (n *node) downtime(now time.Time) time.Duration {
	if n.status == StatusDown {
		return n.down + now.Sub(n.changed)
	}
	return n.down
}
