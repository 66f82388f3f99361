package election

import (
	"slices"
	"time"

	"github.com/cachenode/cachenode/peer"
)

// ask is a claim that is being prepared. The members are asked again and again
// until they have voted: a datagram gets lost, a machine is busy, and one has heard
// the last holder a moment later than this node.
type ask struct {
	term    uint64
	at      time.Time         // when it began
	sent    []sentBeat        // each time the members were asked, the first first
	probed  time.Time         // when the link was asked last
	votes   map[string]vote   // of the others
	refused map[string]string // who has refused, and whom it named
}

// vote is one that another member gave to this node.
type vote struct {
	since time.Time // when it came
	asked time.Time // when the latest packet was sent that it answered
}

// sequence tells the ask, and its probes, from others.
func (a *ask) sequence() uint64 { return a.sent[0].sequence }

// askedAt is when the packet was sent that an answer names.
func (a *ask) askedAt(echo uint64) (at time.Time, ok bool) {
	i := slices.IndexFunc(a.sent, func(s sentBeat) bool { return s.sequence == echo })
	if i < 0 {
		return at, false
	}
	return a.sent[i].at, true
}

// given are the votes, by when they were asked for; those who gave them need not
// have answered a heartbeat yet.
func (a *ask) given() map[string]time.Time {
	at := map[string]time.Time{}
	for id, v := range a.votes {
		at[id] = v.asked
	}
	return at
}

// startAsk asks the members and the link at the same time.
func (m *machine) startAsk(now time.Time) {
	m.enter(now, Probing, m.reason)
	m.ask = &ask{term: max(m.term, m.vote.term) + 1, at: now, votes: map[string]vote{}, refused: map[string]string{}}
	m.askMembers(now)
	m.probe(now, m.t.probe)
}

// askMembers asks for votes, and to have those prolonged that were given.
func (m *machine) askMembers(now time.Time) {
	a := m.ask
	m.vote = ballot{a.term, m.self, now}
	a.sent = append(a.sent, sentBeat{m.send(Packet{Kind: Ask, Term: a.term}, m.others()...), now})
}

// probe asks the link for a while.
func (m *machine) probe(now time.Time, d time.Duration) {
	m.ask.probed = now
	m.fx.probe(m.ask.sequence(), len(m.counted) == 2, d)
}

func (m *machine) onGrant(now time.Time, p Packet) {
	if m.ask == nil {
		return
	}
	at, ok := m.ask.askedAt(p.Echo)
	if !ok {
		return
	}
	v := m.ask.votes[p.Sender]
	if at.Sub(v.asked) >= m.t.hold { // the one before has run out, or there was none
		v.since = now
	}
	v.asked = at
	m.ask.votes[p.Sender] = v
	delete(m.ask.refused, p.Sender)
}

func (m *machine) onRefusal(p Packet) {
	if m.ask == nil {
		return
	}
	if _, ok := m.ask.askedAt(p.Echo); ok {
		delete(m.ask.votes, p.Sender)
		m.ask.refused[p.Sender] = p.Subject
	}
}

// tickProbing does what is due while this node asks.
func (m *machine) tickProbing(now time.Time) {
	switch {
	case now.Sub(m.ask.probed) > 10*m.t.probe:
		m.failClaim(now, Refused, m.t.minBackoff) // the link did not even time out
	case now.Before(m.askAgain()):
	case m.outranked(now):
		m.giveWay(now)
	default:
		m.askMembers(now)
	}
}

func (m *machine) askAgain() time.Time { return m.ask.sent[len(m.ask.sent)-1].at.Add(m.t.again) }

func (m *machine) probingDue() time.Time {
	due := m.ask.probed.Add(11 * m.t.probe)
	if again := m.askAgain(); again.Before(due) {
		return again
	}
	return due
}

// outranked reports whether votes are lacking because another candidate has them
// that goes before this one. Of two it is the other that gives way. Those asked once
// may not have heard yet that a candidate before has given up.
func (m *machine) outranked(now time.Time) bool {
	if at, _ := m.quorumFrom(now, GatewayNone); !at.IsZero() || len(m.ask.sent) < 2 {
		return false
	}
	ahead := Ranking(m.seen())[:m.rank()]
	for _, to := range m.ask.refused {
		if to != m.holder && slices.ContainsFunc(ahead, func(p peer.Member) bool { return p.ID == to }) {
			return true
		}
	}
	return false
}

// persists reports whether an ask without a quorum goes on: as long as the votes
// of another candidate last, if gossip says that there could be one. A node that
// nobody answers may be deaf, and must not take the votes of others for long.
func (m *machine) persists(now time.Time, possible bool) bool {
	a := m.ask
	patience := m.t.hold + m.t.ripe
	if len(a.votes)+len(a.refused) == 0 {
		patience = 2 * m.t.probe
	}
	return possible && now.Sub(a.at) < patience
}

// quorumFrom is from when on the votes that were given are enough; zero: they are
// not, and what they lack. A vote counts some time after it was given: the holder
// before may have had the word of its giver until a moment before that.
func (m *machine) quorumFrom(now time.Time, g Gateway) (from time.Time, lack Reason) {
	times := []time.Time{now}
	for _, v := range m.ask.votes {
		if ripe := v.since.Add(m.t.ripe); ripe.After(now) {
			times = append(times, ripe)
		}
	}
	slices.SortFunc(times, time.Time.Compare)
	for _, at := range times {
		var ok bool
		if ok, lack = m.sideAt(now, at, g).Quorum(); ok {
			return at, Unknown
		}
	}
	return time.Time{}, lack
}

// sideAt are those whose votes count at a time, as far as is known now.
func (m *machine) sideAt(now, at time.Time, g Gateway) Side {
	a := m.ask
	side := Side{Voters: len(m.counted), Gateway: g, Refused: len(a.refused) > 0}
	for _, id := range m.counted {
		v, given := a.votes[id]
		if id == m.self || given && now.Sub(v.asked) < m.t.hold && !v.since.Add(m.t.ripe).After(at) {
			side.Reached++
			side.Last = side.Last || id == m.last
		}
	}
	return side
}
