package http1

import "time"

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
