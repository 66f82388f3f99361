package election

import (
	"net"
	"time"
)

// Steering keeps connections alive when another member takes the address in a
// planned hand-over: the old holder stays, and the new one sends the packets of
// connections that it does not have on to it.
type Steering interface {
	// Lacks says what keeps this machine from staying, and what from sending on;
	// nil: nothing.
	Lacks() (stay, forward error)
	// Stay keeps the address on this machine, unannounced, for connections that it
	// has, for the time of the lease, or renews that. Hold and Release end it.
	Stay() error
	// Connections is how many it has at the address.
	Connections() (int, error)
	// Forward sends packets of connections that this machine does not have on to
	// another; nil: to none. It is called before the address is here.
	Forward(to net.HardwareAddr) error
}

// able is what this machine can do for connections in a hand-over.
type able struct {
	steers  bool // there is Steering
	stay    bool
	forward bool
}

// lingering is what a node keeps that handed the address over and stays for its
// connections.
type lingering struct {
	term    uint64 // in which it held
	until   time.Time
	tellAt  time.Time // when the others are told again
	countAt time.Time // when connections are counted again
	renewed time.Time // when the lease was renewed last
	renewAt time.Time
	done    []func(error) // those who wait for its end
}

func (l *lingering) due() time.Time {
	due := l.until
	for _, at := range []time.Time{l.tellAt, l.countAt, l.renewAt} {
		if at.Before(due) {
			due = at
		}
	}
	return due
}

// countEvery is how often connections are counted that a node waits for. The
// first time is after the last of those that were on their way.
const countEvery = time.Second

// keeps reports whether connections go on if a member takes the address.
func (m *machine) keeps(to string) bool {
	c := m.peers[to]
	return m.can.stay && m.t.linger > 0 && c != nil && c.forwards && c.mac != [6]byte{}
}

// linger begins to stay for the connections of this node, whose address another
// member has taken; false: they are cut.
func (m *machine) linger(now time.Time, to string) bool {
	if !m.can.steers {
		return false
	}
	if !m.keeps(to) {
		if n := m.connections(); n > 0 {
			m.log.Warn("the hand-over of the virtual ip cuts connections", "connections", n, "reason", m.obstacle())
		}
		return false
	}
	if err := m.fx.stay(); err != nil {
		m.log.Warn("could not stay for the connections at the virtual ip, they are cut", "error", err)
		return false
	}
	m.lingering = &lingering{
		term: m.term, until: now.Add(m.t.linger), countAt: now.Add(countEvery), renewed: now, renewAt: now.Add(m.t.renew),
	}
	m.tellLinger(now)
	return true
}

func (m *machine) tellLinger(now time.Time) {
	m.send(Packet{Kind: Linger, Term: m.lingering.term}, m.others()...)
	m.lingering.tellAt = now.Add(m.t.beat)
}

// tickLinger does what is due while this node stays.
func (m *machine) tickLinger(now time.Time) {
	l := m.lingering
	if l == nil {
		return
	}
	if m.draining() {
		l.until = now.Add(m.t.linger) // the drain has a deadline of its own
	}
	if !now.Before(l.until) {
		m.log.Warn("time is up for connections at the virtual ip that outlived its move, they are cut", "connections", m.connections())
		m.endLinger()
		return
	}
	if !now.Before(l.countAt) {
		l.countAt = now.Add(countEvery)
		if m.connections() == 0 {
			m.log.Info("all connections at the virtual ip that outlived its move have ended")
			m.endLinger()
			return
		}
	}
	if !now.Before(l.renewAt) {
		l.renewAt = now.Add(m.t.renew)
		if err := m.fx.stay(); err == nil {
			l.renewed = now
		} else if m.log.Warn("could not renew the stay at the virtual ip", "error", err); now.Sub(l.renewed) >= 8*m.t.renew {
			m.endLinger()
			return
		}
	}
	if !now.Before(l.tellAt) {
		m.tellLinger(now)
	}
}

// endLinger ends a stay; what is connected still is cut.
func (m *machine) endLinger() {
	l := m.lingering
	if l == nil {
		return
	}
	m.lingering = nil
	m.fx.release("")
	for _, done := range l.done {
		done(nil)
	}
}

// afterLinger calls done when this node does not stay any more, which is looked
// at now. The kernel may have bytes to send of connections that a process has
// closed.
func (m *machine) afterLinger(now time.Time, done func(error)) {
	if m.lingering == nil {
		done(nil)
		return
	}
	m.lingering.done = append(m.lingering.done, done)
	m.lingering.countAt = now
}

// connections counts those of this node at the address; when that fails there
// may be some.
func (m *machine) connections() int {
	n, err := m.fx.connections()
	if err != nil {
		m.log.Warn("could not count the connections at the virtual ip", "error", err)
		return 1
	}
	return n
}

// onLinger is told that a member stays.
func (m *machine) onLinger(now time.Time, p Packet) {
	c := m.peers[p.Sender]
	c.lingers, c.lingered = p.Term, now
	m.steer(now, m.heldTerm())
}

// heldTerm is the term in which this node holds the address, or did before it
// stayed; 0: it has nothing to do with it.
func (m *machine) heldTerm() uint64 {
	switch {
	case m.state.Holds():
		return m.term
	case m.lingering != nil:
		return m.lingering.term
	}
	return 0
}

// predecessor is the member to send packets of unknown connections to: of those
// that stay the last one before a term. It sends on what it does not know itself,
// so that a packet goes from later terms to earlier ones.
func (m *machine) predecessor(now time.Time, term uint64) (id string) {
	var latest uint64
	for other, c := range m.peers {
		stays := c.lingers != 0 && now.Sub(c.lingered) <= m.t.lingers && c.mac != [6]byte{}
		if stays && c.lingers < term && (c.lingers > latest || c.lingers == latest && other < id) {
			id, latest = other, c.lingers
		}
	}
	return id
}

// steer sends packets of unknown connections where they belong, for a node that
// holds the address in a term, or did.
func (m *machine) steer(now time.Time, term uint64) {
	if !m.can.forward {
		return
	}
	var to [6]byte
	id := m.predecessor(now, term)
	if id != "" {
		to = m.peers[id].mac
	}
	if to == m.steered {
		return
	}
	m.steered = to
	var mac net.HardwareAddr
	if id != "" {
		mac = to[:]
	}
	if err := m.fx.forward(mac); err != nil {
		m.log.Warn("could not send on packets of connections that other holders have, they are cut", "to", m.name(id), "error", err)
		return
	}
	if id == "" {
		m.log.Info("no packets are sent on any more")
		return
	}
	m.log.Info("packets of connections that this node does not have are sent on", "to", m.name(id), "mac", mac.String())
}

// mustWait reports whether a node that leaves keeps the address for now, since
// its connections would not outlive a hand-over.
func (m *machine) mustWait(now time.Time) bool {
	h := &m.holding
	waited := h.waits
	h.waits = false
	if !m.can.steers || m.stop || m.t.linger <= 0 {
		return false
	}
	to, err := m.successor("", nil)
	if err != nil || m.keeps(to) {
		return false
	}
	if h.leaving.IsZero() {
		h.leaving = now
	}
	late := now.Sub(h.leaving) >= m.t.linger && !m.draining() // a drain ends connections itself
	h.waits = !late && m.connections() > 0
	if h.waits && !waited {
		m.log.Warn("a hand-over of the virtual ip would cut its connections: it waits for their end", "to", m.name(to), "reason", m.obstacle())
	}
	return h.waits
}

// obstacle says why a hand-over cuts connections.
func (m *machine) obstacle() string {
	switch {
	case m.t.linger <= 0:
		return "vip.linger is 0"
	case !m.can.stay:
		return "this node cannot stay: see its log"
	}
	return "no willing member can send packets on: see their logs"
}
