package election

import (
	"net"
	"time"
)

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
	limits := []time.Time{m.settled, m.claims.until, m.tries.until}
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

// onProbe judges an ask: the link has had its time, and so had the members.
func (m *machine) onProbe(now time.Time, sequence uint64, p Probe) {
	a := m.ask
	if m.state != Probing || a == nil || a.sequence() != sequence {
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
	winner, why := Winner(m.seen(), Standing{Voters: m.counted, Last: m.last, Gateway: p.Gateway})
	at, lack := m.quorumFrom(now, p.Gateway)
	switch {
	case at.IsZero() && m.persists(now, winner != ""):
		m.probe(now, m.t.probe/2)
	case at.IsZero():
		m.fail(now, lack)
	case at.After(now):
		m.probe(now, at.Sub(now))
	default:
		m.take(now, a.term, "", why)
	}
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

// failClaim waits before the next try, longer each time up to most: this machine
// cannot have the address.
func (m *machine) failClaim(now time.Time, why Reason, most time.Duration) {
	m.endAsk(now, why)
	m.claims.push(now, m.t.minBackoff/4, most)
	m.claims.until = m.claims.until.Add(m.apart())
}

// fail waits before the next try because votes were lacking, for a turn of another.
func (m *machine) fail(now time.Time, why Reason) {
	m.log.Debug("no quorum for the virtual ip", "reason", why.String(), "votes", len(m.ask.votes), "refusals", len(m.ask.refused))
	m.waive()
	m.endAsk(now, why)
	m.tries.push(now, m.t.hold+m.t.again, m.t.minBackoff)
	m.tries.until = m.tries.until.Add(m.apart())
}

// apart is by how much this node is later than others to try again, so that
// members that met in their claims do not meet again.
func (m *machine) apart() time.Duration { return time.Duration(m.rank()) * m.t.step }

// giveWay ends an ask in favour of a member that goes first.
func (m *machine) giveWay(now time.Time) {
	m.waive()
	m.endAsk(now, Contended)
	m.tries.pause(now, m.t.hold)
}

// waive lets the members give their votes to another at once.
func (m *machine) waive() { m.send(Packet{Kind: Waive, Term: m.ask.term}, m.others()...) }

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
		m.takeBackVote()
	}
	m.enter(now, Idle, why)
}

// takeBackVote has this node free to vote for another. The term stays: it has been
// asked for.
func (m *machine) takeBackVote() { m.vote.to, m.vote.at = "", time.Time{} }

// take makes this node the holder in a term.
func (m *machine) take(now time.Time, term uint64, from string, why Reason) {
	votes, asked := map[string]time.Time{}, now
	if a := m.ask; a != nil {
		votes, asked = a.given(), a.at
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
	m.tries.clear()
	m.enter(now, Announcing, why)
	m.holding = holding{acked: votes, grace: asked, renewed: now, renewAt: now.Add(m.t.renew)}
	m.log.Info("took the virtual ip", "term", term, "reason", why.String(), "from", from)
	m.beat(now)
	m.announceNow(now)
}
