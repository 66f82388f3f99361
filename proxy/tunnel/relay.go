package tunnel

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// relay moves bytes between two connections, each way by itself, until both
// have ended, one has failed, nothing has moved for too long, or it is cut off.
type relay struct {
	opts   Options
	client side
	far    side
	in     direction // client to far side
	out    direction

	mu       sync.Mutex // guards what follows
	over     bool
	timedOut bool
	aborted  bool
	cut      bool
	watchdog *time.Timer
	seen     uint64    // progress at the last look
	since    time.Time // when it had changed
}

// side is one end of the relay.
type side struct {
	conn  net.Conn     // what the owner gave; closing it is his business too
	tcp   *net.TCPConn // what is beneath, nil if there is no TCP or it is not ours to use
	early []byte       // what was read from it already
}

// sideOf looks beneath wrappers: Detach yields what was read ahead and the
// connection below; NetConn promises that nothing was, except for TLS, where
// the bytes below are not those that are carried.
func sideOf(c net.Conn) side {
	s := side{conn: c}
	for {
		switch w := c.(type) {
		case *net.TCPConn:
			s.tcp = w
			return s
		case interface{ Detach() ([]byte, net.Conn) }:
			var early []byte
			early, c = w.Detach()
			s.early = append(s.early, early...)
			s.conn = c
		case *tls.Conn:
			return s
		case interface{ NetConn() net.Conn }:
			c = w.NetConn()
		default:
			return s
		}
	}
}

func newRelay(client, far net.Conn, o Options) *relay {
	r := &relay{opts: o, client: sideOf(client), far: sideOf(far)}
	r.in = direction{src: &r.client, dst: &r.far, back: &r.out}
	r.out = direction{src: &r.far, dst: &r.client, back: &r.in}
	return r
}

// run returns when both directions have ended and both connections are closed.
func (r *relay) run() {
	if r.opts.MaxLifetime > 0 {
		life := time.AfterFunc(r.opts.MaxLifetime.D(), r.timeOut)
		defer life.Stop()
	}
	r.mu.Lock()
	r.since = time.Now()
	r.watchdog = time.AfterFunc(r.watchEvery(), r.watch)
	r.mu.Unlock()
	defer r.watchdog.Stop()
	var ways sync.WaitGroup
	ways.Go(func() { r.move(&r.out) })
	r.move(&r.in)
	ways.Wait()
	r.finish()
}

func (r *relay) move(d *direction) {
	if err := d.run(); err != nil {
		r.abort()
	}
}

// abort ends the relay because something failed.
func (r *relay) abort() { r.reset(func() { r.aborted = true }) }

// cutOff ends the relay because Shutdown wants it.
func (r *relay) cutOff() { r.reset(func() { r.aborted, r.cut = true, true }) }

// reset passes a reset on as a reset, so that neither side takes what it got for
// everything.
func (r *relay) reset(note func()) {
	if !r.end(note) {
		return
	}
	for _, s := range []*side{&r.client, &r.far} {
		if s.tcp != nil {
			_ = s.tcp.SetLinger(0)
		}
		closeQuietly(s.conn)
	}
}

func (r *relay) timeOut() {
	if r.end(func() { r.timedOut = true }) {
		closeQuietly(r.client.conn)
		closeQuietly(r.far.conn)
	}
}

func (r *relay) finish() {
	if r.end(func() {}) {
		closeQuietly(r.client.conn)
		closeQuietly(r.far.conn)
	}
}

// end notes why the relay is over; only the first reason counts.
func (r *relay) end(note func()) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return false
	}
	r.over = true
	note()
	return true
}

func (r *relay) verdict() (timedOut, aborted, cut bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.timedOut, r.aborted, r.cut
}

// watch looks whether anything has moved, several times per limit; a tunnel
// that stands still lives up to an eighth longer than it may.
func (r *relay) watch() {
	now, progress := time.Now(), r.progress()
	limit := r.opts.IdleTimeout.D()
	if r.in.ended.Load() || r.out.ended.Load() {
		limit = min(limit, r.opts.HalfCloseTimeout.D())
	}
	r.mu.Lock()
	if progress != r.seen {
		r.seen, r.since = progress, now
	}
	idle := now.Sub(r.since) >= limit
	if !r.over && !idle {
		r.watchdog.Reset(r.watchEvery())
	}
	r.mu.Unlock()
	if idle {
		r.timeOut()
	}
}

func (r *relay) watchEvery() time.Duration {
	return min(r.opts.IdleTimeout, r.opts.HalfCloseTimeout).D() / 8
}

// progress is a number that changes whenever a byte moves, also where a long
// splice has not yet returned.
func (r *relay) progress() uint64 {
	return uint64(r.in.moved.Load()) + uint64(r.out.moved.Load()) + kernelProgress(r.client.tcp) + kernelProgress(r.far.tcp)
}

// direction is one way through the relay.
type direction struct {
	src, dst *side
	back     *direction // the other way
	inlet    inlet
	moved    atomic.Int64 // bytes written to dst
	ended    atomic.Bool  // src has ended and dst was told
}

// run moves bytes until src ends, and tells dst that it has unless that is
// about to be closed.
func (d *direction) run() error {
	if err := d.moveEarly(); err != nil {
		return err
	}
	if err := d.moveAll(); err != nil {
		return err
	}
	d.ended.Store(true)
	if d.back.ended.Load() {
		return nil // both connections are closed next
	}
	return d.dst.closeWrite()
}

func (d *direction) moveEarly() error {
	early := d.src.early
	d.src.early = nil
	if len(early) == 0 {
		return nil
	}
	return d.write(early)
}

func (d *direction) write(b []byte) error {
	n, err := d.dst.writer().Write(b)
	d.moved.Add(int64(n))
	return err
}

// writer is the connection to write to: past a wrapper that would only count.
func (s *side) writer() net.Conn {
	if s.tcp != nil {
		return s.tcp
	}
	return s.conn
}

// closeWrite half-closes the connection. One that cannot be stays open for the
// other direction; one that is gone already needs nothing.
func (s *side) closeWrite() error {
	c, ok := s.writer().(interface{ CloseWrite() error })
	if !ok {
		return nil
	}
	if err := c.CloseWrite(); err != nil && !errors.Is(err, syscall.ENOTCONN) {
		return err
	}
	return nil
}
