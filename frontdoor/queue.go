package frontdoor

import "time"

// wait returns when c, which is in the queue, has a node, has waited for too long,
// or when its client has gone.
func (d *Door) wait(c *conn) (Backend, Reason) {
	_ = c.nc.SetReadDeadline(time.Now().Add(d.opts.QueueTimeout.D())) // fails if it is closed, as the rest will
	if d.fallAsleep(c) {
		why := QueueTimeout
		if c.clientLeaves() {
			why = QueueLeft
		}
		d.dequeue(c, why)
	}
	to, why := d.getUp(c)
	_ = c.nc.SetReadDeadline(time.Time{}) // nobody sets it any more
	return to, why
}

// fallAsleep lets c be woken; false: its wait is over already.
func (d *Door) fallAsleep(c *conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	c.asleep = c.why.waits()
	return c.asleep
}

// getUp ends the wait of c, and says what came of it.
func (d *Door) getUp(c *conn) (Backend, Reason) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c.asleep = false
	return c.placed()
}

// wake ends the waits of those that do not have to wait any more. One that has
// seen that for itself may have gone on, or wait again: it is left alone.
func (d *Door) wake(list []*conn) {
	if len(list) == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range list {
		if c.asleep && !c.why.waits() {
			_ = c.nc.SetReadDeadline(time.Unix(1, 0))
		}
	}
}

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
