package peer

import (
	"net/netip"
	"time"
)

// State is how a member is, as this node knows.
type State uint8

// The states of members.
const (
	Alive    State = iota + 1 // answers, takes requests
	Draining                  // answers, wants no new requests
	Left                      // said good-bye: stopped, or gone for good
	Failed                    // silent: dead, or cut off
)

var stateNames = [...]string{Alive: "alive", Draining: "draining", Left: "left", Failed: "failed"}

// States lists all of them, in order.
func States() []State { return []State{Alive, Draining, Left, Failed} }

func (s State) String() string {
	if int(s) < len(stateNames) && s != 0 {
		return stateNames[s]
	}
	return "unknown"
}

// MarshalText gives the name.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Up reports whether a member in this state answers.
func (s State) Up() bool { return s == Alive || s == Draining }

// Member is one node of the cluster as this node knows it.
type Member struct {
	ID    string // persistent, unique for ever
	Name  string // what operators call it; unique among those that are up
	State State
	Since time.Time // when this node saw it take its State
	Away  bool      // it is not up, and expected back
	Meta
	// Gossip is where its gossip is: datagrams, and streams between members.
	Gossip netip.AddrPort
}

// Meta is what a member tells of itself. The zero value of a field means that
// the member does not say.
type Meta struct {
	// Addr is where its proxy and its ICP are reached.
	Addr                          netip.Addr
	ProxyPort, ICPPort, AdminPort uint16
	Version                       string
	Priority                      uint16 // for the virtual IP; higher is preferred
	Term                          uint64 // of the virtual IP, as it knows
	Capacity                      uint64 // bytes of its store
	Digest                        uint64 // version of the digest of its keys; 0: there is none
	Started                       time.Time
}

// Proxy is the address of the member's proxy; invalid when it has none.
func (m *Member) Proxy() netip.AddrPort { return at(m.Addr, m.ProxyPort) }

// ICP is where the member answers ICP; invalid when it does not.
func (m *Member) ICP() netip.AddrPort { return at(m.Addr, m.ICPPort) }

// Admin is the address of the member's admin interface; invalid when others
// cannot reach it.
func (m *Member) Admin() netip.AddrPort { return at(m.Addr, m.AdminPort) }

func at(a netip.Addr, port uint16) netip.AddrPort {
	if port == 0 || !a.IsValid() {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a, port)
}
