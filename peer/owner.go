package peer

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"time"
)

const (
	rejoinEvery = 5 * time.Second
	lookEvery   = 500 * time.Millisecond
	// A look that comes so late means that this process was kept from running,
	// and that the others may think it dead.
	pauseLimit  = 2 * time.Second
	settleTime  = 3 * time.Second
	resolveTime = 2 * time.Second
	maxTries    = 32 // addresses that are tried at a time
)

// owner is what only the goroutine of keepRoster touches.
type owner struct {
	roster *roster
	tries  map[netip.AddrPort]bool // under way
	// trouble is why an address is not joined although somebody answers there.
	trouble map[netip.AddrPort]error
	first   int  // attempts of the first round that are not over
	met     bool // somebody has come since the last exchange with one of the members
}

func newOwner(cluster, self string) owner {
	return owner{roster: newRoster(cluster, self), tries: map[netip.AddrPort]bool{}, trouble: map[netip.AddrPort]error{}}
}

// keepRoster owns the roster until ctx ends: it takes what gossip says, publishes
// views and looks for those that are absent.
func (c *Cluster) keepRoster(ctx context.Context) {
	defer close(c.ended)
	look, rejoin := time.NewTicker(lookEvery), time.NewTicker(rejoinEvery)
	defer look.Stop()
	defer rejoin.Stop()
	settle := time.NewTimer(settleTime)
	defer settle.Stop()
	c.drain()
	c.lookFor(ctx)
	if c.first = len(c.tries); c.first == 0 {
		c.settle()
	}
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case f := <-c.asks:
			f()
		case <-c.stay.Load().events.signal:
			c.drain()
		case <-settle.C:
			c.settle()
		case <-rejoin.C:
			c.lookFor(ctx)
			c.compare()
			if c.roster.expire(time.Now()) {
				c.changed()
			}
		case <-look.C:
			now := time.Now()
			if now.Sub(last) > pauseLimit {
				c.log.Warn("this process was kept from running; asking the others anew", "for", now.Sub(last).Round(time.Millisecond))
				c.resync()
			}
			last = now
		}
	}
}

// do runs f in the goroutine that owns the roster, with everything gossip has
// said before taken in. It reports false when that has ended.
func (c *Cluster) do(f func()) bool {
	done := make(chan struct{})
	select {
	case c.asks <- func() { c.drain(); f(); close(done) }:
		<-done
		return true
	case <-c.ended:
		return false
	}
}

// drain takes in what gossip has said. Who meets a member need not wait for its
// own attempts, be it that the member was the one to come.
func (c *Cluster) drain() {
	list := c.stay.Load().events.take()
	now := time.Now()
	for i := range list {
		c.take(&list[i], now)
	}
	if len(list) == 0 {
		return
	}
	c.changed()
	if len(c.View().Others()) > 0 {
		c.settle()
	}
}

func (c *Cluster) take(ev *event, now time.Time) {
	switch ev.kind {
	case eventUp:
		card, err := parseCard(ev.meta)
		if err != nil { // of a version that we cannot read at all
			c.log.Debug("read what a member says of itself", "id", ev.id, "error", err)
		}
		c.met = c.met || !c.roster.isUp(ev.id)
		c.roster.up(ev.id, &card, ev.gossip, now)
		delete(c.trouble, ev.gossip)
	case eventDown:
		c.roster.down(ev.id, now)
		if m := c.roster.entries[ev.id]; m != nil && ev.id != c.id {
			c.log.Info("member is gone", "name", m.Name, "state", m.State.String(), "gossip", m.Gossip.String())
		}
	case eventMoved:
		if ev.id == c.id {
			c.log.Error("another node has this node's id: a copied data directory? delete the file id on one of them", "other", ev.gossip.String())
			return
		}
		c.roster.stray(ev.gossip) // it is tried there until the old address is found dead
	}
}

// changed publishes the roster and has it kept.
func (c *Cluster) changed() {
	c.publish(c.roster.view())
	select {
	case <-c.saves:
	default:
	}
	c.saves <- c.roster.known(c.Identity().ID) // there is room: only this fills it
}

func (c *Cluster) settle() {
	select {
	case <-c.settled:
	default:
		close(c.settled)
	}
}

// lookFor tries the addresses where somebody may be.
func (c *Cluster) lookFor(ctx context.Context) {
	for _, a := range c.roster.absent() {
		if c.tries[a] || len(c.tries) >= maxTries {
			continue
		}
		c.tries[a] = true
		c.aside.Go(func() {
			err := c.contact(ctx, a)
			c.do(func() { c.tried(a, err) })
		})
	}
}

// tried takes note of how an attempt went.
func (c *Cluster) tried(a netip.AddrPort, err error) {
	delete(c.tries, a)
	if c.first > 0 {
		c.first--
	}
	if err == nil || c.first == 0 {
		c.settle()
	}
	why := refusal(err)
	if old := c.trouble[a]; why != nil && (old == nil || old.Error() != why.Error()) {
		c.log.Error("cannot join a member", "address", a.String(), "error", why)
	}
	if delete(c.trouble, a); why != nil {
		c.trouble[a] = why
	}
}

// resync exchanges the whole state with the members that are up.
func (c *Cluster) resync() {
	s := c.stay.Load()
	for _, m := range c.View().Others() {
		c.aside.Go(func() { _ = s.join(m.Gossip) }) // who cannot be reached is found out by gossip
	}
}

// compare exchanges the whole state with one of the members when somebody has come:
// of nodes that come at the same time one may miss the news of another, which is
// told a few times only, and would wait for memberlist's own exchange.
func (c *Cluster) compare() {
	others := c.View().Others()
	if !c.met || len(others) == 0 {
		return
	}
	c.met = false
	s, one := c.stay.Load(), others[rand.IntN(len(others))].Gossip
	c.aside.Go(func() { _ = s.join(one) }) // who cannot be reached is found out by gossip
}

// Warnings says what keeps this node from members that it can reach.
func (c *Cluster) Warnings() (list []string) {
	c.do(func() {
		for a, err := range c.trouble {
			list = append(list, "not joined with "+a.String()+": "+err.Error())
		}
	})
	return list
}

// lookUpJoin finds the addresses of the configured members, again and again,
// for names may change their meaning.
func (c *Cluster) lookUpJoin(ctx context.Context) {
	for len(c.o.Join) > 0 {
		for _, s := range c.o.Join {
			lookUp, cancel := context.WithTimeout(ctx, resolveTime)
			addrs, err := ParseAddr(lookUp, s)
			cancel()
			if err != nil {
				c.log.Debug("look up a member to join", "error", err)
			}
			c.do(func() {
				for _, a := range addrs {
					c.roster.stray(a)
				}
			})
		}
		c.do(func() { c.lookFor(ctx) })
		sleep(ctx, time.Minute)
		if ctx.Err() != nil {
			return
		}
	}
}
