// Package tunnel carries CONNECT and Upgrade: once the answer is given, bytes
// move both ways until both sides are done. It decides nothing about who may
// open a tunnel where, and looks at none of the bytes.
package tunnel

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/elazarl/goproxy"

	"github.com/cachenode/cachenode/internal/lazyctx"
	"github.com/cachenode/cachenode/internal/relay"
	"github.com/cachenode/cachenode/proxy/upstream"
)

// Deps are what tunnels need from others.
type Deps struct {
	// Dial opens the far side of a CONNECT; upstream.Client.Dial fits.
	Dial func(ctx context.Context, hostport string) (net.Conn, upstream.Route, error)
	// RoundTrip sends a request that asks for an upgrade; upstream.Client.Do fits.
	RoundTrip func(req *http.Request, interim func(code int, h http.Header)) (*http.Response, upstream.Route, error)
	// Head may add to the head of an upgrade's answer, such as Via; nil adds nothing.
	Head func(h http.Header)
	Log  *slog.Logger // nil discards
}

// Outcome is what became of one tunnel.
type Outcome struct {
	Route    upstream.Route
	Status   int   // what the client was answered; 0 when nothing was sent
	BytesIn  int64 // from the client behind its request's head
	BytesOut int64 // to the client, the answer's head included
	Duration time.Duration
	TimedOut bool // ended by the idle limit or the lifetime
	Aborted  bool // ended by a reset, an error or Shutdown
	Cut      bool // ended by Shutdown: neither side wanted it
}

// Tunnels are the open tunnels of one proxy; safe for concurrent use.
type Tunnels struct {
	opts    Options
	deps    Deps
	carrier *goproxy.ProxyHttpServer
	limits  relay.Options
	yes     []byte // established

	mu      sync.Mutex // guards what follows
	open    map[*session]struct{}
	closing bool
	stats   Stats
	ended   sync.WaitGroup // one for each member of open
}

// New checks o.
func New(o Options, d Deps) (*Tunnels, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	if d.Head == nil {
		d.Head = func(http.Header) {}
	}
	return &Tunnels{
		opts: o, deps: d, carrier: newCarrier(d.Log), limits: o.relay(), yes: []byte(established),
		open: make(map[*session]struct{}),
	}, nil
}

const established = "HTTP/1.1 200 Connection established\r\n\r\n"

// ServeConnect answers an allowed CONNECT to r.Host and returns when its
// tunnel has ended. With an error (an *upstream.Error) and Outcome.Status 0
// nothing was sent, and the caller answers.
func (t *Tunnels) ServeConnect(w http.ResponseWriter, r *http.Request) (Outcome, error) {
	ctx := lazyctx.WithCancel(r.Context()) // once connected, the bytes tell when the client leaves
	s, err := t.begin(ctx, ctx.Cancel, r, r.Host)
	if err != nil {
		return Outcome{}, err
	}
	defer t.end(s)
	far, route, err := t.deps.Dial(ctx, r.Host)
	s.out.Route = route
	if err != nil {
		return s.out, s.classify(err)
	}
	s.far, s.answer, s.status = far, t.yes, http.StatusOK
	return t.carry(w, r, s)
}

// carry lets goproxy take the client's connection over, and moves bytes until
// both sides are done.
func (t *Tunnels) carry(w http.ResponseWriter, r *http.Request, s *session) (Outcome, error) {
	s.from = giver{ResponseWriter: w, given: taken{by: s}}
	t.carrier.ServeHTTP(&s.from, connectShaped(r))
	if s.relay == nil {
		_ = s.far.Close()
		return s.out, &upstream.Error{
			Page: "ERR_CANNOT_FORWARD", Status: http.StatusInternalServerError, Type: "proxy_internal_error",
			Err: errors.Join(errNoHijack, s.from.err),
		}
	}
	s.out.Duration = time.Since(s.since)
	return s.out, nil
}

var errNoHijack = errors.New("the client's connection cannot be taken over")

// run is called with the client's connection.
func (s *session) run(client net.Conn) {
	o := *s.limits
	o.Answer = s.answer
	r := relay.New(client, s.far, o)
	s.mu.Lock()
	s.relay = r
	cut := s.cut
	s.mu.Unlock()
	if cut {
		r.CutOff()
	}
	s.out.Status = s.status
	v := r.Run()
	s.out.BytesIn, s.out.BytesOut = r.Moved()
	s.out.BytesOut += int64(r.Answered())
	s.out.TimedOut, s.out.Aborted, s.out.Cut = v.TimedOut, v.Aborted, v.Cut
}

// Shutdown refuses new tunnels, waits for the open ones until ctx ends, then
// closes those that are left and returns ctx's error.
func (t *Tunnels) Shutdown(ctx context.Context) error {
	t.mu.Lock()
	t.closing = true
	t.mu.Unlock()
	idle := make(chan struct{})
	go func() {
		t.ended.Wait()
		close(idle)
	}()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
	}
	t.Cut()
	<-idle
	return ctx.Err()
}

// Cut ends the tunnels that are open, and those that are about to be. It does not
// wait for them, and new ones are carried as before.
func (t *Tunnels) Cut() {
	for _, s := range t.all() {
		s.cutOff()
	}
}

// closeQuietly is for what is given up.
func closeQuietly(c io.Closer) { _ = c.Close() }
