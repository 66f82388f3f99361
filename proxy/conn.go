package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"
)

// Listener wraps ln so that the bytes of each request can be told, head
// included. A server that hands requests to a Proxy listens through it and
// sets ConnContext.
func Listener(ln net.Listener) net.Listener { return countingListener{ln} }

// ConnContext is for http.Server.ConnContext.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

type connKey struct{}

type countingListener struct{ net.Listener }

func (l countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &countedConn{Conn: c}, nil
}

// countedConn counts what passes. Its counters are read between requests, so
// each request's share is a difference.
type countedConn struct {
	net.Conn
	in, out atomic.Int64
	told    int64 // of in, by the requests so far; theirs in turn

	patience atomic.Int64 // nanoseconds the client has for the next part of what is written
}

// sinceLast is what came in since it was last called.
func (c *countedConn) sinceLast() int64 {
	in := c.in.Load()
	n := in - c.told
	c.told = in
	return n
}

// Read implements net.Conn. A connection that begins with what no request begins
// with fails at once, and net/http answers 400: it would wait for the end of a
// line, which TLS or SOCKS may never send.
func (c *countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && c.in.Add(int64(n)) == int64(n) && !beginsRequest(b[0]) {
		return 0, errNotHTTP
	}
	return n, err
}

var errNotHTTP = errors.New("the connection does not begin with a request")

// beginsRequest reports whether a request line may begin with c (RFC 9110
// §5.6.2). The empty line that may stand before it (RFC 9112 §2.2) is nothing
// that net/http takes either.
func beginsRequest(c byte) bool {
	return c > ' ' && c < 0x7f && !strings.ContainsRune(`"(),/:;<=>?@[\]{}`, rune(c))
}

// Write goes on past a deadline for as long as the client takes something: what
// the deadline bounds is the time between two parts of a response.
func (c *countedConn) Write(b []byte) (n int, err error) {
	for {
		var m int
		m, err = c.Conn.Write(b[n:])
		n += m
		c.out.Add(int64(m))
		if m == 0 || err == nil || c.patience.Load() == 0 || !isTimeout(err) {
			return n, err
		}
		if err = c.SetWriteDeadline(time.Now().Add(time.Duration(c.patience.Load()))); err != nil {
			return n, err
		}
	}
}

// ReadFrom keeps the kernel's road from file or socket to socket open.
func (c *countedConn) ReadFrom(r io.Reader) (int64, error) {
	n, err := io.Copy(c.Conn, r)
	c.out.Add(n)
	return n, err
}

// CloseWrite half-closes the connection, which a tunnel passes on.
func (c *countedConn) CloseWrite() error {
	if hc, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return hc.CloseWrite()
	}
	return c.Conn.Close()
}

// reset makes the next Close break the connection off, which no client takes
// for the end of a body.
func (c *countedConn) reset() {
	for nc := c.Conn; ; {
		switch n := nc.(type) {
		case interface{ SetLinger(int) error }:
			_ = n.SetLinger(0) // fails only with the connection
			return
		case interface{ NetConn() net.Conn }:
			nc = n.NetConn()
		default:
			return
		}
	}
}

// NetConn returns the connection beneath, for splice(2).
func (c *countedConn) NetConn() net.Conn { return c.Conn }

// connOf returns the counted connection of a request, nil without Listener.
func connOf(ctx context.Context) *countedConn {
	c, _ := ctx.Value(connKey{}).(*countedConn)
	return c
}
