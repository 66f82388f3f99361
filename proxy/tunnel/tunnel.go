// Package tunnel carries CONNECT and Upgrade: once the answer is given, bytes
// move both ways until both sides are done. It decides nothing about who may
// open a tunnel where.
package tunnel

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/cachenode/cachenode/proxy/upstream"
)

// Deps are what tunnels need from others.
type Deps struct {
	// Dial opens the far side of a CONNECT; upstream.Client.Dial fits.
	Dial func(ctx context.Context, hostport string) (net.Conn, upstream.Route, error)
	// RoundTrip sends a request that asks for an upgrade; upstream.Client.Do fits.
	RoundTrip func(req *http.Request, interim func(code int, h http.Header)) (*http.Response, upstream.Route, error)
	Log       *slog.Logger // nil discards
}

// Outcome is what became of one tunnel.
type Outcome struct {
	Route    upstream.Route
	Status   int   // what the client was answered; 0 when nothing was sent yet
	BytesIn  int64 // from the client, without the request's head
	BytesOut int64 // to the client, without the answer's head
	Duration time.Duration
	TimedOut bool // ended by the idle or the total limit
	Aborted  bool // ended by a reset, an error or Shutdown
}

// Tunnels are the open tunnels of one proxy; safe for concurrent use.
type Tunnels struct{ deps Deps }

// New checks o.
func New(o Options, d Deps) (*Tunnels, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	return &Tunnels{deps: d}, nil
}

// ServeConnect answers an allowed CONNECT and returns when its tunnel has ended. With an
// error (an *upstream.Error) nothing was sent and the caller answers.
func (t *Tunnels) ServeConnect(w http.ResponseWriter, r *http.Request) (Outcome, error) {
	return Outcome{}, upstream.Classify(errors.New("not there yet"))
}

// ServeUpgrade carries a request with Upgrade: a 101 makes the connection a
// tunnel, any other answer is passed on as an ordinary response. With an
// error and Outcome.Status 0 nothing was sent and the caller answers.
func (t *Tunnels) ServeUpgrade(w http.ResponseWriter, r *http.Request) (Outcome, error) {
	return Outcome{}, upstream.Classify(errors.New("not there yet"))
}

// Info is one open tunnel as the admin's list shows it.
type Info struct {
	Client   string // address and port
	Target   string // host:port, or the URL of an upgrade
	Since    time.Time
	BytesIn  int64 // lags behind by at most one relay step
	BytesOut int64
}

// Stats counts tunnels since the start.
type Stats struct {
	Active   int
	Opened   int64
	Refused  int64 // for max_tunnels
	TimedOut int64
	Aborted  int64
	BytesIn  int64 // of ended tunnels
	BytesOut int64
}

// Active returns the number of open tunnels.
func (t *Tunnels) Active() int { return 0 }

// Stats returns the counters.
func (t *Tunnels) Stats() Stats { return Stats{} }

// Each calls f for every open tunnel.
func (t *Tunnels) Each(f func(Info)) {}

// Shutdown refuses new tunnels, waits for the open ones until ctx ends, then
// closes those that are left.
func (t *Tunnels) Shutdown(ctx context.Context) error { return nil }
