package election

import (
	"net"
	"slices"
	"time"
)

// holding is what a holder keeps.
type holding struct {
	acked   map[string]time.Time // when the latest beat was sent that a member answered
	sent    [16]sentBeat         // the latest beats
	grace   time.Time            // quorum counts from here at the earliest: taken, or woken
	woken   bool                 // slept since, and nobody has answered yet
	beatAt  time.Time
	renewed time.Time // when the lease was renewed last
	renewAt time.Time

	announceAt time.Time
	announced  time.Time // when the burst began
	repeats    int       // of the burst, done
	defended   time.Time
	offerAt    time.Time     // no offer before
	leaving    time.Time     // since when a hand-over has been wanted
	waits      bool          // it would cut connections
	waiting    []func(error) // those who wait with it
}

type sentBeat struct {
	sequence uint64
	at       time.Time
}

// yielding is a hand-over under way.
type yielding struct {
	to       string
	deadline time.Time
	tried    map[string]bool
	done     []func(error) // those who wait for it
}

// tickHolder does what is due while this node holds the address. The address
// stays only while a quorum answers: the lease is not renewed, and nothing is
// announced, on the strength of old answers.
func (m *machine) tickHolder(now time.Time) {
	h := &m.holding
	if h.woken && now.Sub(h.renewed) >= 8*m.t.renew {
		m.giveUp(now, HoldDown) // the address has expired, somebody may have it
		return
	}
	quorumAt := m.quorumAt(now)
	if now.Sub(quorumAt) > m.patience() {
		m.giveUp(now, NoQuorum)
		return
	}
	if h.woken && (quorumAt.After(h.grace) && quorumAt.Before(now) || now.Sub(h.grace) > m.t.hold && quorumAt.Equal(now)) {
		h.woken = false
	}
	if !h.woken {
		if !now.Before(h.renewAt) && !m.renew(now) {
			return
		}
		if !now.Before(h.announceAt) && m.yield == nil {
			m.repeatAnnouncement(now)
		}
	}
	// After the lease: a process that hangs as it sends must not renew when it wakes.
	if !now.Before(h.beatAt) {
		m.beat(now)
	}
	m.tickYield(now)
}

// patience is how long this node goes on holding without answers. After a pause
// it is longer: a machine that keeps one process from running keeps the others
// from answering. Nobody takes the address meanwhile, for this host answers the
// probes for it.
func (m *machine) patience() time.Duration {
	if m.holding.woken {
		return 4 * m.t.hold
	}
	return m.t.hold
}

func (m *machine) holderDue() time.Time {
	h := &m.holding
	due := h.beatAt
	if !h.woken && h.renewAt.Before(due) {
		due = h.renewAt
	}
	if !h.woken && m.yield == nil && h.announceAt.Before(due) {
		due = h.announceAt
	}
	if lost := m.quorumAt(due).Add(m.patience()); lost.Before(due) {
		due = lost.Add(time.Millisecond)
	}
	return due
}

// quorumAt is when the newest beats were sent that a quorum has answered; this
// node answers itself. Of an exact half the holder keeps the address.
func (m *machine) quorumAt(now time.Time) time.Time {
	need := (len(m.counted)+1)/2 - 1 // beside this node
	if need <= 0 {
		return now
	}
	var at []time.Time
	for _, id := range m.counted {
		if id != m.self {
			at = append(at, m.holding.acked[id])
		}
	}
	if len(at) < need {
		return now
	}
	slices.SortFunc(at, func(a, b time.Time) int { return b.Compare(a) })
	if quorum := at[need-1]; quorum.After(m.holding.grace) {
		return quorum
	}
	return m.holding.grace
}

func (m *machine) beat(now time.Time) {
	h := &m.holding
	alone := true
	for _, at := range h.acked {
		alone = alone && now.Sub(at) > m.t.hold
	}
	seq := m.send(Packet{Kind: Beat, Term: m.term, Alone: alone}, m.others()...)
	h.sent[seq%uint64(len(h.sent))] = sentBeat{seq, now}
	h.beatAt = now.Add(m.t.beat)
}

// renew renews the lease; false: the address is lost.
func (m *machine) renew(now time.Time) bool {
	h := &m.holding
	h.renewAt = now.Add(m.t.renew)
	err := m.fx.hold("")
	if err == nil {
		h.renewed = now
		return true
	}
	m.log.Warn("could not renew the virtual ip", "error", err)
	if now.Sub(h.renewed) < 8*m.t.renew {
		return true
	}
	m.giveUp(now, Refused)
	return false
}

// announceNow begins a burst of announcements.
func (m *machine) announceNow(now time.Time) {
	m.fx.announce()
	h := &m.holding
	h.announced, h.repeats = now, 0
	h.announceAt = now.Add(burst[0])
}

func (m *machine) repeatAnnouncement(now time.Time) {
	m.fx.announce()
	h := &m.holding
	if h.repeats++; h.repeats < len(burst) {
		h.announceAt = h.announced.Add(burst[h.repeats])
		return
	}
	h.announceAt = now.Add(m.t.announce)
	if m.state == Announcing {
		m.state = Holding
	}
}

// giveUp withdraws the address and tells the others.
func (m *machine) giveUp(now time.Time, why Reason) {
	m.fx.release("")
	m.log.Info("gave up the virtual ip", "term", m.term, "reason", why.String())
	m.send(Packet{Kind: Release, Term: m.term}, m.others()...)
	m.holder, m.vacated = "", now
	m.leave(now, why)
	m.claims.push(now, m.t.minBackoff, m.t.maxBackoff)
}

// withdraw lets go of the address because another member has it now.
func (m *machine) withdraw(now time.Time, to string) {
	planned := ""
	if m.yield != nil && m.yield.to == to {
		planned = to
	}
	if planned == "" || !m.linger(now, to) {
		m.fx.release(planned)
	}
	m.log.Info("left the virtual ip to another member", "to", to, "term", m.term)
	m.send(Packet{Kind: Release, Term: m.term}, m.others()...)
	why := HigherTerm
	if planned != "" {
		why = HandedOver
	}
	m.leave(now, why)
}

func (m *machine) leave(now time.Time, why Reason) {
	m.enter(now, Idle, why)
	y := m.yield
	if y == nil {
		y = &yielding{}
	}
	y.done = append(y.done, m.holding.waiting...)
	m.yield, m.holding.waiting = nil, nil
	y.finish(y.verdict(why))
}

// onConflict is told that another machine on the link claims the address.
func (m *machine) onConflict(now time.Time, mac net.HardwareAddr) {
	if !m.state.Holds() || m.state == Yielding || m.holding.woken || now.Sub(m.holding.defended) < m.t.announce {
		return
	}
	m.holding.defended = now
	if id, ok := m.memberMAC(mac); ok {
		m.log.Info("another member announces the virtual ip too", "member", id, "mac", mac.String())
	} else {
		m.log.Warn("a machine outside the cluster uses the virtual ip", "mac", mac.String())
	}
	m.announceNow(now)
}

// onLink is told that the interface lost its carrier, or has it again.
func (m *machine) onLink(now time.Time, up bool) {
	if m.link == up {
		return
	}
	m.link = up
	if up {
		m.settled = now.Add(m.t.grace)
		return
	}
	m.dropAsk(now)
	if m.state.Holds() {
		m.giveUp(now, CarrierLost)
		m.claims.clear()
	}
}
