package http1

import (
	"net/netip"
	"slices"
	"time"
)

// drainIdle is how long an idle connection may still bring a request once its
// server drains; the answer to that then says Connection: close.
const drainIdle = 5 * time.Second

// Drain makes every response say Connection: close, or no longer. Connections
// are accepted as before. Those that are idle, or become it, end after some
// seconds; one that has carried no request yet has the time it always has.
func (s *Server) Drain(on bool) {
	s.draining.Store(on)
	if !on {
		return
	}
	for _, c := range s.all() {
		c.hurry()
	}
}

// DrainFronts makes the connections that came through some balancers end as if
// the server drained, because those are about to stop. The list replaces the one
// before, and must not be changed.
func (s *Server) DrainFronts(list []netip.Addr) {
	if len(list) == 0 {
		s.leaving.Store(nil)
		return
	}
	s.leaving.Store(&list)
	var through []*Conn
	s.mu.Lock()
	for c := range s.conns {
		if slices.Contains(list, c.via) {
			through = append(through, c)
		}
	}
	s.mu.Unlock()
	for _, c := range through {
		c.hurry()
	}
}

// leaving reports whether the connection shall end behind the request that it is
// at, or soon if it is idle.
func (c *Conn) leaving() bool {
	if c.srv.Draining() {
		return true
	}
	fronts := c.srv.leaving.Load()
	return fronts != nil && c.via.IsValid() && slices.Contains(*fronts, c.via)
}

// Draining reports whether responses say Connection: close: for Drain, or for
// Shutdown.
func (s *Server) Draining() bool { return s.draining.Load() || s.stopping.Load() }

// Load returns how many connections there are, tunnels not counted, and tunnels.
// It is cheap.
func (s *Server) Load() (open, tunnels int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int64(len(s.conns)) - s.tunnels, s.tunnels
}

// Cut breaks every connection that there is but those that a handler has taken
// over, and goes on accepting.
func (s *Server) Cut() {
	for _, c := range s.all() {
		if c.State() != StateTunnel {
			c.cut()
		}
	}
}

// hurry has an idle connection end soon.
func (c *Conn) hurry() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.State() == StateIdle && c.requests.Load() > 0 {
		c.hurried.Store(true)
		_ = c.nc.SetReadDeadline(earlier(time.Now().Add(c.srv.drainIdle), c.userRead)) // fails only with the connection
	}
}

// cut ends the connection whatever it is doing; whoever is at it sees that. A
// response under way is broken off, so that nobody takes what was sent for the
// whole.
func (c *Conn) cut() {
	if s := c.State(); s == StateBody || s == StateResponse {
		c.wire.reset()
	}
	_ = c.nc.Close() // there is nobody to tell
}
