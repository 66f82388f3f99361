package http1

import (
	"errors"

	"github.com/cachenode/cachenode/internal/proxyproto"
)

// A balancer in front says with a PROXY protocol header, before the first
// request, on whose behalf it connects. The header begins with an empty line and
// a NUL, which no request does.

// errPreface stands for a header that is not believed, or is none: nobody is
// answered, and the connection is closed.
var errPreface = &problem{kind: "proxy-protocol"}

// preface reads the PROXY protocol header of a new connection, if it has one,
// and takes the client's addresses from it. It returns false when the
// connection has to be closed.
func (c *Conn) preface() bool {
	bad := c.readPreface()
	switch bad {
	case nil:
		return true
	case errGone:
	default:
		c.srv.stats.refuse(bad.kind)
		c.srv.deps.Log.Debug("closed a connection for its PROXY protocol header", "from", c.client, "reason", bad.kind)
	}
	c.broken = true // who lies gets no answer
	return false
}

func (c *Conn) readPreface() *problem {
	for {
		h, n, err := proxyproto.Parse(c.work.unread())
		switch {
		case err == nil:
			c.work.r += n
			return c.introduce(h)
		case errors.Is(err, proxyproto.ErrSignature):
			return nil // a request
		case !errors.Is(err, proxyproto.ErrShort):
			return errPreface
		}
		if bad := c.fill(c.work.free(readRoom)); bad != nil {
			return bad
		}
	}
}

// introduce believes a header from those who may send one. A balancer's own
// check has nobody behind it.
func (c *Conn) introduce(h proxyproto.Header) *problem {
	if !c.srv.fronted(c) {
		return errPreface
	}
	if h.Proxied {
		c.srv.identify(c, h.Client, h.Local)
	}
	return nil
}
