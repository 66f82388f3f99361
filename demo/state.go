package demo

import (
	"fmt"
	"time"
)

// State is what there is to see at a moment.
type State struct {
	Now, Began time.Time
	Front      string // the virtual IP with its port
	Page       string // a URL of the origin
	Data       string // of the first node
	Dir        string // of all that is made
	Nodes      []Node
	Holder     string // of the virtual IP, as the nodes say; empty: nobody
	Load       Load
	Events     []Event // oldest first
	Chosen     int     // the node that keys act on
}

// Node is one node, as a process and as a member of the cluster.
type Node struct {
	Name    string
	Address string // of its proxy
	PID     int    // 0: its process has ended
	Ended   string // how; of the last one
	Vitals
}

// Vitals are what a node says of itself, and the others of it.
type Vitals struct {
	Answers     bool   // else the rest is what was known last
	Member      string // alive, draining, left or failed; empty: not known
	Connections int64
	Requests    int64   // since it started
	Rate        float64 // of requests, per second
	HitRatio    float64 // of the last minutes, 0 to 1
	Objects     int64
}

// Event is something that happened.
type Event struct {
	At   time.Time
	Text string
}

// keptEvents are more than any terminal shows.
const keptEvents = 200

func (s *State) tell(at time.Time, format string, args ...any) {
	s.Events = append(s.Events, Event{at, fmt.Sprintf(format, args...)})
	if n := len(s.Events); n > keptEvents {
		s.Events = s.Events[n-keptEvents:]
	}
}

// node finds a node by its name.
func (s *State) node(name string) *Node {
	for i := range s.Nodes {
		if s.Nodes[i].Name == name {
			return &s.Nodes[i]
		}
	}
	return nil
}

// Seen is what the nodes say at a moment.
type Seen struct {
	At     time.Time
	Nodes  []Vitals // in the order of State.Nodes
	Holder string
}

// take brings what was seen into the state, and tells what is new.
func (s *State) take(seen *Seen) {
	for i := range s.Nodes {
		n, now := &s.Nodes[i], seen.Nodes[i]
		if now.Member == "" { // nobody could be asked
			now.Member = n.Member
		}
		if text := turn(n.Member, now.Member); text != "" {
			s.tell(seen.At, "%s %s", n.Name, text)
		}
		n.Vitals = now
	}
	if seen.Holder != "" && seen.Holder != s.Holder {
		if s.Holder == "" {
			s.tell(seen.At, "%s holds the virtual IP", seen.Holder)
		} else {
			s.tell(seen.At, "the virtual IP went from %s to %s", s.Holder, seen.Holder)
		}
		s.Holder = seen.Holder
	}
}

// turn says that a member's state has changed; "" when that is no news.
func turn(was, is string) string {
	switch {
	case was == is:
		return ""
	case is == "alive" && was == "draining":
		return "takes requests again"
	case is == "alive":
		return "is in the cluster"
	case is == "draining":
		return "drains: it takes no new connections, those it has may end"
	case is == "left":
		return "has left in good order"
	case is == "failed":
		return "has failed, say the others"
	}
	return "is " + is
}

// Rate is how many requests a second there were between two looks. A node that
// was restarted in between counts from zero.
func rate(before, now int64, between time.Duration) float64 {
	if now < before || between <= 0 {
		return 0
	}
	return float64(now-before) / between.Seconds()
}
