package http1

import (
	"cmp"
	"net"
	"net/netip"
	"slices"
	"time"
)

// clientKey is who one client is: an address, or a network of IPv6, of which
// one client has as many addresses as it likes.
type clientKey netip.Prefix

func keyOf(a netip.Addr) clientKey {
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // the zero Prefix for what is no address
	return clientKey(p)
}

// admit starts serving a connection, unless there are far too many.
func (s *Server) admit(nc net.Conn) {
	c := newConn(s, nc)
	if !s.register(c) {
		s.turnAway(nc)
		return
	}
	s.stats.accepted.Add(1)
	go c.serve() // until its connection ends; await waits for it
}

// register enters c into the books. It returns false when the descriptors that
// others need would be taken.
func (s *Server) register(c *Conn) bool {
	front := s.fronted(c) // its clients are known later
	s.mu.Lock()
	defer s.mu.Unlock()
	limit, each := s.opts.MaxConnections, s.opts.MaxConnectionsPerClient
	if front {
		each = 0
	}
	key := keyOf(c.client.Addr())
	if s.closed || beyond(len(s.conns), limit) || each > 0 && beyond(s.clients[key], each) {
		return false
	}
	s.last++
	c.id = s.last
	s.conns[c] = struct{}{}
	if limit > 0 && int64(len(s.conns))-s.tunnels > int64(limit) {
		c.excess = manyConns
	}
	if each > 0 {
		s.count(c)
	}
	return true
}

// count counts c among the connections of its client; mu is held.
func (s *Server) count(c *Conn) {
	key := keyOf(c.client.Addr())
	c.counted = true
	if s.clients[key]++; s.clients[key] > s.opts.MaxConnectionsPerClient {
		c.excess = manyOfOne
	}
}

// fronted reports whether a balancer may be at the other end of c.
func (s *Server) fronted(c *Conn) bool {
	at := c.client.Addr()
	if s.deps.Front != nil && s.deps.Front(at) {
		return true
	}
	for _, p := range s.fronts {
		if p.Contains(at) {
			return true
		}
	}
	return false
}

// identify enters who is behind a balancer's connection.
func (s *Server) identify(c *Conn, client, local netip.AddrPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.via, c.client, c.local = c.client.Addr(), unmapped(client), unmapped(local)
	if s.opts.MaxConnectionsPerClient > 0 {
		s.count(c)
	}
}

// beyond reports half as many more than a limit, at which clients are no longer
// told why in their own words.
func beyond(n, limit int) bool { return limit > 0 && n >= limit+limit/2 }

func (s *Server) turnAway(nc net.Conn) {
	s.stats.turnedAway.Add(1)
	if len(s.deps.TurnedAway) > 0 {
		_ = nc.SetWriteDeadline(time.Now().Add(time.Second)) // a new connection's buffer takes it at once
		_, _ = nc.Write(s.deps.TurnedAway)
	}
	_ = nc.Close() // there is nobody to tell
}

// leave takes an ended connection out of the books.
func (s *Server) leave(c *Conn, tunnel bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.requests.Add(c.requests.Load())
	s.stats.short.Add(c.short.Load())
	delete(s.conns, c)
	if tunnel {
		s.tunnels--
	}
	if c.counted {
		key := keyOf(c.client.Addr())
		if s.clients[key]--; s.clients[key] <= 0 {
			delete(s.clients, key)
		}
	}
	s.changes()
}

// becomeTunnel notes that a handler has taken the connection over.
func (s *Server) becomeTunnel(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.state.Store(uint32(StateTunnel))
	s.tunnels++
	s.changes()
}

// changes tells those who wait; mu is held.
func (s *Server) changes() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// stillTooMany reports whether a connection that came when there were too many
// still has to be told so.
func (s *Server) stillTooMany(c *Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.excess == manyOfOne {
		return s.clients[keyOf(c.client.Addr())] > s.opts.MaxConnectionsPerClient
	}
	return int64(len(s.conns))-s.tunnels > int64(s.opts.MaxConnections)
}

func (s *Server) all() []*Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*Conn, 0, len(s.conns))
	for c := range s.conns {
		all = append(all, c)
	}
	return all
}

// Conns lists the connections, the oldest first.
func (s *Server) Conns() []ConnInfo {
	s.mu.Lock()
	list := make([]ConnInfo, 0, len(s.conns))
	for c := range s.conns {
		list = append(list, ConnInfo{
			ID: c.id, Client: c.client, Local: c.local, Since: c.since, State: c.State(),
			Requests: c.requests.Load(), BytesIn: c.in.Load(), BytesOut: c.out.Load(),
		})
	}
	s.mu.Unlock()
	slices.SortFunc(list, func(a, b ConnInfo) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// Stats returns a snapshot.
func (s *Server) Stats() Stats {
	t := Stats{
		Accepted: s.stats.accepted.Load(), TurnedAway: s.stats.turnedAway.Load(),
		Refused: s.stats.refusals(), IdleClosed: s.stats.idleClosed.Load(),
		BodySlow: s.stats.bodySlow.Load(), WriteStuck: s.stats.writeStuck.Load(), Panics: s.stats.panics.Load(),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t.Requests, t.Short = s.stats.requests.Load(), s.stats.short.Load()
	for c := range s.conns {
		t.Requests += c.requests.Load()
		t.Short += c.short.Load()
	}
	t.Tunnels = s.tunnels
	t.Open = int64(len(s.conns)) - s.tunnels
	return t
}
