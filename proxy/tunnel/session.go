package tunnel

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/cachenode/cachenode/internal/relay"
	"github.com/cachenode/cachenode/proxy/upstream"
)

// session is one tunnel from its request to its end.
type session struct {
	ctx    context.Context // until there is a tunnel; ended by Shutdown, and by a client that leaves
	cancel context.CancelCauseFunc
	client string
	target string
	since  time.Time

	limits *relay.Options

	from   giver    // of the client's connection
	far    net.Conn // the other side, once there is one
	answer []byte   // what the client is told before the bytes move
	status int
	out    Outcome

	mu    sync.Mutex // guards both below
	relay *relay.Relay
	cut   bool
}

// cutOff ends the session, whatever it is doing.
func (s *session) cutOff() {
	s.cancel(errShutdown)
	s.mu.Lock()
	s.cut = true
	r := s.relay
	s.mu.Unlock()
	if r != nil {
		r.CutOff()
	}
}

// Info is one open tunnel as the admin's list shows it.
type Info struct {
	Client   string // address and port
	Target   string // host:port, or the URL of an upgrade
	Since    time.Time
	BytesIn  int64 // from the client; lags behind by one step of the relay
	BytesOut int64 // to the client
}

// Stats counts tunnels since the start.
type Stats struct {
	Active   int
	Opened   int64 // requests that were not refused
	Refused  int64 // for max_tunnels, or while shutting down
	TimedOut int64
	Aborted  int64
	BytesIn  int64 // of ended tunnels
	BytesOut int64
}

// begin admits a tunnel, which is to end with ctx. The error is an *upstream.Error.
func (t *Tunnels) begin(ctx context.Context, cancel context.CancelCauseFunc, r *http.Request, target string) (*session, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closing:
		t.stats.Refused++
		return nil, errShutdown
	case t.opts.MaxTunnels > 0 && len(t.open) >= t.opts.MaxTunnels:
		t.stats.Refused++
		return nil, errTooMany
	default:
		s := &session{ctx: ctx, cancel: cancel, client: r.RemoteAddr, target: target, since: time.Now(), limits: &t.limits}
		t.open[s] = struct{}{}
		t.ended.Add(1)
		t.stats.Opened++
		return s, nil
	}
}

var (
	errShutdown = &upstream.Error{
		Page: "ERR_SHUTTING_DOWN", Status: http.StatusServiceUnavailable, Type: "proxy_internal_error",
		Err: errors.New("shutting down"),
	}
	errTooMany = &upstream.Error{
		Page: "ERR_CANNOT_FORWARD", Status: http.StatusServiceUnavailable, Type: "connection_limit_reached",
		Err: errors.New("max_tunnels are open"),
	}
)

// classify words an error of the far side, which Shutdown may have caused.
func (s *session) classify(err error) *upstream.Error {
	if errors.Is(context.Cause(s.ctx), errShutdown) {
		return errShutdown
	}
	return upstream.Classify(err)
}

// end forgets a tunnel and completes its outcome.
func (t *Tunnels) end(s *session) {
	s.cancel(nil)
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.open, s)
	t.stats.BytesIn += s.out.BytesIn
	t.stats.BytesOut += s.out.BytesOut
	if s.out.TimedOut {
		t.stats.TimedOut++
	}
	if s.out.Aborted {
		t.stats.Aborted++
	}
	t.ended.Done()
}

// Active returns the number of open tunnels, those still connecting included.
func (t *Tunnels) Active() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.open)
}

// Stats returns the counters.
func (t *Tunnels) Stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	st := t.stats
	st.Active = len(t.open)
	return st
}

// Each calls f for every tunnel that is open when it is called.
func (t *Tunnels) Each(f func(Info)) {
	for _, s := range t.all() {
		f(s.info())
	}
}

func (t *Tunnels) all() []*session {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(maps.Keys(t.open))
}

func (s *session) info() Info {
	i := Info{Client: s.client, Target: s.target, Since: s.since}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.relay != nil {
		i.BytesIn, i.BytesOut = s.relay.Moved()
	}
	return i
}
