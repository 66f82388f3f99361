package upstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/cachenode/cachenode/accesslog"
	"github.com/cachenode/cachenode/internal/lazyctx"
)

// want says which kept connection may serve a request.
type want uint8

const (
	wantAny    want = iota
	wantProven      // one of which it can be told that its origin keeps it
	wantFresh       // a new one
)

// wanted is what a request wants that is sent for the first time. One that must
// not be sent again wants more of a kept connection than that it is open: many
// origins close it right behind their response without having said so.
func wanted(req *http.Request) want {
	if idempotent(req.Method) && !hasBody(req) {
		return wantAny
	}
	return wantProven
}

// connect returns a connection for a request to t, kept or new, by the first
// way that can be connected to.
func (c *Client) connect(ctx context.Context, t target, w want) (*conn, *parent, Route, error) {
	var err error
	var route Route
	for _, via := range c.parents.ways(t.host) {
		var cn *conn
		route = c.route(via)
		if cn, err = c.connectBy(ctx, t, via, w); err == nil {
			return cn, via, cn.route, nil
		}
		if ctx.Err() != nil || !c.another(err) {
			break
		}
	}
	return nil, nil, route, err
}

// another reports whether a request that failed with err may try another way: when
// no parent was reached, and none has said no.
func (c *Client) another(err error) bool {
	_, refused := errors.AsType[*parentRefusal](err)
	return !refused && !errors.Is(err, errClosed)
}

func (c *Client) connectBy(ctx context.Context, t target, via *parent, w want) (*conn, error) {
	key := hostKey{addr: t.addr, tls: t.tls}
	if via != nil {
		key.parent = via.name
		if !t.tls {
			key.addr = ""
		}
	}
	if w == wantFresh {
		c.pool.drop(key) // one of them has just turned out to be dead
	} else if cn := c.pool.kept(key, w); cn != nil {
		return cn, nil
	}
	dctx := lazyctx.WithTimeoutCause(ctx, c.opts.ConnectTimeout.D(), errConnectTimeout)
	defer dctx.Cancel(nil)
	cn, err := c.pool.permit(dctx, key)
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if cn != nil || err != nil {
		return cn, err
	}
	if cn, err = c.dial(ctx, dctx, t, via, key); err != nil {
		c.pool.forget(key)
	}
	return cn, err
}

// dial makes a new connection. dctx bounds the time to connect, ctx is the
// request's own.
func (c *Client) dial(ctx, dctx context.Context, t target, via *parent, key hostKey) (*conn, error) {
	raw, err := c.reach(ctx, dctx, t.addr, via)
	if err != nil {
		return nil, err
	}
	nc, route := raw, c.route(via)
	if via == nil {
		route.Peer = remoteIP(raw)
	} else if nc, err = c.enter(ctx, via, raw); err != nil {
		return nil, err
	}
	if t.tls {
		if via != nil {
			if nc, err = c.tunnel(dctx, nc, raw, via, t.addr); err != nil {
				return nil, err
			}
		}
		if nc, err = handshake(ctx, nc, c.tls, t.host, c.opts.TLSTimeout.D()); err != nil {
			return nil, err
		}
	}
	return newConn(nc, raw, key, route, c.opts.WriteTimeout.D()), nil
}

// reach opens the TCP connection to the parent, or to addr.
func (c *Client) reach(ctx, dctx context.Context, addr string, via *parent) (net.Conn, error) {
	d := c.deps.Dialer
	if via != nil {
		d, addr = c.deps.ParentDialer, via.hostport
	}
	nc, err := d.DialContext(dctx, "tcp", addr)
	if ctx.Err() != nil {
		if err == nil {
			_ = nc.Close()
		}
		return nil, context.Cause(ctx)
	}
	if via != nil {
		c.parents.note(via, err == nil)
	}
	if err != nil && dctx.Err() != nil {
		err = overdue(addr, err)
	}
	return nc, err
}

func overdue(addr string, err error) error {
	return fmt.Errorf("connect to %s: %w", addr, errors.Join(errConnectTimeout, err))
}

// enter speaks TLS to a parent that wants it.
func (c *Client) enter(ctx context.Context, via *parent, raw net.Conn) (net.Conn, error) {
	if !via.tls {
		return raw, nil
	}
	host, _, _ := net.SplitHostPort(via.hostport)
	return handshake(ctx, raw, c.tls, host, c.opts.TLSTimeout.D())
}

// parentRefusal is a parent's answer to CONNECT that is not 2xx.
type parentRefusal struct {
	parent string
	code   int
}

func (e *parentRefusal) Error() string {
	return fmt.Sprintf("parent %s answers CONNECT with %d", e.parent, e.code)
}

// tunnel asks the parent for a connection to addr (RFC 9110 §9.3.6). It closes
// raw when it fails.
func (c *Client) tunnel(ctx context.Context, nc, raw net.Conn, via *parent, addr string) (net.Conn, error) {
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	cn := newConn(nc, raw, hostKey{}, Route{}, c.opts.WriteTimeout.D())
	code, err := c.askTunnel(cn, via, addr)
	if !stop() {
		err = errors.Join(errConnectTimeout, ctx.Err())
		if cause := context.Cause(ctx); !errors.Is(cause, errConnectTimeout) {
			err = cause
		}
	} else if err == nil && code/100 != 2 {
		err = &parentRefusal{via.name, code}
	}
	if err != nil {
		cn.close()
		return nil, err
	}
	if err := nc.SetDeadline(time.Time{}); err != nil {
		cn.close()
		return nil, err
	}
	return WithEarly(nc, cn.in.buffered()), nil
}

func (c *Client) askTunnel(cn *conn, via *parent, addr string) (code int, err error) {
	b := []byte("CONNECT " + addr + " HTTP/1.1\r\n")
	b = appendField(b, "Host", addr)
	if via.auth != "" {
		b = appendField(b, "Proxy-Authorization", via.auth)
	}
	if _, err := cn.Write(append(b, '\r', '\n')); err != nil {
		return 0, headError{err}
	}
	for range c.opts.MaxInterim + 1 {
		var h head
		if err := readHead(cn, int(c.opts.MaxResponseHead), &h); err != nil {
			return 0, err
		}
		if h.code >= 200 {
			return h.code, nil
		}
	}
	return 0, errManyInterim
}

func (c *Client) route(via *parent) Route {
	switch {
	case via == nil:
		return Route{Hier: accesslog.HierDirect}
	case c.opts.Parents.Policy == policyRoundRobin:
		return Route{Hier: accesslog.HierRoundRobinParent, Peer: via.name}
	}
	return Route{Hier: accesslog.HierFirstUpParent, Peer: via.name}
}

// dialTunnel is the body of Dial.
func (c *Client) dialTunnel(ctx context.Context, hostport string) (net.Conn, Route, error) {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil || !validTarget(hostport) {
		return nil, Route{}, requestError{fmt.Errorf("target %q is no host:port", hostport)}
	}
	var route Route
	for _, via := range c.parents.ways(host) {
		var nc net.Conn
		if nc, route, err = c.dialTunnelBy(ctx, hostport, via); err == nil {
			return nc, route, nil
		}
		if ctx.Err() != nil || !c.another(err) {
			break
		}
	}
	return nil, route, err
}

func (c *Client) dialTunnelBy(ctx context.Context, hostport string, via *parent) (net.Conn, Route, error) {
	route := c.route(via)
	dctx := lazyctx.WithTimeoutCause(ctx, c.opts.ConnectTimeout.D(), errConnectTimeout)
	defer dctx.Cancel(nil)
	raw, err := c.reach(ctx, dctx, hostport, via)
	if err != nil {
		return nil, route, err
	}
	if via == nil {
		route.Peer = remoteIP(raw)
		return raw, route, nil
	}
	nc, err := c.enter(ctx, via, raw)
	if err == nil {
		nc, err = c.tunnel(dctx, nc, raw, via, hostport)
	}
	return nc, route, err
}
