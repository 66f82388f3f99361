package bench

import (
	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"sync"
	"time"
)

// worker is one client: it has at most one connection and one request at a time.
type worker struct {
	number int
	dialer *dialer
	rules  *rules
	out    *outlet
	fresh  bool // a connection per request
	limit  time.Duration

	conn wire
	x    exchange
	s    sample
	show func() string // example, made once
}

// outlet closes the connections of all workers when a run is cut short.
type outlet struct {
	mu    sync.Mutex // guards conns and cut
	conns map[*worker]net.Conn
	cut   bool
}

func (o *outlet) put(w *worker, nc net.Conn) {
	o.mu.Lock()
	cut := o.cut
	o.conns[w] = nc
	o.mu.Unlock()
	if cut {
		_ = nc.Close()
	}
}

// closeAll makes every worker notice the end.
func (o *outlet) closeAll() {
	o.mu.Lock()
	o.cut = true
	open := slices.Collect(maps.Values(o.conns))
	o.mu.Unlock()
	for _, nc := range open {
		_ = nc.Close()
	}
}

// work does the jobs of a feed until there are no more.
func (w *worker) work(ctx context.Context, f feed, wr *writer, t *tally) {
	for {
		free := time.Time{}
		if t.open {
			free = time.Now()
		}
		j, ok := f.next(ctx)
		if !ok {
			return
		}
		if !w.do(ctx, j, wr) {
			return // cut short: neither done nor failed
		}
		w.summarize(j, free)
		t.add(&w.s)
		if w.x.fault.class == ConnectFailed {
			sleepRuntime(ctx, connectPause)
		}
	}
}

// connectPause keeps a closed loop from spinning while nobody listens.
const connectPause = 50 * time.Millisecond

// idleLimit is from when a kept connection may be gone without anybody's fault:
// a request on it that finds it closed is sent once more on a new one.
const idleLimit = time.Second

// do makes one request. False means that the run was cut short meanwhile.
func (w *worker) do(ctx context.Context, j job, wr *writer) bool {
	x := &w.x
	x.fault, x.first, x.got, x.headLen, x.h = fault{}, time.Time{}, 0, 0, head{}
	x.claim, x.stamp, x.judged = claim{}, stamp{}, false
	x.sent = time.Now()
	wr.write(j, &x.ask, x.sent)
	idle := w.conn.nc != nil && !w.conn.used.IsZero() && x.sent.Sub(w.conn.used) >= idleLimit
	err := w.send(ctx)
	if err != nil && idle && x.fault.class == ConnectionLost && ctx.Err() == nil {
		w.rules.ledger.excuse()
		x.fault, x.first = fault{}, time.Time{}
		err = w.send(ctx)
	}
	if err != nil && ctx.Err() != nil {
		w.rules.ledger.excuse()
		w.conn.close()
		return false
	}
	if err != nil || x.h.closes || w.fresh || x.fault.class != "" {
		w.conn.close()
	} else {
		w.conn.used = x.end
	}
	if !x.judged && !x.ask.foreign {
		w.rules.ledger.excuse()
	}
	return true
}

// send makes one attempt. An error means that the connection is of no use.
func (w *worker) send(ctx context.Context) error {
	x := &w.x
	if w.conn.nc == nil {
		if err := w.connect(ctx); err != nil {
			return err
		}
	}
	if err := w.conn.nc.SetDeadline(x.sent.Add(w.limit)); err != nil {
		x.broken(err, false)
		w.conn.close()
		return err
	}
	if w.rules.serials != nil {
		x.serialBefore = w.rules.serials()
	}
	w.conn.reads = 0
	if _, err := w.conn.nc.Write(x.ask.head); err != nil {
		x.broken(err, false)
		w.conn.close()
		return err
	}
	err := x.receive(&w.conn, w.rules)
	if err != nil {
		w.conn.close()
	}
	return err
}

func (w *worker) connect(ctx context.Context) error {
	nc, err := w.dialer.open(ctx, w.number)
	if err == nil {
		w.conn.use(nc)
		w.out.put(w, nc)
		w.slow()
		if w.dialer.authority == "" {
			return nil
		}
		if err = w.dialer.tunnel(&w.conn); err == nil {
			return nil
		}
	}
	w.conn.close()
	x := &w.x
	x.end = time.Now()
	x.first = x.end
	refusal, refused := errors.AsType[*tunnelRefusal](err)
	switch {
	case refused:
		x.h.status = refusal.status
		x.fail(TunnelRefused, err.Error())
	case isTimeout(err):
		x.fail(TimedOut, "no connection")
	default:
		x.fail(ConnectFailed, reason(err))
	}
	return err
}

// slow gives the connection of a slow reader a small buffer, so that the other
// side feels it.
func (w *worker) slow() {
	if w.conn.pace == nil {
		return
	}
	w.conn.pace.next = time.Time{}
	if b, ok := w.conn.nc.(interface{ SetReadBuffer(int) error }); ok {
		_ = b.SetReadBuffer(8 << 10) // a hint
	}
}

// summarize makes the sample of the exchange just done. free is when the worker
// had time for it.
func (w *worker) summarize(j job, free time.Time) {
	x := &w.x
	s := &w.s
	*s = sample{
		class: x.claim.class, failure: x.fault.class, status: x.h.status, node: x.claim.node,
		bytes: x.got + int64(x.headLen), fetched: x.claim.fetched, late: -1,
		service: x.end.Sub(x.sent), ttfb: x.first.Sub(x.sent), example: w.show,
	}
	s.latency = s.service
	if !j.due.IsZero() {
		s.latency = x.end.Sub(j.due)
		if free.Before(j.due) {
			s.late = x.sent.Sub(j.due)
		}
	}
	if s.class == "" {
		s.class = Failed
	}
	if s.failure != "" {
		s.class, s.fetched = Failed, false
	}
}

func (w *worker) example() string { return w.x.example(w.x.fault.detail) }
