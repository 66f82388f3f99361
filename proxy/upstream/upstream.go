// Package upstream carries out one HTTP/1.1 exchange with an origin or a parent
// proxy: it chooses the way, keeps connections, sends the request, and hands
// back only responses whose head and framing are beyond doubt. It follows no
// redirects, decodes nothing, adds no fields of its own, and knows nothing of
// caching.
package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/cachenode/cachenode/accesslog"
)

// Dialer opens TCP connections.
type Dialer interface {
	DialContext(ctx context.Context, network, addr string) (net.Conn, error)
}

// Deps are what a Client needs from others.
type Deps struct {
	// Dialer connects to origins; it resolves names and holds the
	// destination guard.
	Dialer Dialer
	// ParentDialer connects to parents, which the operator named, so that the
	// destination guard is not its business; nil means Dialer.
	ParentDialer Dialer
	Log          *slog.Logger // nil discards
}

// Route says where a response came from, in the words of the access log.
type Route struct {
	Hier accesslog.Hier
	Peer string // the origin's address, or the parent's name
}

// Client sends requests; safe for concurrent use.
type Client struct {
	opts    Options
	deps    Deps
	tls     *tls.Config
	parents *parents
	pool    *pool
	senders sync.WaitGroup // request bodies under way
}

// New checks o and reads the files it names. It starts nothing.
func New(o Options, d Deps) (*Client, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if d.ParentDialer == nil {
		d.ParentDialer = d.Dialer
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	cfg, tlsErr := o.TLS.config()
	ps, parentErr := newParents(o.Parents, d.Log)
	if err := errors.Join(tlsErr, parentErr); err != nil {
		return nil, err
	}
	return &Client{opts: o, deps: d, tls: cfg, parents: ps, pool: newPool(&o)}, nil
}

// maxRepeats bounds how often a request is sent again. A repeat asks for a new
// connection; only one that others are waiting for may be a kept one again.
const maxRepeats = 2

// Do sends req and returns the response once its head has passed the strict
// checks. The caller has cleaned req.Header of hop-by-hop fields (an Upgrade
// field that remains is an upgrade that is wanted) and keeps owning it.
// req.URL is absolute; a URL.Opaque that begins with "/" stands for the path
// and is sent byte for byte. Nothing is added but Host, framing and Connection.
//
// interim (may be nil) is called for each 1xx but 100 and 101, before Do
// returns. Errors, also those of the response's body, are *Error; a body ends
// in io.EOF only when it is whole, and resp.Trailer is complete then.
//
// req.Body may be read until the response's body is closed, and a read that
// is under way then is not waited for; if the body has a method
// SetReadDeadline(time.Time) error, it is called to end that read.
// req.ContentLength is the length of a body, or anything below 1 if it is not
// known.
func (c *Client) Do(req *http.Request, interim func(code int, h http.Header)) (*http.Response, Route, error) {
	t, err := targetOf(req)
	if err != nil {
		return nil, Route{}, Classify(err)
	}
	w := wanted(req)
	for try := 0; ; try++ {
		cn, via, route, err := c.connect(req.Context(), t, w)
		if err != nil {
			return nil, route, Classify(err)
		}
		resp, again, err := c.exchange(cn, via, t, req, interim)
		if err == nil {
			return resp, route, nil
		}
		if !again || try == maxRepeats {
			return nil, route, Classify(err)
		}
		w = wantFresh
	}
}

// Dial opens a connection to hostport for a tunnel, directly or through a
// parent's CONNECT. It is what the Dialer made, or may have a method
// Detach() ([]byte, net.Conn) that yields one and the bytes that came before.
// Errors are *Error.
func (c *Client) Dial(ctx context.Context, hostport string) (net.Conn, Route, error) {
	nc, route, err := c.dialTunnel(ctx, hostport)
	if err != nil {
		return nil, route, Classify(err)
	}
	return nc, route, nil
}

// Run watches the parents and drops connections that were idle too long, until
// ctx ends.
func (c *Client) Run(ctx context.Context) error {
	var watch sync.WaitGroup
	watch.Go(func() { c.parents.watch(ctx, c.deps.ParentDialer) })
	defer watch.Wait()
	idle := c.opts.IdleTimeout.D()
	t := time.NewTicker(max(idle/4, time.Second))
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-t.C:
			c.pool.expire(now.Add(-idle))
		}
	}
}

// Close closes the idle connections, refuses further requests and waits for
// request bodies that are still being read.
func (c *Client) Close() error {
	c.pool.close()
	c.senders.Wait()
	return nil
}

// Stats is a moment of the client's life, for the manager pages.
type Stats struct {
	Idle    int // connections
	Open    int // connections, idle ones included
	Parents []ParentState
}

// ParentState is how a parent is doing.
type ParentState struct {
	Name    string
	Address string // host:port
	Up      bool
}

// Stats returns the current state.
func (c *Client) Stats() Stats {
	var s Stats
	s.Idle, s.Open = c.pool.counts()
	for _, q := range c.parents.list {
		s.Parents = append(s.Parents, ParentState{Name: q.name, Address: q.hostport, Up: !q.isDown()})
	}
	return s
}

func remoteIP(nc net.Conn) string {
	if a, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		return a.AddrPort().Addr().Unmap().String()
	}
	host, _, err := net.SplitHostPort(nc.RemoteAddr().String())
	if err != nil {
		return nc.RemoteAddr().String()
	}
	return host
}
