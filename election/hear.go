package election

import "time"

// replayTime is how long a member's last sequence is remembered. A member whose
// clock was set back at a restart is heard again after it.
const replayTime = 10 * time.Second

// onPacket handles a packet whose authentication was right. It reports whether
// the packet was new.
func (m *machine) onPacket(now time.Time, p Packet) bool {
	if p.Sender == m.self {
		return false
	}
	c := m.peers[p.Sender]
	switch {
	case c == nil:
		c = &contact{}
		m.peers[p.Sender] = c
	case p.Sequence <= c.sequence && now.Sub(c.heard) < replayTime:
		return false
	}
	c.sequence, c.heard = p.Sequence, now
	if p.MAC != [6]byte{} {
		c.mac = p.MAC
	}
	c.forwards = p.Forwards
	switch p.Kind {
	case Beat:
		m.onBeat(now, p)
	case Ack:
		m.onAck(p)
	case Stale:
		m.onStale(now, p)
	case Ask:
		m.onAsk(now, p)
	case Grant:
		m.onGrant(now, p)
	case Refusal:
		m.onRefusal(p)
	case Release:
		m.onRelease(now, p)
	case Offer:
		m.onOffer(now, p)
	case Linger:
		m.onLinger(now, p)
	case Waive:
		if m.vote.to == p.Sender && m.vote.term == p.Term {
			m.takeBackVote()
		}
	}
	return true
}

// precedes reports whether holding in one term goes before holding in another;
// in the same term the lower ID does.
func precedes(term uint64, id string, over uint64, other string) bool {
	return term > over || term == over && (other == "" || id <= other)
}

func (m *machine) onBeat(now time.Time, p Packet) {
	if !precedes(p.Term, p.Sender, m.term, m.holder) {
		m.send(Packet{Kind: Stale, Term: m.term, Echo: p.Sequence, Subject: m.holder}, p.Sender)
		return
	}
	if m.state.Holds() {
		// One of two that hears nobody may be deaf and of no use. If it does hear
		// this answer, its next beat says so.
		if p.Alone && len(m.counted) <= 2 {
			m.send(Packet{Kind: Ack, Term: p.Term, Echo: p.Sequence}, p.Sender)
			return
		}
		m.withdraw(now, p.Sender)
	}
	m.dropAsk(now)
	m.peers[p.Sender].lingers = 0
	m.follow(now, p.Term, p.Sender)
	m.send(Packet{Kind: Ack, Term: p.Term, Echo: p.Sequence}, p.Sender)
}

// follow takes note of a holder.
func (m *machine) follow(now time.Time, term uint64, holder string) {
	m.term, m.holder, m.last, m.heard = term, holder, holder, now
	m.tries.clear()
	if m.state == Idle {
		m.reason = Holds
	}
}

func (m *machine) onAck(p Packet) {
	h := &m.holding
	beat := h.sent[p.Echo%uint64(len(h.sent))]
	if m.state.Holds() && p.Term == m.term && beat.sequence == p.Echo && beat.at.After(h.acked[p.Sender]) {
		h.acked[p.Sender] = beat.at
	}
}

// onStale is told of a holder that goes before this node.
func (m *machine) onStale(now time.Time, p Packet) {
	if p.Term < m.term {
		return
	}
	if m.state.Holds() {
		if p.Term == m.term && (p.Subject == "" || p.Subject >= m.self) {
			return
		}
		m.withdraw(now, p.Subject)
	}
	m.dropAsk(now)
	switch {
	case p.Subject == m.self: // in an earlier run, of which this one knows nothing
		m.term = p.Term
	case p.Term > m.term:
		m.term, m.holder, m.heard, m.vacated = p.Term, p.Subject, now, now
	}
}

// onAsk gives the vote of this node, to at most one candidate at a time.
func (m *machine) onAsk(now time.Time, p Packet) {
	if m.view.ByID(p.Sender) == nil {
		return
	}
	answer := Packet{Kind: Grant, Term: p.Term, Echo: p.Sequence}
	switch {
	case m.occupied(now) && m.holder != p.Sender:
		answer = Packet{Kind: Refusal, Term: m.term, Echo: p.Sequence, Subject: m.holder}
	case p.Term <= m.term:
		answer = Packet{Kind: Stale, Term: m.term, Echo: p.Sequence, Subject: m.holder}
	case m.vote.to != "" && m.vote.to != p.Sender && now.Sub(m.vote.at) < m.t.hold: // who has it may hold by now
		answer = Packet{Kind: Refusal, Term: m.vote.term, Echo: p.Sequence, Subject: m.vote.to}
	default:
		m.vote = ballot{p.Term, p.Sender, now}
	}
	m.send(answer, p.Sender)
}

// onRelease is told that a member let go of the address.
func (m *machine) onRelease(now time.Time, p Packet) {
	if m.state.Holds() && p.Sender != m.self {
		m.announceNow(now) // the link may have learnt the loser's interface
		return
	}
	if p.Sender == m.holder && p.Term >= m.term {
		m.holder, m.vacated = "", now
	}
}

// onOffer takes the address over from its holder: no vote is needed, the holder
// has them.
func (m *machine) onOffer(now time.Time, p Packet) {
	if m.state.Holds() || !precedes(p.Term, p.Sender, m.term, m.holder) {
		return
	}
	m.dropAsk(now)
	m.follow(now, p.Term, p.Sender)
	if p.Subject == m.self && m.willing() && m.link {
		if p.Stays {
			m.onLinger(now, p)
		}
		m.take(now, p.Term+1, p.Sender, HandedOver)
	}
}
