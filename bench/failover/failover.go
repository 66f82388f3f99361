// Package failover probes a virtual address at a constant rate, on new and on
// kept connections, while something behind the address breaks, and says what
// clients would have noticed. It breaks nothing itself, and knows neither the
// cluster nor who holds the address.
package failover

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Options are what is probed, and how.
type Options struct {
	VIP      string        // ADDR:PORT of the proxy that is probed
	URL      string        // absolute http URL that every probe asks for
	Rate     float64       // probes a second on new connections, and as many on kept ones
	Kept     int           // kept connections, used in turn; 0 for none
	Duration time.Duration // 0: until the context ends
	Timeout  time.Duration // of one probe, from its intended start
	Slow     time.Duration // an answer that took longer counts as slow
	KillAt   time.Duration // when Hooks.Kill is called, after the start
}

// DefaultOptions probe gently enough for a cluster in use.
func DefaultOptions() Options {
	return Options{
		Rate: 50, Kept: 10, Duration: 30 * time.Second, Timeout: 5 * time.Second,
		Slow: 500 * time.Millisecond, KillAt: 5 * time.Second,
	}
}

// Validate reports everything that is wrong.
func (o *Options) Validate() error {
	var problems []error
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if host, port, err := net.SplitHostPort(o.VIP); err != nil || host == "" || port == "" {
		bad("vip: invalid address %q: want ADDR:PORT", o.VIP)
	}
	if u, err := url.Parse(o.URL); err != nil || u.Scheme != "http" || u.Host == "" {
		bad("url: %q is no absolute http URL", o.URL)
	}
	if !(o.Rate > 0 && o.Rate <= 100_000) { // also refuses NaN
		bad("rate: must be above 0 and at most 100000, not %v", o.Rate)
	}
	if o.Kept < 0 || o.Kept > 10_000 {
		bad("kept: must be from 0 to 10000, not %d", o.Kept)
	}
	if o.Duration < 0 {
		bad("duration: must not be negative")
	}
	if o.Timeout <= 0 {
		bad("timeout: must be above 0")
	}
	if o.Slow <= 0 {
		bad("slow: must be above 0")
	}
	if o.KillAt < 0 || o.Duration > 0 && o.KillAt >= o.Duration {
		bad("kill-at: must be within the duration of %v, not %v", o.Duration, o.KillAt)
	}
	return errors.Join(problems...)
}

// Hooks connect a run with the world. All of them may be nil.
type Hooks struct {
	Dial     func(ctx context.Context, network, address string) (net.Conn, error) // default: net.Dialer
	Check    func(header http.Header, body []byte) error                          // says what is wrong with a body; default: nothing is
	Kill     func(ctx context.Context) error                                      // breaks something, at KillAt
	Progress func(p Progress)                                                     // called each second, never by two at a time
}

// Progress is where a run is.
type Progress struct {
	Elapsed, Left time.Duration // Left is 0 when no end is set
	Probes        int64
	Failed        int64
	Stale         int64
	Slow          int64
	SinceGood     time.Duration // time since the last good answer
	Holder        string        // the node that gave it
}

// Run probes until the duration is over or ctx ends; what was measured until
// then is the result. The error tells of a run that could not be made.
func Run(ctx context.Context, o Options, h Hooks) (*Result, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if h.Dial == nil {
		h.Dial = (&net.Dialer{}).DialContext
	}
	r := &run{o: o, h: h, start: time.Now()}
	r.tally = newTally(o, r.start)
	r.all(ctx)
	return r.tally.result(time.Since(r.start)), nil
}

type run struct {
	o     Options
	h     Hooks
	start time.Time
	tally *tally
}

func (r *run) now() time.Duration { return time.Since(r.start) }

// all runs the schedule and what hangs on it, and waits for all of it.
func (r *run) all(outer context.Context) {
	// Without the deadline of outer, else probes cut by it look timed out.
	ctx, stop := context.WithCancel(context.WithoutCancel(outer))
	defer stop()
	defer context.AfterFunc(outer, stop)()
	var probes, aside sync.WaitGroup
	lanes := make([]*lane, r.o.Kept)
	for i := range lanes {
		lanes[i] = newLane(r)
		probes.Go(func() { lanes[i].work(ctx) })
	}
	aside.Go(func() { r.event(ctx) })
	aside.Go(func() { r.progress(ctx) })

	interval := time.Duration(float64(time.Second) / r.o.Rate)
	for i := 0; ; i++ {
		due := time.Duration(i) * interval
		if r.o.Duration > 0 && due >= r.o.Duration || !sleepUntil(ctx, r.start.Add(due)) {
			break
		}
		probes.Go(func() { r.fresh(ctx, due) })
		if len(lanes) > 0 {
			lanes[i%len(lanes)].add(due)
		}
	}
	for _, l := range lanes {
		close(l.due)
	}
	probes.Wait()
	stop()
	aside.Wait()
}

// event calls the kill hook when its time has come.
func (r *run) event(ctx context.Context) {
	if r.h.Kill == nil || !sleepUntil(ctx, r.start.Add(r.o.KillAt)) {
		return
	}
	r.tally.event(r.now())
	if err := r.h.Kill(ctx); err != nil && ctx.Err() == nil {
		r.tally.eventFailed(err)
	}
}

func (r *run) progress(ctx context.Context) {
	if r.h.Progress == nil {
		return
	}
	for i := time.Duration(1); sleepUntil(ctx, r.start.Add(i*time.Second)); i++ {
		r.h.Progress(r.tally.progress(r.now()))
	}
}

// fresh is one probe on a connection of its own.
func (r *run) fresh(run context.Context, due time.Duration) {
	ctx, cancel := context.WithDeadline(run, r.start.Add(due+r.o.Timeout))
	defer cancel()
	c, err := r.dial(ctx)
	var a answer
	if err == nil {
		a, err = c.ask(ctx, r.o.URL, false)
		c.close()
	}
	r.record(run, onNew, due, a, err)
}

func (r *run) dial(ctx context.Context) (*conn, error) {
	nc, err := r.h.Dial(ctx, "tcp", r.o.VIP)
	if err != nil {
		return nil, err
	}
	return newConn(nc), nil
}

// record judges the answer and counts it. What was cut because the run ended
// is no observation.
func (r *run) record(run context.Context, k kind, due time.Duration, a answer, err error) {
	if run.Err() != nil {
		return
	}
	if err == nil && r.h.Check != nil {
		if wrong := r.h.Check(a.header, a.body); wrong != nil {
			err = &probeError{class: classWrong, err: wrong}
		}
	}
	s := sample{kind: k, due: due, done: r.now(), node: a.node, stale: a.stale}
	if err != nil {
		s.class, s.err = classOf(err), err.Error()
	}
	r.tally.add(s)
}

// sleepUntil reports that the time has come; false: ctx ended before.
func sleepUntil(ctx context.Context, at time.Time) bool {
	left := time.Until(at)
	if left <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(left)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
