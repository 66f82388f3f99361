package upstream

import (
	"net"
	"sync"
	"time"
)

// conn is one connection to an origin or a parent. Apart from close it is used
// by one exchange at a time.
type conn struct {
	nc     net.Conn // what is read and written: TCP, or TLS over it
	raw    net.Conn // the TCP connection beneath
	key    hostKey
	route  Route
	reused bool
	proven bool // it was used again, and served

	in       inbox
	out      []byte        // the last request's head, its room is used again
	perRead  time.Duration // a deadline for each read of its own; 0: whoever waits has set one
	perWrite time.Duration
	// The deadlines that are set; zero: not known, or none.
	readBy, writeBy time.Time

	ender     func() // close, made once
	now       rawReader
	idleSince time.Time
	closing   sync.Once
}

func newConn(nc, raw net.Conn, key hostKey, route Route, perWrite time.Duration) *conn {
	c := &conn{nc: nc, raw: raw, key: key, route: route, perWrite: perWrite}
	c.in.src = c
	c.ender = c.close
	c.now.init(nc, raw)
	return c
}

// Read implements io.Reader for the inbox.
func (c *conn) Read(p []byte) (int, error) {
	if c.perRead > 0 {
		if err := c.awaitBy(c.perRead); err != nil {
			return 0, err
		}
	}
	return c.nc.Read(p)
}

// awaitBy makes reads from now on fail after about d.
func (c *conn) awaitBy(d time.Duration) error {
	now := time.Now()
	if near(c.readBy, now, d) {
		return nil
	}
	c.readBy = now.Add(d)
	return c.nc.SetReadDeadline(c.readBy)
}

// near reports whether by is as good as d from now: deadlines are set anew only
// when they have come closer by a sixteenth, as each setting costs a good part
// of a system call.
func near(by, now time.Time, d time.Duration) bool {
	off := by.Sub(now) - d
	return !by.IsZero() && off <= d/16 && off >= -d/16
}

// readNow reads what has arrived without waiting.
func (c *conn) readNow(p []byte) (int, error) { return c.now.read(p) }

// pace makes each read wait d at most from here on.
func (c *conn) pace(d time.Duration) { c.perRead = d }

// Write implements io.Writer; each call must make an end within about perWrite.
func (c *conn) Write(p []byte) (int, error) {
	if now := time.Now(); !near(c.writeBy, now, c.perWrite) {
		c.writeBy = now.Add(c.perWrite)
		if err := c.nc.SetWriteDeadline(c.writeBy); err != nil {
			return 0, err
		}
	}
	return c.nc.Write(p)
}

// awaitLong makes reads wait for as long as it takes.
func (c *conn) awaitLong() error {
	c.readBy = time.Time{}
	return c.nc.SetReadDeadline(time.Time{})
}

// unarm forgets which deadlines are set.
func (c *conn) unarm() { c.readBy, c.writeBy = time.Time{}, time.Time{} }

// close ends the connection at once, from any goroutine and any number of
// times. TLS is not said good-bye to: that could block.
func (c *conn) close() { c.closing.Do(func() { _ = c.raw.Close() }) }

// rest prepares the connection for the pool; false means that it must not be
// used again because something arrived that nobody asked for.
func (c *conn) rest() bool {
	if len(c.in.buffered()) > 0 {
		return false
	}
	c.in.reset()
	c.pace(0)
	c.proven, c.reused = c.reused, true
	return true
}

// wake prepares an idle connection for another exchange: false means that it
// is closed, or that something has come on it that nobody asked for.
func (c *conn) wake() bool {
	if now := time.Now(); c.readBy.Before(now) && !c.readBy.IsZero() {
		if c.awaitLong() != nil {
			return false
		}
	}
	return c.now.silent()
}

// earlyConn is a connection of which some bytes were read already.
type earlyConn struct {
	net.Conn
	early []byte
}

// WithEarly returns nc, such that early, which is copied, is read first.
func WithEarly(nc net.Conn, early []byte) net.Conn {
	if len(early) == 0 {
		return nc
	}
	return &earlyConn{Conn: nc, early: append([]byte(nil), early...)}
}

// Read implements net.Conn.
func (c *earlyConn) Read(p []byte) (int, error) {
	if len(c.early) > 0 {
		n := copy(p, c.early)
		c.early = c.early[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

// Detach takes the connection apart into the bytes that were read already and
// the connection beneath, which the kernel can splice.
func (c *earlyConn) Detach() (early []byte, nc net.Conn) {
	early, c.early = c.early, nil
	return early, c.Conn
}

// CloseWrite half-closes the connection, where it can be.
func (c *earlyConn) CloseWrite() error {
	if hc, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return hc.CloseWrite()
	}
	return nil
}
