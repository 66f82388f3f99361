// Package relay moves bytes between two connections until both sides are done,
// with half-close, limits on idleness and lifetime, and resets passed on as
// resets. It looks at none of the bytes, and decides nothing about who is
// connected with whom.
package relay

import (
	"io"
	"net"
	"sync"
	"time"
)

// Options bound a Relay.
type Options struct {
	// IdleTimeout is how long it may go on while no byte moves in either
	// direction. It must be more than 0.
	IdleTimeout time.Duration
	// HalfCloseTimeout is the same once one side has finished sending; then it is
	// reset. It must be more than 0.
	HalfCloseTimeout time.Duration
	// PeerTimeout is how long a peer may answer nothing of what its kernel should
	// answer, until it is taken for gone; 0 means for ever. One that does not read
	// answers. It is noticed a quarter of this time late.
	PeerTimeout time.Duration
	// MaxLifetime is how long it may live in all; then it is reset. 0 means no
	// limit.
	MaxLifetime time.Duration
	// Answer is what the client is sent before the far side's bytes. It does not
	// count as moved.
	Answer []byte
	// First is what the far side is sent before the client's bytes: in one write
	// with the first of them, or alone when the client sends nothing for
	// FirstWait. It does not count as moved, and is not kept once it is sent.
	First     []byte
	FirstWait time.Duration
}

// Relay moves bytes between two connections, each way by itself, until both
// have ended, one has failed, nothing has moved for too long, or it is cut off.
type Relay struct {
	opts   Options
	client side
	far    side
	in     direction // client to far side
	out    direction
	there  sync.WaitGroup // moveThere

	answered int

	mu       sync.Mutex // guards what follows
	over     bool
	verdict  Verdict
	watchdog *time.Timer
	seen     uint64    // progress at the last look
	since    time.Time // when it had changed
}

// Verdict is how a Relay has ended; all false: both sides were done.
type Verdict struct {
	TimedOut bool // by the idle limit or the lifetime
	Aborted  bool // by a reset, an error, a peer that is gone, Abort or CutOff
	Cut      bool // by CutOff: neither side wanted it
}

// New returns a relay that has not begun. It looks beneath wrappers of the
// connections: a method Detach() ([]byte, net.Conn) yields what was read ahead
// and the connection below, NetConn() net.Conn promises that nothing was.
func New(client, far net.Conn, o Options) *Relay {
	r := &Relay{opts: o, client: sideOf(client), far: sideOf(far)}
	r.in.init(&r.client, &r.far, &r.out)
	r.out.init(&r.far, &r.client, &r.in)
	r.in.first, r.in.firstWait = o.First, o.FirstWait
	return r
}

// Answered is how much of Options.Answer was sent; it is for after Run.
func (r *Relay) Answered() int { return r.answered }

// Moved is how many bytes have been written so far: those of the client to the
// far side, and those of the far side to the client. It lags behind by one step.
func (r *Relay) Moved() (in, out int64) { return r.in.moved.Load(), r.out.moved.Load() }

// Run returns when both directions have ended and both connections are closed.
// It is called once.
func (r *Relay) Run() Verdict {
	if r.opts.MaxLifetime > 0 {
		life := time.AfterFunc(r.opts.MaxLifetime, r.expire)
		defer life.Stop()
	}
	r.mu.Lock()
	r.since = time.Now()
	r.watchdog = time.AfterFunc(r.watchEvery(), r.watch)
	r.mu.Unlock()
	defer r.watchdog.Stop()
	r.answer()
	r.there.Add(1)
	go r.moveThere()
	r.move(&r.out)
	r.there.Wait()
	r.finish()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.verdict
}

// answer sends the answer, under the limits as all that follows.
func (r *Relay) answer() {
	if len(r.opts.Answer) == 0 {
		return
	}
	var err error
	if r.answered, err = r.out.outlet.write(r.opts.Answer); err != nil {
		r.Abort()
	}
}

// moveThere is the goroutine of the way to the far side. Most clients end first,
// and this way with them: there is nobody to be woken for it then.
func (r *Relay) moveThere() {
	defer r.there.Done()
	r.move(&r.in)
}

func (r *Relay) move(d *direction) {
	if err := d.run(); err != nil {
		r.Abort()
	}
}

// Abort ends the relay because something failed. It may be called at any time,
// also before Run.
func (r *Relay) Abort() { r.reset(Verdict{Aborted: true}) }

// CutOff ends the relay though both sides could go on.
func (r *Relay) CutOff() { r.reset(Verdict{Aborted: true, Cut: true}) }

// reset passes a reset on as a reset, so that neither side takes what it got for
// everything.
func (r *Relay) reset(v Verdict) {
	if r.end(v) {
		r.client.reset()
		r.far.reset()
	}
}

// Reset closes c so that its peer does not take what it got for everything,
// looking beneath wrappers as New does.
func Reset(c net.Conn) {
	s := sideOf(c)
	s.reset()
}

func (r *Relay) timeOut() { r.close(Verdict{TimedOut: true}) }

// expire ends a relay that may be in the middle of something.
func (r *Relay) expire() { r.reset(Verdict{TimedOut: true}) }

func (r *Relay) finish() { r.close(Verdict{}) }

func (r *Relay) close(v Verdict) {
	if r.end(v) {
		closeQuietly(r.client.conn)
		closeQuietly(r.far.conn)
	}
}

// end notes how the relay has ended; only the first reason counts.
func (r *Relay) end(v Verdict) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return false
	}
	r.over, r.verdict = true, v
	return true
}

// watch looks whether anything has moved, several times per limit; a relay
// that stands still lives up to an eighth longer than it may.
func (r *Relay) watch() {
	client, far := lookAt(&r.client), lookAt(&r.far)
	if most := r.opts.PeerTimeout; most > 0 && max(client.silent, far.silent) >= most {
		r.Abort()
		return
	}
	// A number that changes whenever a byte moves, also where a long splice has
	// not yet returned.
	progress := uint64(r.in.moved.Load()) + uint64(r.out.moved.Load()) + client.moved + far.moved
	limit, end := r.opts.IdleTimeout, r.timeOut
	if r.in.ended.Load() || r.out.ended.Load() {
		limit, end = min(limit, r.opts.HalfCloseTimeout), r.expire // whoever waits for the other has not got all
	}
	now := time.Now()
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
		end()
	}
}

func (r *Relay) watchEvery() time.Duration {
	every := min(r.opts.IdleTimeout, r.opts.HalfCloseTimeout) / 8
	if r.opts.PeerTimeout > 0 {
		every = min(every, r.opts.PeerTimeout/4)
	}
	return every
}

// look is what the kernel knows of a connection.
type look struct {
	moved  uint64        // bytes received, and bytes that the peer has acknowledged
	silent time.Duration // how long the peer has answered nothing, while it should
}

// closeQuietly is for what is given up.
func closeQuietly(c io.Closer) { _ = c.Close() }
