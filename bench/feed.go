package bench

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cachenode/cachenode/bench/workload"
)

// feed hands the requests of a phase out to the workers.
type feed interface {
	// begin says when the phase begins, before anybody asks.
	begin(start time.Time)
	// next waits for the next job; false means that there is none left.
	next(ctx context.Context) (job, bool)
	// done is how far the phase is by its count; <0 where it has none.
	done() float64
}

// counterFeed is the closed loop: a job is there whenever somebody wants one.
type counterFeed struct {
	first uint64
	limit uint64        // 0: none
	lasts time.Duration // 0: no end
	until time.Time
	taken atomic.Uint64
}

func (f *counterFeed) begin(start time.Time) { f.until = end(start, f.lasts) }

// end is zero for what has none.
func end(start time.Time, lasts time.Duration) time.Time {
	if lasts == 0 {
		return time.Time{}
	}
	return start.Add(lasts)
}

func (f *counterFeed) next(ctx context.Context) (job, bool) {
	n := f.taken.Add(1) - 1
	if f.limit > 0 && n >= f.limit || ctx.Err() != nil || !f.until.IsZero() && !time.Now().Before(f.until) {
		return job{}, false
	}
	return job{step: f.first + n}, true
}

func (f *counterFeed) done() float64 {
	if f.limit == 0 {
		return -1
	}
	return float64(min(f.taken.Load(), f.limit)) / float64(f.limit)
}

// timedFeed is the open loop: one goroutine hands jobs out when they are due. It
// is late when all workers are busy; the jobs keep the time at which they were
// due.
type timedFeed struct {
	jobs  chan job
	limit uint64
	taken atomic.Uint64
	// unsent is how many were due at the end and had found no worker.
	unsent int64
}

// schedule makes the next job, with due relative to the beginning; false ends it.
type schedule func(n uint64) (j job, due time.Duration, ok bool)

func newTimedFeed(limit uint64) *timedFeed {
	// No room: a worker that takes a job was free when it was handed out.
	return &timedFeed{jobs: make(chan job), limit: limit}
}

// run hands out jobs until the schedule ends or until, counted from start, is
// over. What was due before that and has found no worker yet is unsent.
func (f *timedFeed) run(ctx context.Context, start time.Time, until time.Duration, s schedule, sleep sleeper) {
	defer close(f.jobs)
	over := make(<-chan time.Time) // never, where there is no end
	if until > 0 {
		t := time.NewTimer(time.Until(start.Add(until)))
		defer t.Stop()
		over = t.C
	}
	for n := uint64(0); f.limit == 0 || n < f.limit; n++ {
		j, due, ok := s(n)
		if !ok || until > 0 && due >= until {
			return
		}
		j.due = start.Add(due)
		for wait := time.Until(j.due); wait > 0; wait = time.Until(j.due) {
			if !sleep(ctx, wait) {
				return
			}
		}
		select {
		case f.jobs <- j:
			f.taken.Add(1)
		case <-over:
			f.unsent = 1 + countDue(s, n+1, f.limit, until)
			return
		case <-ctx.Done():
			return
		}
	}
}

// countDue is how many jobs from n on were due before until.
func countDue(s schedule, n, limit uint64, until time.Duration) (count int64) {
	for ; limit == 0 || n < limit; n++ {
		if _, due, ok := s(n); !ok || due >= until {
			break
		}
		count++
	}
	return count
}

func (*timedFeed) begin(time.Time) {}

func (f *timedFeed) next(ctx context.Context) (job, bool) {
	select {
	case j, ok := <-f.jobs:
		return j, ok
	case <-ctx.Done():
		return job{}, false
	}
}

func (f *timedFeed) done() float64 {
	if f.limit == 0 {
		return -1
	}
	return float64(f.taken.Load()) / float64(f.limit)
}

// atRate is a schedule of evenly spaced jobs.
func atRate(rate float64, first uint64) schedule {
	return func(n uint64) (job, time.Duration, bool) {
		return job{step: first + n}, time.Duration(float64(n) / rate * float64(time.Second)), true
	}
}

// recordedFeed hands a log out as fast as it goes.
type recordedFeed struct {
	lasts time.Duration // 0: no end
	until time.Time
	mu    sync.Mutex // guards log, step and err
	log   *workload.Replay
	step  uint64
	limit uint64
	err   error
}

func (f *recordedFeed) begin(start time.Time) { f.until = end(start, f.lasts) }

func (f *recordedFeed) next(ctx context.Context) (job, bool) {
	if ctx.Err() != nil || !f.until.IsZero() && !time.Now().Before(f.until) {
		return job{}, false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil || f.limit > 0 && f.step >= f.limit {
		return job{}, false
	}
	r, err := f.log.Next()
	if err != nil {
		f.err = err
		return job{}, false
	}
	f.step++
	return job{step: f.step - 1, recorded: &r}, true
}

func (f *recordedFeed) done() float64 { return -1 }

// asRecorded is the schedule of a log, speed times as fast.
func asRecorded(log *workload.Replay, speed float64, failed *error) schedule {
	return func(n uint64) (job, time.Duration, bool) {
		r, err := log.Next()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				*failed = err
			}
			return job{}, 0, false
		}
		return job{step: n, recorded: &r}, time.Duration(float64(r.After) / speed), true
	}
}
