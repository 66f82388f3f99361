package election

import (
	"bytes"
	"log/slog"
	"net"
	"slices"
	"time"

	"github.com/cachenode/cachenode/peer"
)

// State is what a node does about the address.
type State uint8

// The states of a node.
const (
	Idle       State = iota // does not hold it
	Probing                 // asks the link and the members whether it may
	Announcing              // has just taken it and tells everybody
	Holding                 // holds it
	Yielding                // holds it, and has asked another to take it over
)

var stateNames = [...]string{Idle: "idle", Probing: "probing", Announcing: "announcing", Holding: "holding", Yielding: "yielding"}

func (s State) String() string { return stateNames[s] }

// MarshalText gives the name.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Holds reports whether a node in this state has the address.
func (s State) Holds() bool { return s >= Announcing }

// effects are what a machine does to the world. They do not call back.
type effects interface {
	// send gives a packet to members, by ID.
	send(p Packet, to []string)
	// probe asks the link for the address, and the gateway if that is wanted, for a
	// while; the answer comes with the same sequence.
	probe(sequence uint64, gateway bool, d time.Duration)
	hold(from string) error
	announce()
	release(to string)

	// Those of Steering, where there is one.
	stay() error
	connections() (int, error)
	forward(to net.HardwareAddr) error
}

// machine is the state of a node in the election. It is told what happens and
// when, and belongs to one goroutine.
type machine struct {
	self string
	t    timing
	can  able
	fx   effects
	log  *slog.Logger

	view    *peer.View
	voters  voters
	counted []string // the voters of the view

	state   State
	since   time.Time // of the state
	reason  Reason
	settled time.Time // no claim before: listening after a start, or link lost
	wakeAt  time.Time // when this node wanted to run next
	link    bool      // the interface has a carrier

	term     uint64    // the highest that was seen
	holder   string    // in term; empty: nobody, or not known
	last     string    // the last holder
	heard    time.Time // when the holder was heard last
	vacated  time.Time // when holder became empty
	sequence uint64    // of the last packet sent
	peers    map[string]*contact

	vote    ballot
	ask     *ask
	claims  backoff // after this machine gave the address up, or could not have it
	tries   backoff // after votes were lacking, until there is a holder
	holding holding
	yield   *yielding
	stop    bool // the node stops: it does not claim

	lingering *lingering // nil: it does not stay for connections
	steered   [6]byte    // where packets of unknown connections go; zero: nowhere

	Transitions uint64 // how often this node took it
}

// contact is what is known of another member from its packets.
type contact struct {
	sequence uint64 // of its latest packet
	heard    time.Time
	mac      [6]byte
	forwards bool      // it can send packets on
	lingers  uint64    // the term in which it held before it stayed; 0: it does not stay
	lingered time.Time // when it said so
}

// ballot is the vote that this node gave last.
type ballot struct {
	term uint64
	to   string
	at   time.Time
}

func newMachine(self string, t timing, fx effects, log *slog.Logger) *machine {
	return &machine{self: self, t: t, fx: fx, log: log, peers: map[string]*contact{}, link: true}
}

// start begins at a time, with what an earlier run of the node remembers.
func (m *machine) start(now time.Time, v *peer.View, kept Memory) {
	m.since, m.reason = now, Starting
	m.settled, m.vacated = now.Add(m.t.grace), now.Add(m.t.grace)
	m.term, m.last = kept.Term, kept.Last
	m.sequence = uint64(now.UnixNano())
	m.onView(now, v)
}

func (m *machine) onView(now time.Time, v *peer.View) {
	m.view = v
	m.recount(now)
}

// recount finds the members that count. Those that count from now on have not
// been sent a heartbeat yet, and get the time to answer one.
func (m *machine) recount(now time.Time) {
	m.voters.update(m.view, now, m.t.forget, m.occupied(now))
	counted := m.voters.count(m.view)
	fresh := func(id string) bool { return !slices.Contains(m.counted, id) }
	if m.state.Holds() && slices.ContainsFunc(counted, fresh) {
		m.holding.grace = now
	}
	m.counted = counted
}

// willing reports whether this node would take the address.
func (m *machine) willing() bool {
	me := m.view.Me()
	return me != nil && me.Priority != 0 && me.State == peer.Alive && !m.stop
}

func (m *machine) draining() bool {
	me := m.view.Me()
	return me != nil && me.State == peer.Draining
}

// occupied reports whether somebody holds the address and is heard.
func (m *machine) occupied(now time.Time) bool {
	return m.state.Holds() || m.holder != "" && now.Before(m.heard.Add(m.t.silence))
}

// vacantSince is when the address lost its holder, now or in the future.
func (m *machine) vacantSince() time.Time {
	if m.holder == "" {
		return m.vacated
	}
	return m.heard.Add(m.t.silence)
}

func (m *machine) enter(now time.Time, s State, why Reason) {
	m.state, m.since, m.reason = s, now, why
}

// tick does what is due.
func (m *machine) tick(now time.Time) {
	m.recount(now)
	switch m.state {
	case Idle:
		m.tickIdle(now)
	case Probing:
		m.tickProbing(now)
	default:
		m.tickHolder(now)
	}
	m.tickLinger(now)
	m.steer(now, m.heldTerm())
}

// wake is told of each time that this node runs, before anything else. One that
// was kept from running cannot tell its own silence from that of the others: what
// they sent meanwhile waits to be read.
func (m *machine) wake(now time.Time) {
	late := now.Sub(m.wakeAt)
	if m.wakeAt.IsZero() || late <= m.t.beat {
		return
	}
	m.log.Warn("this process was kept from running", "for", late)
	if m.state.Holds() {
		m.holding.grace, m.holding.woken = now, true
		return
	}
	if until := now.Add(m.t.silence); until.After(m.settled) {
		m.settled = until
	}
}

// due is when the next tick is needed at the latest.
func (m *machine) due(now time.Time) time.Time {
	due := m.stateDue(now)
	if l := m.lingering; l != nil && l.due().Before(due) {
		return l.due()
	}
	return due
}

func (m *machine) stateDue(now time.Time) time.Time {
	switch {
	case m.state.Holds():
		return m.holderDue()
	case m.state == Probing:
		return m.probingDue()
	}
	at := m.claimAt(m.rank())
	if !at.After(now) { // not allowed to
		at = now.Add(m.t.grace)
	}
	return at
}

// others are all members that could hear a packet: also those that count as
// failed, since after a split this is how they learn of a higher term first.
func (m *machine) others() []string {
	var ids []string
	for i := range m.view.Members {
		if p := &m.view.Members[i]; p.ID != m.self && p.State != peer.Left {
			ids = append(ids, p.ID)
		}
	}
	return ids
}

// send numbers a packet and sends it.
func (m *machine) send(p Packet, to ...string) uint64 {
	m.sequence++
	p.Sequence, p.Sender = m.sequence, m.self
	m.fx.send(p, to)
	return m.sequence
}

// memberMAC finds the member whose interface has a hardware address.
func (m *machine) memberMAC(mac net.HardwareAddr) (id string, ok bool) {
	for id, c := range m.peers {
		if bytes.Equal(c.mac[:], mac) {
			return id, true
		}
	}
	return "", false
}

// rank is the place of this node among those that may claim: 0 is first.
func (m *machine) rank() int {
	own := func(p peer.Member) bool { return p.ID == m.self }
	return max(0, slices.IndexFunc(Ranking(m.seen()), own))
}

// seen is the view in which a holder that missed its heartbeats has failed
// already.
func (m *machine) seen() *peer.View {
	if m.holder == "" || m.holder == m.self {
		return m.view
	}
	v := *m.view
	v.Members = slices.Clone(v.Members)
	if p := v.ByID(m.holder); p != nil {
		p.State = peer.Failed
	}
	return &v
}
