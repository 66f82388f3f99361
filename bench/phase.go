package bench

import (
	"context"
	"sync"
	"time"
)

// phase is one stretch of a run with figures of its own.
type phase struct {
	name     string
	feed     feed
	begin    func(ctx context.Context, start time.Time) // runs the feed, where it needs that
	writer   *writer
	tallies  []*tally
	duration time.Duration // 0: until the feed ends
	start    time.Time
	series   Series
	sofar    Snapshot
}

// drive runs a phase to its end and returns how long it took. When ctx ends,
// requests under way are given up and count for nothing.
func (r *run) drive(ctx context.Context, p *phase) time.Duration {
	p.start = time.Now()
	p.feed.begin(p.start)
	var fed, working sync.WaitGroup
	if p.begin != nil {
		fed.Go(func() { p.begin(ctx, p.start) })
	}
	for i, w := range r.workers {
		working.Go(func() { w.work(ctx, p.feed, p.writer, p.tallies[i%len(p.tallies)]) })
	}
	ended := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		select {
		case <-ctx.Done():
			r.out.closeAll()
		case <-ended:
		}
	})
	watching.Go(func() { r.watch(p, ended) })
	working.Wait()
	took := time.Since(p.start)
	fed.Wait()
	close(ended)
	watching.Wait()
	return took
}

// settleSeconds is after how long a fetch is taken to be over.
const settleSeconds = 4

// watch collects the series once a second and tells about it.
func (r *run) watch(p *phase, ended <-chan struct{}) {
	spare := make([]step, len(p.tallies))
	for i := range spare {
		spare[i] = newStep()
	}
	sum := newStep()
	var serials [settleSeconds]uint64 // of the last seconds, the oldest next to go
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for last := p.start; ; {
		over := false
		select {
		case <-tick.C:
		case <-ended:
			over = true
		}
		now := time.Now()
		for i, t := range p.tallies {
			full := t.take(spare[i])
			sum.merge(full)
			full.reset()
			spare[i] = full
		}
		if r.rules.serials != nil {
			r.rules.settled.Store(serials[0])
			copy(serials[:], serials[1:])
			serials[len(serials)-1] = r.rules.serials()
		}
		p.collect(&sum, last.Sub(p.start), now.Sub(last))
		if r.progress != nil {
			r.progress(p.sofar)
		}
		last = now
		sum.reset()
		if over {
			return
		}
	}
}

// collect adds a step to the series and to the snapshot.
func (p *phase) collect(s *step, at, span time.Duration) {
	point := s.point(at, span)
	if span > 0 {
		p.series.append(point)
	}
	n := &p.sofar
	n.Phase, n.Elapsed, n.Last = p.name, at+span, point
	n.Requests += point.Requests
	n.Errors += point.Errors
	n.Hits += point.Hits
	n.Cached += point.Cached
	n.Lies += s.lies
	n.Progress, n.Left = p.outlook(n.Elapsed)
}

// outlook is how far the phase is and what is left of it; <0: not known.
func (p *phase) outlook(elapsed time.Duration) (progress float64, left time.Duration) {
	left = -1
	if p.duration > 0 {
		progress = min(1, float64(elapsed)/float64(p.duration))
		left = max(0, p.duration-elapsed)
	}
	if done := p.feed.done(); done > progress {
		progress = min(done, 1)
		if rest := time.Duration(float64(elapsed) * (1/done - 1)); left < 0 || rest < left {
			left = rest
		}
	}
	return progress, left
}
