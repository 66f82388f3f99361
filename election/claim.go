package election

import (
	"net"
	"time"
)

// ask is a claim that is being prepared.
type ask struct {
	term     uint64
	sequence uint64
	at       time.Time
	granted  map[string]bool // this node included
	refused  bool            // by a member that is there
}

// Probe is what the link said of the address.
type Probe struct {
	Owner   net.HardwareAddr // who answers for it; nil: nobody
	Rival   net.HardwareAddr // who asks for it too, and comes first; nil: nobody
	Gateway Gateway
	Err     error // the link could not be asked
}

// claimAt is when this node may claim, by its place in the ranking.
func (m *machine) claimAt(rank int) time.Time {
	at := m.vacantSince().Add(time.Duration(rank) * m.t.step)
	limits := []time.Time{m.settled, m.claims.until}
	if m.vote.to != "" && m.vote.to != m.self {
		limits = append(limits, m.vote.at.Add(m.t.hold)) // its turn first
	}
	for _, limit := range limits {
		if limit.After(at) {
			at = limit
		}
	}
	return at
}

func (m *machine) tickIdle(now time.Time) {
	if !m.willing() || !m.link || now.Before(m.claimAt(m.rank())) {
		if m.occupied(now) {
			m.reason = Holds
		}
		return
	}
	m.startAsk(now)
}

// startAsk asks the members and the link at the same time.
func (m *machine) startAsk(now time.Time) {
	m.enter(now, Probing, m.reason)
	term := max(m.term, m.vote.term) + 1
	m.vote = ballot{term, m.self, now}
	a := &ask{term: term, at: now, granted: map[string]bool{m.self: true}}
	a.sequence = m.send(Packet{Kind: Ask, Term: term}, m.others()...)
	m.ask = a
	m.fx.probe(a.sequence, len(m.counted) == 2)
}

// onProbe ends an ask: the link has had its time, and so had the members.
func (m *machine) onProbe(now time.Time, sequence uint64, p Probe) {
	a := m.ask
	if m.state != Probing || a == nil || a.sequence != sequence {
		return
	}
	switch {
	case p.Err != nil:
		m.log.Warn("could not ask the link for the virtual ip", "error", p.Err)
		m.failClaim(now, Refused, m.t.maxBackoff)
		return
	case p.Owner != nil:
		m.answered(now, p.Owner)
		return
	case p.Rival != nil:
		// Members that know each other have votes. This is one that has not been
		// met yet, or a machine outside the cluster that is about to take it.
		if _, ok := m.memberMAC(p.Rival); !ok {
			m.endAsk(now, Contended)
			m.claims.pause(now, m.t.grace)
			return
		}
	}
	side := Side{Voters: len(m.counted), Gateway: p.Gateway, Refused: a.refused}
	for _, id := range m.counted {
		if a.granted[id] {
			side.Reached++
			side.Last = side.Last || id == m.last
		}
	}
	if ok, why := side.Quorum(); !ok {
		m.failClaim(now, why, m.t.minBackoff)
		return
	}
	_, why := Winner(m.seen(), Standing{Voters: m.counted, Last: m.last, Gateway: p.Gateway})
	m.take(now, a.term, "", why)
}

// answered ends an ask that somebody on the link objected to. A member that
// hangs answers through its kernel until its lease has run out.
func (m *machine) answered(now time.Time, owner net.HardwareAddr) {
	if id, ok := m.memberMAC(owner); ok {
		m.log.Info("a silent member still has the virtual ip", "member", id, "mac", owner.String())
		m.endAsk(now, StillAnswered)
		m.claims.pause(now, m.t.retry)
		return
	}
	m.log.Warn("refused to take the virtual ip: a machine outside the cluster has it", "mac", owner.String())
	m.failClaim(now, ForeignOwner, m.t.maxBackoff)
}

// failClaim waits before the next try, longer each time up to most.
func (m *machine) failClaim(now time.Time, why Reason, most time.Duration) {
	m.endAsk(now, why)
	m.claims.push(now, m.t.minBackoff/4, most)
	// Members that met in their claims do not meet again.
	m.claims.until = m.claims.until.Add(time.Duration(m.rank()) * m.t.step)
}

// dropAsk ends an ask because somebody else holds the address.
func (m *machine) dropAsk(now time.Time) {
	if m.state == Probing {
		m.endAsk(now, Holds)
	}
}

// endAsk takes back the vote of this node for itself too.
func (m *machine) endAsk(now time.Time, why Reason) {
	m.ask = nil
	if m.vote.to == m.self {
		m.vote.to, m.vote.at = "", time.Time{}
	}
	m.enter(now, Idle, why)
}

// take makes this node the holder in a term.
func (m *machine) take(now time.Time, term uint64, from string, why Reason) {
	asked := now
	if m.ask != nil {
		asked = m.ask.at // the votes are as old as this
	}
	m.ask = nil
	m.steer(now, term) // before the kernel could reset anything
	if err := m.fx.hold(from); err != nil {
		m.steer(now, m.heldTerm())
		m.log.Error("could not take the virtual ip", "error", err)
		m.failClaim(now, Refused, m.t.maxBackoff)
		return
	}
	m.term, m.holder, m.last, m.heard = term, m.self, m.self, now
	m.Transitions++
	if l := m.lingering; l != nil { // hold has ended it
		m.lingering = nil
		for _, done := range l.done {
			done(nil)
		}
	}
	m.enter(now, Announcing, why)
	m.holding = holding{acked: map[string]time.Time{}, grace: asked, renewed: now, renewAt: now.Add(m.t.renew)}
	m.log.Info("took the virtual ip", "term", term, "reason", why.String(), "from", from)
	m.beat(now)
	m.announceNow(now)
}
