package peer

import (
	"net/netip"
	"slices"
	"time"
)

// roster is the list of all nodes this one has met, and how they are. It is pure
// bookkeeping: one goroutine owns it, and it is told the time.
type roster struct {
	cluster string
	self    string
	seq     uint64
	entries map[string]*entry
	// strays are addresses where a member may be found: those of the
	// configuration and of a join, and those of members that moved.
	strays []netip.AddrPort
}

// entry is one node.
type entry struct {
	Member
	bye   farewell
	addrs []netip.AddrPort // of its gossip, the newest first
}

// farewell is what a member said about its going.
type farewell uint8

const (
	byeNone farewell = iota
	byeStop          // it stops, and will be back
	byeLeft          // it is no member any more
)

const (
	maxAddrs  = 4  // remembered for one member
	maxStrays = 64 // remembered in all
	// leftKept is how long a member that is gone for good is still listed.
	leftKept = 24 * time.Hour
)

func newRoster(cluster, self string) *roster {
	return &roster{cluster: cluster, self: self, entries: map[string]*entry{}}
}

// up takes note of a member that gossip says is there.
func (r *roster) up(id string, c *card, gossip netip.AddrPort, now time.Time) {
	e := r.entries[id]
	if e == nil {
		e = &entry{Member: Member{ID: id, Since: now}}
		r.entries[id] = e
	}
	state := Alive
	if c.State == Draining {
		state = Draining
	}
	if !e.State.Up() && c.State != Left {
		e.bye = byeNone
	}
	if e.State != state {
		e.State, e.Since = state, now
	}
	e.Name, e.Meta, e.Gossip = c.Name, c.Meta, gossip
	if e.Name == "" {
		e.Name = short(id)
	}
	if !e.Addr.IsValid() {
		e.Addr = gossip.Addr()
	}
	e.remember(gossip)
	r.supersede(e)
	r.strays = slices.DeleteFunc(r.strays, func(a netip.AddrPort) bool { return a == gossip })
}

// isUp reports whether a node is known and up.
func (r *roster) isUp(id string) bool {
	e := r.entries[id]
	return e != nil && e.State.Up()
}

func (e *entry) remember(a netip.AddrPort) {
	list := slices.DeleteFunc(e.addrs, func(b netip.AddrPort) bool { return a == b })
	list = slices.Insert(list, 0, a)
	e.addrs = list[:min(len(list), maxAddrs)]
}

// supersede forgets a dead namesake: the same machine, installed anew.
func (r *roster) supersede(e *entry) {
	for id, other := range r.entries {
		if id != e.ID && id != r.self && other.Name == e.Name && !other.State.Up() {
			delete(r.entries, id)
		}
	}
}

// down takes note of a member that gossip says is not there any more.
func (r *roster) down(id string, now time.Time) {
	e := r.entries[id]
	if e == nil || id == r.self {
		return
	}
	e.State, e.Since = Failed, now
	if e.bye != byeNone {
		e.State = Left
	}
}

// goodbye takes note of what a member says before it goes.
func (r *roster) goodbye(id string, bye farewell) {
	if e := r.entries[id]; e != nil && id != r.self {
		e.bye = bye
	}
}

// forget drops a member that is not up. It reports whether there was one.
func (r *roster) forget(id string) bool {
	e := r.entries[id]
	if e == nil || id == r.self || e.State.Up() {
		return false
	}
	delete(r.entries, id)
	r.strays = slices.DeleteFunc(r.strays, func(a netip.AddrPort) bool { return slices.Contains(e.addrs, a) })
	return true
}

// stray takes note of an address where a member may be found.
func (r *roster) stray(a netip.AddrPort) {
	if slices.Contains(r.strays, a) {
		return
	}
	r.strays = append(r.strays, a)
	r.strays = r.strays[max(0, len(r.strays)-maxStrays):]
}

// absent lists the addresses that should be tried: where nobody who is up is,
// but somebody has been or may be.
func (r *roster) absent() []netip.AddrPort {
	var list []netip.AddrPort
	here := map[netip.AddrPort]bool{}
	for _, e := range r.entries {
		if e.State.Up() {
			here[e.Gossip] = true
		}
	}
	add := func(addrs ...netip.AddrPort) {
		for _, a := range addrs {
			if !here[a] {
				here[a] = true
				list = append(list, a)
			}
		}
	}
	for _, e := range r.entries {
		if !e.State.Up() && e.bye != byeLeft {
			add(e.addrs...)
		}
	}
	add(r.strays...)
	return list
}

// expire drops what has been gone for good for long.
func (r *roster) expire(now time.Time) (changed bool) {
	for id, e := range r.entries {
		if e.State == Left && e.bye == byeLeft && now.Sub(e.Since) > leftKept {
			delete(r.entries, id)
			changed = true
		}
	}
	return changed
}

// view is the roster as of now.
func (r *roster) view() *View {
	r.seq++
	list := make([]Member, 0, len(r.entries))
	for _, e := range r.entries {
		m := e.Member
		m.Away = !m.State.Up() && e.bye != byeLeft
		list = append(list, m)
	}
	return newView(r.seq, r.cluster, r.self, list)
}
