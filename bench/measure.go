package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strconv"
	"time"

	"github.com/cachenode/cachenode/bench/origin"
	"github.com/cachenode/cachenode/internal/portholder"
	"github.com/cachenode/cachenode/internal/procstat"
)

// warm runs what comes before the measured phase.
func (r *run) warm(ctx context.Context, res *Result) error {
	w, err := parseWarm(r.config.Warm)
	if err != nil || w.none() || ctx.Err() != nil {
		return err
	}
	f := &counterFeed{limit: w.requests, lasts: w.duration}
	p := &phase{name: "warm", feed: f, writer: r.writer, tallies: newTallies(false), duration: w.duration}
	if w.all {
		p.writer = r.writer.sweepOf()
		f.limit = p.writer.objects
	}
	took := r.drive(ctx, p)
	if !w.all {
		r.steps = f.taken.Load()
	}
	res.Warm = &Phase{Requests: p.sofar.Requests, Errors: p.sofar.Errors, Hits: p.sofar.Hits, Duration: took}
	return nil
}

func newTallies(open bool) []*tally {
	all := make([]*tally, runtime.GOMAXPROCS(0))
	for i := range all {
		all[i] = newTally(open)
	}
	return all
}

// measure runs the measured phase and completes res.
func (r *run) measure(ctx context.Context, res *Result) error {
	open := res.Loop == OpenLoop
	p := &phase{name: "measure", writer: r.writer, tallies: newTallies(open), duration: r.config.Duration}
	var replayErr error
	feedErr := r.feed(p, open, &replayErr)
	before, err := r.origin.counts(ctx)
	if err != nil && ctx.Err() == nil {
		return err
	}
	roots := r.targetRoots()
	family0, own0 := procstat.Family(roots...), ownCPU()

	res.Duration = r.drive(ctx, p)

	own1, family1 := ownCPU(), procstat.Family(roots...)
	res.Start, res.Series, res.Interrupted = p.start, p.series, ctx.Err() != nil
	after, err := r.origin.counts(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	r.originStats(res, after.Sub(before))
	sum(p.tallies, res)
	r.judgeOrigin(res)
	sortFailures(res.Failures)
	res.TargetCPU = spent(family0, family1, res.Total.Requests)
	res.GeneratorCPU = CPU{User: own1.User - own0.User, System: own1.System - own0.System, RSS: own1.RSS}
	res.GeneratorCPU.perRequest(res.Total.Requests)
	r.generator(res)
	r.warnings(res, p)
	return errors.Join(feedErr(), replayErr)
}

// feed chooses where the jobs of the measured phase come from. The returned
// function says what went wrong with it in the end.
func (r *run) feed(p *phase, open bool, failed *error) func() error {
	limit := uint64(r.config.Requests)
	switch {
	case open:
		f := newTimedFeed(limit)
		s := atRate(r.config.Rate, r.steps)
		if r.replay != nil {
			s = asRecorded(r.replay, r.config.Speed, failed)
		}
		p.feed = f
		p.begin = func(ctx context.Context, start time.Time) {
			f.run(ctx, start, p.duration, s, r.around.sleep)
		}
	case r.replay != nil:
		f := &recordedFeed{log: r.replay, limit: limit, lasts: p.duration}
		p.feed = f
		return func() error {
			if errors.Is(f.err, io.EOF) {
				return nil
			}
			return f.err
		}
	default:
		p.feed = &counterFeed{first: r.steps, limit: limit, lasts: p.duration}
	}
	return func() error { return nil }
}

// targetRoots are the processes whose CPU is the target's.
func (r *run) targetRoots() []int {
	if r.config.TargetPID > 0 {
		return []int{r.config.TargetPID}
	}
	host, port, err := net.SplitHostPort(r.dialer.target)
	n, err2 := strconv.ParseUint(port, 10, 16)
	if err != nil || err2 != nil || !isLocal(host) || r.config.Proxy == "" {
		return nil
	}
	return portholder.PIDs(uint16(n))
}

// isLocal reports an address of this machine.
func isLocal(host string) bool {
	if host == "localhost" || host == "" {
		return true
	}
	ip := net.ParseIP(host)
	if ip == nil {
		return false
	}
	if ip.IsLoopback() {
		return true
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.Equal(ip) {
			return true
		}
	}
	return false
}

func (r *run) originStats(res *Result, c origin.Counts) {
	res.Origin = OriginStats{
		Known: r.origin.known(), Requests: c.Requests, Full: c.Full, Partial: c.Partial,
		NotModified: c.NotModified, Other: c.Other, Bytes: c.Bytes,
	}
}

// judgeOrigin adds the fetches that no answer admits.
func (r *run) judgeOrigin(res *Result) {
	if !res.Origin.Known || r.rules.limits.behind || r.config.Proxy == "" {
		return
	}
	n, example := r.ledger.hidden()
	if r.rules.serials == nil && r.config.RangeShare == 0 {
		n = res.Origin.Requests - res.Origin.Claimed - r.ledger.excused()
		example = fmt.Sprintf("the origin was asked %d times, and the answers admit %d", res.Origin.Requests, res.Origin.Claimed)
	}
	if n <= 0 {
		return
	}
	for i := range res.Failures {
		if res.Failures[i].Class == StatusLies {
			res.Failures[i].Count += n
			return
		}
	}
	res.Failures = append(res.Failures, Failure{Class: StatusLies, Count: n, Example: example})
}

// busyLimit is from when the generator is taken for the bottleneck.
const busyLimit = 0.9

func (r *run) generator(res *Result) {
	g := &res.Generator
	g.GoVersion, g.GOMAXPROCS, g.CPUs = runtime.Version(), runtime.GOMAXPROCS(0), runtime.NumCPU()
	if res.Duration > 0 {
		g.Busy = res.GeneratorCPU.Total().Seconds() / res.Duration.Seconds() / float64(g.GOMAXPROCS)
	}
	g.Bottleneck = g.Busy > busyLimit
}

// lateLimit is a delay of the generator's own that spoils what it measures.
const lateLimit = 5 * time.Millisecond

// warnings say what makes the figures doubtful.
func (r *run) warnings(res *Result, p *phase) {
	warn := func(format string, args ...any) { res.Warnings = append(res.Warnings, fmt.Sprintf(format, args...)) }
	if g := res.Generator; g.Bottleneck {
		warn("the generator used %.0f%% of its %d processors: it, not the target, may bound these figures", 100*g.Busy, g.GOMAXPROCS)
	}
	if res.Late != nil && res.Late.TotalCount() > 0 {
		if late := time.Duration(res.Late.ValueAtQuantile(99)); late > lateLimit {
			warn("one request in a hundred was sent %v late or more although a connection was free: this machine is too busy to keep time", late.Round(10*time.Microsecond))
		}
	}
	if f, ok := p.feed.(*timedFeed); ok && f.unsent > 0 {
		warn("%d requests that were due have not been sent: all %d connections were busy; their wait is in no figure", f.unsent, r.config.Connections)
	}
	if r.replay != nil && r.replay.Skipped() > 0 {
		warn("%d lines of %s were left out: no GET or HEAD of an http URL, or no log line", r.replay.Skipped(), r.config.Replay)
	}
	if res.Duration < time.Second && !res.Interrupted {
		warn("the run lasted only %v: too short to mean much", res.Duration.Round(time.Millisecond))
	}
	if o := res.Origin; o.Known && r.config.Proxy != "" && o.Requests-o.Claimed-r.ledger.excused() > max(5, o.Requests/100) && r.rules.limits.behind {
		warn("the origin was asked %d times and the answers admit %d: refreshes behind the answers, or Cache-Status does not tell all", o.Requests, o.Claimed)
	}
}
