package election

import (
	"errors"
	"fmt"
	"time"
)

// Why a hand-over did not take place.
var (
	ErrNotHolder   = errors.New("this node does not hold the virtual IP")
	ErrNoSuccessor = errors.New("no other member is willing to take the virtual IP")
	ErrNotTaken    = errors.New("did not take the virtual IP in time")
)

// move hands the address to a member, or to the first willing one if id is
// empty; done is called once with how it went.
func (m *machine) move(now time.Time, id string, done func(error)) {
	switch {
	case id == m.self && m.state.Holds():
		done(nil)
	case !m.state.Holds():
		done(ErrNotHolder)
	case m.yield != nil && (id == "" || id == m.yield.to):
		m.yield.done = append(m.yield.done, done)
	case m.yield != nil:
		done(fmt.Errorf("the virtual IP is being handed to %s already", m.name(m.yield.to)))
	default:
		to, err := m.successor(id, nil)
		if err != nil {
			done(err)
			return
		}
		m.offer(now, &yielding{to: to, done: []func(error){done}})
	}
}

// leaveWhenFree hands the address to the first willing member, as soon as that
// cuts nothing.
func (m *machine) leaveWhenFree(now time.Time, done func(error)) {
	if m.state.Holds() && m.yield == nil && m.mustWait(now) {
		m.holding.waiting = append(m.holding.waiting, done)
		m.holding.offerAt = now.Add(countEvery)
		return
	}
	m.move(now, "", done)
}

// successor checks a wanted successor, or finds one that was not tried yet; one
// that does not cut connections if there is any.
func (m *machine) successor(id string, tried map[string]bool) (string, error) {
	var first string
	for _, p := range Ranking(m.view) {
		if p.ID == m.self || tried[p.ID] || id != "" && id != p.ID {
			continue
		}
		if m.keeps(p.ID) {
			return p.ID, nil
		}
		if first == "" {
			first = p.ID
		}
	}
	if first != "" {
		return first, nil
	}
	if id != "" {
		return "", fmt.Errorf("%s is not willing to take the virtual IP: it must be alive and its priority not 0", m.name(id))
	}
	return "", ErrNoSuccessor
}

func (m *machine) name(id string) string {
	if p := m.view.ByID(id); p != nil {
		return p.Name
	}
	return id
}

func (m *machine) offer(now time.Time, y *yielding) {
	y.deadline = now.Add(m.t.handover)
	m.yield = y
	m.state, m.since = Yielding, now
	m.log.Info("handing over the virtual ip", "to", m.name(y.to), "term", m.term)
	m.sendOffer()
}

func (m *machine) sendOffer() {
	to := m.yield.to
	m.send(Packet{Kind: Offer, Term: m.term, Subject: to, Stays: m.keeps(to)}, m.others()...)
}

// tickYield begins the hand-over of a node that drains or stops, repeats an
// offer that may have been lost, and ends one that was not taken.
func (m *machine) tickYield(now time.Time) {
	leaving := m.stop || m.draining() || m.holding.waiting != nil
	if !leaving {
		m.holding.leaving, m.holding.waits = time.Time{}, false
	}
	switch y := m.yield; {
	case y == nil && leaving && !now.Before(m.holding.offerAt):
		if m.mustWait(now) {
			m.holding.offerAt = now.Add(countEvery)
			return
		}
		y = &yielding{done: m.holding.waiting}
		m.holding.waiting = nil
		m.leaveTo(now, y)
	case y != nil && now.Before(y.deadline):
		m.sendOffer()
	case y != nil && leaving:
		tried := map[string]bool{y.to: true}
		for id := range y.tried {
			tried[id] = true
		}
		m.leaveTo(now, &yielding{tried: tried, done: y.done})
	case y != nil:
		m.yield = nil
		m.state, m.since = Holding, now
		y.finish(fmt.Errorf("%s %w", m.name(y.to), ErrNotTaken))
	}
}

// leaveTo offers the address to the next member. With nobody left a node that
// stops gives it up, one that drains keeps it and tries again later.
func (m *machine) leaveTo(now time.Time, y *yielding) {
	to, err := m.successor("", y.tried)
	if err == nil {
		y.to = to
		m.offer(now, y)
		return
	}
	m.yield = nil
	if m.stop {
		m.giveUp(now, Stopped)
	} else {
		m.state, m.since = Holding, now
		m.holding.offerAt = now.Add(m.t.announce)
	}
	y.finish(err)
}

// verdict is what those who wait for a hand-over are told when this node has
// ceased to hold the address.
func (y *yielding) verdict(why Reason) error {
	if why == HandedOver {
		return nil
	}
	return fmt.Errorf("the virtual IP was given up meanwhile: %v", why)
}

func (y *yielding) finish(err error) {
	for _, done := range y.done {
		done(err)
	}
}
