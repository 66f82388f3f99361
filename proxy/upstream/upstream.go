// Package upstream carries out one HTTP/1.1 exchange with an origin or a parent
// proxy: it chooses the way, keeps connections, sends the request, and hands
// back only responses whose head and framing are beyond doubt. It follows no
// redirects, decodes nothing, adds no fields of its own, and knows nothing of
// caching.
package upstream

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"

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
	opts Options
	deps Deps
}

// New checks o and reads the files it names. It starts nothing.
func New(o Options, d Deps) (*Client, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	return &Client{opts: o, deps: d}, nil
}

// Do sends req and returns the response once its head has passed the strict
// checks. The caller has cleaned req.Header of hop-by-hop fields (an Upgrade
// field that remains is an upgrade that is wanted) and keeps owning it.
// req.URL is absolute; a URL.Opaque that begins with "/" is sent as the target
// byte for byte. interim (may be nil) is called for each 1xx but 100 and 101,
// before Do returns. Errors, also those of the body, are *Error.
func (c *Client) Do(req *http.Request, interim func(code int, h http.Header)) (*http.Response, Route, error) {
	_, _ = req, interim
	return nil, Route{}, Classify(errors.New("not there yet"))
}

// Dial opens a connection to hostport for a tunnel, directly or through a
// parent's CONNECT. Errors are *Error.
func (c *Client) Dial(ctx context.Context, hostport string) (net.Conn, Route, error) {
	nc, err := c.deps.Dialer.DialContext(ctx, "tcp", hostport)
	if err != nil {
		return nil, Route{Hier: accesslog.HierDirect}, Classify(err)
	}
	return nc, Route{Hier: accesslog.HierDirect, Peer: remoteIP(nc)}, nil
}

// Run watches the parents and drops connections that were idle too long, until ctx ends.
func (c *Client) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Close closes the idle connections, refuses further requests and waits for
// request bodies that are still being sent.
func (c *Client) Close() error { return nil }

func remoteIP(nc net.Conn) string {
	host, _, err := net.SplitHostPort(nc.RemoteAddr().String())
	if err != nil {
		return nc.RemoteAddr().String()
	}
	return host
}
