// Package http1 speaks HTTP/1.1 on the wire (RFC 9112): a strict parser, the
// server's connection loop, and what both sides share. It knows nothing of
// caching, of access rules, and of where a request goes.
package http1

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cachenode/cachenode/internal/shortage"
)

// Handler is what a Server hands requests to.
type Handler interface {
	// Short may answer a request on the short lane, before anything is
	// allocated for it. It returns false, with nothing sent, to have the request
	// go the long way. It is asked only for requests without a body, without
	// Upgrade and without Expect, and not for CONNECT.
	Short(c *Conn, r *Request) bool
	// ServeHTTP answers the long way. w has the optional methods of net/http's
	// (Flush, Hijack, ReadFrom, deadlines, full duplex), a method Conn() *Conn,
	// and TakeOver() (net.Conn, []byte, error), which is Hijack without buffers:
	// it returns what has arrived behind the request. http.ErrAbortHandler cuts
	// the connection.
	http.Handler
	// Refuse answers what is no acceptable request: it writes one whole
	// response with c.Send, and logs it. The connection is closed behind it.
	Refuse(c *Conn, f *Fault)
}

// Deps are what a Server works with.
type Deps struct {
	Handler Handler
	Log     *slog.Logger // nil discards
	// TurnedAway is the whole response for connections that are not even read;
	// empty: they are closed without one.
	TurnedAway []byte
	Clock      func() time.Time // what Date says; nil: time.Now
	// Front reports whether connections from an address, besides those of
	// Options.ProxyProtocolFrom, may begin with a PROXY protocol header. Nil: no
	// others.
	Front func(netip.Addr) bool
}

// Server serves clients' connections.
type Server struct {
	opts   Options
	deps   Deps
	lim    limits
	fronts []netip.Prefix // of ProxyProtocolFrom
	stats  counters
	date   dateCache

	stopping  atomic.Bool // Shutdown or Close was called
	draining  atomic.Bool
	leaving   atomic.Pointer[[]netip.Addr] // balancers that drain; nil: none
	drainIdle time.Duration                // drainIdle, shorter in tests
	halfTime  time.Duration                // halfTime, shorter in tests
	bodyTime  time.Duration                // bodyTime, shorter in tests

	mu        sync.Mutex // guards what follows
	conns     map[*Conn]struct{}
	clients   map[clientKey]int // connections of each, if there is a limit
	listeners map[net.Listener]struct{}
	last      uint64 // id
	tunnels   int64
	closed    bool          // Close was called: nothing more is taken
	changed   chan struct{} // closed when a connection has ended or become a tunnel; nil: nobody waits
}

// New checks o and returns a Server that has nothing to serve yet.
func New(o Options, d Deps) (*Server, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	fronts, err := o.fronts()
	if err != nil {
		return nil, err
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	if d.Clock == nil {
		d.Clock = time.Now
	}
	return &Server{
		opts: o, deps: d, fronts: fronts, drainIdle: drainIdle, halfTime: halfTime, bodyTime: bodyTime,
		lim:   limits{head: int(o.MaxHead), uri: int(o.MaxURI), fields: o.MaxFields},
		conns: map[*Conn]struct{}{}, clients: map[clientKey]int{}, listeners: map[net.Listener]struct{}{},
	}, nil
}

// Serve accepts connections until Shutdown or Close, which make it return
// http.ErrServerClosed. It closes ln.
func (s *Server) Serve(ln net.Listener) error {
	defer ln.Close()
	if !s.listening(ln) {
		return http.ErrServerClosed
	}
	defer s.forget(ln)
	var short shortage.Pace
	for {
		nc, err := ln.Accept()
		switch {
		case err == nil:
			short.Over()
			s.admit(nc)
		case s.stopping.Load():
			return http.ErrServerClosed
		case !shortage.Passing(err):
			return err
		default: // out of descriptors, most likely
			if short.News() {
				s.deps.Log.Warn("connections cannot be accepted for now", "error", err)
			}
			time.Sleep(short.Next())
		}
	}
}

// Take serves a connection that was accepted elsewhere, as Serve serves its own,
// and returns when it has ended, with the bytes that it read and wrote; a tunnel
// counts its own.
func (s *Server) Take(nc net.Conn) (in, out int64) {
	if s.stopping.Load() {
		_ = nc.Close() // there is nobody to tell
		return 0, 0
	}
	c := newConn(s, nc)
	if !s.register(c) {
		s.turnAway(nc)
		return 0, 0
	}
	s.stats.accepted.Add(1)
	c.serve()
	return c.in.Load(), c.out.Load()
}

func (s *Server) listening(ln net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping.Load() {
		return false
	}
	s.listeners[ln] = struct{}{}
	return true
}

func (s *Server) forget(ln net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, ln)
}

// Shutdown stops accepting, closes idle connections, makes the others end
// behind the request they are at, and waits for them until ctx ends, whose
// error it then returns. Connections that a handler has taken over are not
// waited for.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stop()
	for _, c := range s.all() {
		c.wake()
	}
	return s.await(ctx, func() bool { return int64(len(s.conns)) == s.tunnels })
}

// Close stops accepting and cuts every connection but those that a handler has
// taken over. It does not wait for handlers; Wait does.
func (s *Server) Close() error {
	s.stop()
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	for _, c := range s.all() {
		if c.State() != StateTunnel {
			c.cut()
		}
	}
	return nil
}

// Wait returns when no connection's goroutine runs any more, or with ctx's error.
func (s *Server) Wait(ctx context.Context) error {
	return s.await(ctx, func() bool { return len(s.conns) == 0 })
}

func (s *Server) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping.Store(true)
	for ln := range s.listeners {
		_ = ln.Close() // Serve sees that
	}
}

// await waits until done, which is called with mu held.
func (s *Server) await(ctx context.Context, done func() bool) error {
	for {
		s.mu.Lock()
		if done() {
			s.mu.Unlock()
			return nil
		}
		if s.changed == nil {
			s.changed = make(chan struct{})
		}
		changed := s.changed
		s.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// dateCache is the Date of this second.
type dateCache struct{ at atomic.Pointer[date] }

type date struct {
	unix int64
	text string
}

func (d *dateCache) text(now time.Time) string {
	known := d.at.Load()
	if known == nil || known.unix != now.Unix() {
		known = &date{now.Unix(), now.UTC().Format(http.TimeFormat)}
		d.at.Store(known)
	}
	return known.text
}
