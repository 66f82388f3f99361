package frontdoor

import (
	"time"
)

// wait returns when c, which is in the queue, has a node, has waited for too long,
// or when its client has gone.
func (d *Door) wait(c *conn) (Backend, Reason) {
	// Whoever gives it a node ends the wait by another deadline, after this one
	// or before it; in that case waiting says so.
	_ = c.nc.SetReadDeadline(time.Now().Add(d.opts.QueueTimeout.D())) // fails if it is closed, as the rest will
	if d.waiting(c) {
		why := QueueTimeout
		if c.clientLeaves() {
			why = QueueLeft
		}
		d.dequeue(c, why)
	}
	_ = c.nc.SetReadDeadline(time.Time{})
	d.mu.Lock()
	defer d.mu.Unlock()
	return c.placed()
}

// wake ends the wait of c.
func (c *conn) wake() { _ = c.nc.SetReadDeadline(time.Unix(1, 0)) }

// clientLeaves waits until the client has closed its side of the connection, or
// until the deadline for reading. What the client has sent stays unread.
func (c *conn) clientLeaves() (left bool) {
	rc, err := c.nc.SyscallConn()
	if err != nil {
		return true
	}
	err = rc.Read(func(fd uintptr) bool {
		left = peerClosed(fd)
		return left
	})
	return left && err == nil
}

// placed is where c was placed and why, or why it was not; Door's mutex is held.
func (c *conn) placed() (Backend, Reason) {
	if c.node == nil {
		return Backend{}, c.why
	}
	return c.node.Backend, c.why
}
