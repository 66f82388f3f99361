package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// contactTime bounds one attempt to reach one address.
const contactTime = 2 * time.Second

// contact joins whoever is at an address, as the member of the cluster this
// node is in.
func (c *Cluster) contact(ctx context.Context, a netip.AddrPort) error {
	hello, cancel := context.WithTimeout(ctx, contactTime)
	defer cancel()
	if err := c.probe(hello, a, c.client); err != nil {
		return err
	}
	return c.stay.Load().join(a)
}

// probe says hello and judges the answer.
func (c *Cluster) probe(ctx context.Context, a netip.AddrPort, via http.RoundTripper) error {
	sent := time.Now()
	answer, err := c.greet(ctx, a, via)
	if err != nil {
		return dialFailure(a.String(), err)
	}
	return answer.judge(c.ownHello(), a, sent, time.Now())
}

// ownHello is what of our hello the judgement needs.
func (c *Cluster) ownHello() hello {
	c.mu.Lock()
	defer c.mu.Unlock()
	return hello{ID: c.id, Name: c.card.Name, ProtoMin: protoMin, ProtoMax: protoMax}
}

// Join takes this node, which must be alone in its cluster, into that of a
// token, by way of a member at addr, HOST[:PORT]. What is wrong is a *JoinError;
// then nothing has changed.
func (c *Cluster) Join(ctx context.Context, addr string, tok Token) (*View, error) {
	if err := c.running(ctx); err != nil {
		return nil, err
	}
	c.ops.Lock()
	defer c.ops.Unlock()
	was := c.Identity()
	if was.ID != tok.ID {
		if others := c.View().Others(); len(others) > 0 {
			return nil, &JoinError{Kind: JoinMember, Addr: addr, Detail: fmt.Sprintf("%q, with %d others", was.Name, len(others))}
		}
	}
	id := tok.Identity()
	if was.ID == id.ID {
		id.Created = was.Created
	}
	at, err := c.reach(ctx, addr, id)
	if err != nil {
		return nil, err
	}
	if was.ID == id.ID && was.Keys[0] == id.Keys[0] {
		return c.joinAt(at)
	}
	if err := c.move(id); err != nil {
		return nil, errors.Join(err, c.move(was))
	}
	v, err := c.joinAt(at)
	if err != nil {
		return nil, errors.Join(err, c.move(was))
	}
	c.log.Info("joined", "cluster", id.Name, "members", len(v.Members))
	return v, nil
}

// reach finds the address at which a member of cluster id answers, and lets us
// join.
func (c *Cluster) reach(ctx context.Context, addr string, id Identity) (netip.AddrPort, error) {
	lookUp, cancel := context.WithTimeout(ctx, resolveTime)
	addrs, err := ParseAddr(lookUp, addr)
	cancel()
	if err != nil {
		return netip.AddrPort{}, &JoinError{Kind: JoinUnreachable, Addr: addr, Err: err}
	}
	r, err := newRing(id)
	if err != nil {
		return netip.AddrPort{}, err
	}
	via := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
		to, err := netip.ParseAddrPort(addr)
		if err != nil {
			return nil, err
		}
		return c.wire.dial(ctx, to, r, protoCall)
	}}
	var last error
	for _, a := range addrs {
		if a == c.own {
			return a, &JoinError{Kind: JoinSelf, Addr: a.String()}
		}
		once, cancel := context.WithTimeout(ctx, handshakeTime)
		last = c.probe(once, a, via)
		cancel()
		if last == nil {
			return a, nil
		}
	}
	return netip.AddrPort{}, last
}

// joinAt exchanges states with a member and returns the membership after.
func (c *Cluster) joinAt(a netip.AddrPort) (v *View, err error) {
	if err := c.stay.Load().join(a); err != nil {
		return nil, &JoinError{Kind: JoinUnreachable, Addr: a.String(), Err: err}
	}
	if !c.do(func() { c.changed(); v = c.View() }) {
		return nil, errors.New("the node is stopping")
	}
	return v, nil
}

// move changes the cluster this node belongs to, for now and the next start. Of
// the members of the old one nothing is kept.
func (c *Cluster) move(id Identity) error {
	r, err := newRing(id)
	if err != nil {
		return err
	}
	if c.d.Dir != "" {
		if err := id.Save(c.d.Dir); err != nil {
			return fmt.Errorf("keep the cluster's identity: %w", err)
		}
	}
	c.stay.Load().stop()
	c.mu.Lock()
	c.identity = id
	me := c.card
	c.mu.Unlock()
	c.wire.ring.Store(r)
	c.client.CloseIdleConnections()
	s, err := c.startStay(id)
	if err != nil {
		return err
	}
	ok := c.do(func() {
		seq := c.roster.seq
		c.stay.Store(s)
		c.roster = newRoster(id.Name, c.id)
		c.roster.seq = seq
		c.roster.up(c.id, &me, c.own, time.Now())
		clear(c.trouble)
		c.drain()
		c.changed()
	})
	if !ok {
		s.stop()
	}
	return nil
}

// Check says hello to a member of the cluster of a token, on behalf of a node
// that does not run yet. What is wrong is a *JoinError.
func Check(ctx context.Context, addr string, tok Token, o Options, d Deps) error {
	c := &Cluster{o: o, d: d, log: d.Log, card: card{Name: d.Name, Meta: Meta{Version: d.Version}}}
	var err error
	if c.id, err = loadOrCreateNodeID(d.Dir); err != nil {
		return err
	}
	own, _ := netip.ParseAddr(o.Bind) // none: the system chooses
	c.wire = &wire{net: &sockets{addr: netip.AddrPortFrom(own, 0)}, sec: mutualTLS{}, log: d.Log}
	_, err = c.reach(ctx, addr, tok.Identity())
	return err
}
