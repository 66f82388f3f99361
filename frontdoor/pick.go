package frontdoor

import (
	"math"
	"net/netip"

	"github.com/zeebo/xxh3"
)

// grade says how a node stands: connections go to the best grade that is there.
type grade uint8

const (
	fit     grade = iota // takes connections
	leaving              // alive, but draining or not ready: when no other is left
	dead                 // as far as is known; tried before a client is refused
	grades
)

// candidate is a node as the decision sees it.
type candidate struct {
	grade  grade
	self   bool
	tried  bool   // by this connection, in vain
	weight int64  // more than 0, on any scale
	active int    // connections that it has
	limit  int    // most of these; 0: none
	turn   uint64 // number of the last connection that it got
	credit int64  // what roundrobin owes it
	seed   uint64 // hash of its name, for source
}

// takes reports whether c is one of those to choose from in grade g.
func (c *candidate) takes(g grade) bool { return c.grade == g && !c.tried && !c.full() }

func (c *candidate) full() bool { return c.limit > 0 && c.active >= c.limit }

// Reason is why a connection went where it did, or nowhere.
type Reason uint8

// The reasons.
const (
	ByLeastConn  Reason = iota // has the fewest connections for its weight
	ByRoundRobin               // its turn
	BySource                   // the client's address says so
	ByLeaving                  // only nodes that are draining or not ready are left
	ByDespair                  // no node is known to be up: tried anyway

	Full         // all nodes that are left have as many connections as they may
	FullDoor     // there are as many connections as there may be
	Exhausted    // every node was tried
	NoNode       // there is none
	QueueFull    // as many wait as may
	QueueTimeout // waited for too long
	QueueLeft    // the client went while it waited
	Closing      // the front door is shutting down
	reasons
)

var reasonTexts = [reasons]string{
	ByLeastConn: "leastconn", ByRoundRobin: "roundrobin", BySource: "source", ByLeaving: "leaving", ByDespair: "despair",
	Full: "full", FullDoor: "full door", Exhausted: "exhausted", NoNode: "no node",
	QueueFull: "queue full", QueueTimeout: "queue timeout", QueueLeft: "queue left", Closing: "closing",
}

func (r Reason) String() string { return reasonTexts[r] }

// placed reports whether a connection has a node by r.
func (r Reason) placed() bool { return r <= ByDespair }

// waits reports whether a connection that goes nowhere for r may wait.
func (r Reason) waits() bool { return r == Full || r == FullDoor }

// pick decides which of all a connection of client goes to, or returns -1. A node
// that is full is waited for rather than that a worse one is taken.
func pick(all []candidate, how Balance, client netip.Addr) (at int, why Reason) {
	why = NoNode
	for g := range grades {
		best := -1
		for i := range all {
			switch c := &all[i]; {
			case c.grade != g:
			case c.tried:
				why = Exhausted
			case c.full():
				why = Full
			case best < 0 || better(c, &all[best], how, client):
				best = i
			}
		}
		if best >= 0 {
			return best, reasonOf(g, how)
		}
		if why == Full {
			return -1, Full
		}
	}
	return -1, why
}

func reasonOf(g grade, how Balance) Reason {
	switch {
	case g == leaving:
		return ByLeaving
	case g == dead:
		return ByDespair
	case how == RoundRobin:
		return ByRoundRobin
	case how == Source:
		return BySource
	default:
		return ByLeastConn
	}
}

// better reports whether a is to be taken rather than b, of one grade.
func better(a, b *candidate, how Balance, client netip.Addr) bool {
	if a.grade == dead && a.self != b.self {
		return a.self // the own node is here, whatever is said of it
	}
	switch how {
	case RoundRobin:
		return a.credit+a.weight > b.credit+b.weight
	case Source:
		return distance(a, client) < distance(b, client)
	default:
		x, y := a.load()*b.weight, b.load()*a.weight
		return x < y || x == y && a.turn < b.turn
	}
}

// load is what leastconn compares, by weight: the connections with the new one
// counted, and nothing for an idle node. Otherwise a node of a smaller weight
// would never get one while others carry few.
func (c *candidate) load() int64 {
	if c.active == 0 {
		return 0
	}
	return int64(c.active + 1)
}

// charge settles roundrobin's accounts when the connection goes to all[at]: of
// those that it could have gone to each earns its weight, and that one pays for
// all. So the turns of the heavier are spread among those of the others.
func charge(all []candidate, at int) {
	g, total := all[at].grade, int64(0)
	for i := range all {
		if c := &all[i]; c.takes(g) {
			c.credit += c.weight
			total += c.weight
		}
	}
	all[at].credit -= total
}

// distance of a node from a client: the nearest node takes it (weighted
// rendezvous hashing). Without one node its clients spread over the others, and
// no other client moves; a node of double weight has twice the clients. It is the
// same on every node, so that a new holder of the virtual IP sends clients where
// the old one did.
func distance(c *candidate, client netip.Addr) float64 {
	b := client.As16()
	h := xxh3.HashSeed(b[:], c.seed)
	u := (float64(h>>11) + 0.5) / (1 << 53) // uniform in (0, 1)
	return -math.Log(u) / float64(c.weight)
}

// seedOf makes the distances of a node its own.
func seedOf(id string) uint64 { return xxh3.HashString(id) }
