package failover

import (
	"context"
	"errors"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// lane is one kept connection and the probes that wait for it.
type lane struct {
	r   *run
	due chan time.Duration // as many as can come before the first of them has timed out
	c   *conn              // nil: none is open
}

func newLane(r *run) *lane {
	waiting := int(r.o.Rate/float64(r.o.Kept)*r.o.Timeout.Seconds()) + 2
	return &lane{r: r, due: make(chan time.Duration, waiting)}
}

// add queues a probe; it never waits.
func (l *lane) add(due time.Duration) {
	select {
	case l.due <- due:
	default:
		l.r.tally.add(sample{kind: onKept, due: due, done: l.r.now(), class: classOverload, err: "earlier probes still wait on this connection"})
	}
}

// work answers the queue until it is closed and empty.
func (l *lane) work(ctx context.Context) {
	for due := range l.due {
		l.probe(ctx, due)
	}
	l.drop()
}

// probe asks on the kept connection. When that turns out to have died it asks
// again on a new one, as any client does that was idle for a while.
func (l *lane) probe(run context.Context, due time.Duration) {
	ctx, cancel := context.WithDeadline(run, l.r.start.Add(due+l.r.o.Timeout))
	defer cancel()
	if l.c != nil && hungUp(l.c) {
		l.r.tally.closedIdle()
		l.drop()
	}
	a, err := l.ask(ctx)
	if errors.Is(err, errStale) {
		a, err = l.ask(ctx)
		a.stale = err == nil
	}
	l.r.record(run, onKept, due, a, err)
}

func (l *lane) ask(ctx context.Context) (answer, error) {
	if l.c == nil {
		c, err := l.r.dial(ctx)
		if err != nil {
			return answer{}, err
		}
		l.c = c
	}
	a, err := l.c.ask(ctx, l.r.o.URL, true)
	if err != nil || !a.kept {
		l.drop()
	}
	return a, err
}

func (l *lane) drop() {
	if l.c != nil {
		l.c.close()
		l.c = nil
	}
}

// hungUp reports that the other end has closed a connection on which nothing
// is under way: that harms no request.
func hungUp(c *conn) bool {
	sc, ok := c.nc.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return true
	}
	over := false
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		over = err == nil && n == 0 || errors.Is(err, unix.ECONNRESET)
	})
	return over || err != nil
}
