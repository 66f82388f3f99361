package bench

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

func within(t *testing.T, what string, got, want int64, tolerance float64) {
	t.Helper()
	if math.Abs(float64(got-want)) > tolerance*float64(want) {
		t.Errorf("%s: %v, want %v", what, time.Duration(got), time.Duration(want))
	}
}

func at(h *hdrhistogram.Histogram, q float64) int64 { return h.ValueAtQuantile(q) }

// slowOnce answers in 10 ms, and the request number n in a second.
func slowOnce(n int) func(*badProxy, *answer) {
	return func(_ *badProxy, a *answer) {
		a.wait = 10 * time.Millisecond
		if a.n == n {
			a.wait = time.Second
		}
	}
}

// In an open loop, what waits behind a slow answer is slow too: latencies count
// from the intended times.
func TestOpenLoopCountsTheWait(t *testing.T) {
	c := small()
	c.Rate, c.Requests, c.Duration = 50, 0, 10*time.Second
	c.Warm, c.Sizes = "all", "1KiB"
	r := through(t, c, slowOnce(10+1+100)) // behind the preflight and the warm phase
	if r.Loop != OpenLoop || r.Total.Requests != 500 || len(r.Failures) > 0 {
		t.Fatalf("%s loop, %d requests, %+v", r.Loop, r.Total.Requests, r.Failures)
	}
	// The second of waiting shifts 50 requests; each of those later ones makes
	// 10 ms good, so 99 wait altogether, the longest 1 s and then 10 ms less each.
	h := r.Total.Latency
	within(t, "p50", at(h, 50), int64(10*time.Millisecond), 0.01)
	within(t, "max", h.Max(), int64(time.Second), 0.01)
	within(t, "p90", at(h, 90), int64(510*time.Millisecond), 0.02)
	within(t, "service p99", at(r.Total.Service, 99), int64(10*time.Millisecond), 0.01)
	within(t, "ttfb p50", at(r.Total.TTFB, 50), int64(10*time.Millisecond), 0.01)
	if r.Total.Corrected != nil || r.Late.Max() > int64(time.Millisecond) {
		t.Errorf("late by %v", time.Duration(r.Late.Max()))
	}
	within(t, "duration", int64(r.Duration), int64(10*time.Second), 0.01)
}

// A closed loop hides the wait; the correction puts it back.
func TestClosedLoopIsCorrected(t *testing.T) {
	c := small()
	c.Requests, c.Warm, c.Sizes = 500, "all", "1KiB"
	r := through(t, c, slowOnce(10+1+100))
	h := r.Total.Latency
	if r.Loop != ClosedLoop || h.TotalCount() != 500 || r.Total.Service != nil {
		t.Fatalf("%s loop, %d", r.Loop, h.TotalCount())
	}
	within(t, "p99", at(h, 99), int64(10*time.Millisecond), 0.01)
	within(t, "max", h.Max(), int64(time.Second), 0.01)
	k := r.Total.Corrected
	within(t, "added", k.TotalCount(), 500+99, 0.01)
	within(t, "corrected p99", at(k, 99), int64(950*time.Millisecond), 0.03)
	within(t, "duration", int64(r.Duration), int64(5990*time.Millisecond), 0.01)
}

// The histogram agrees with what was recorded, over its whole range.
func TestHistogramAccuracy(t *testing.T) {
	h := newHistogram()
	for _, d := range []time.Duration{0, 200, time.Microsecond, 123456, 10 * time.Millisecond, time.Second, 59 * time.Minute, 3 * time.Hour, -5} {
		h.Reset()
		record(h, d)
		if want := min(max(int64(d), 0), highest); math.Abs(float64(h.Max()-want)) > max(64, float64(want)/1000) {
			t.Errorf("%v became %v", d, time.Duration(h.Max()))
		}
	}
}

// The rate is kept over every second, from the first on, by many connections.
func TestRateOverTime(t *testing.T) {
	c := small()
	c.Rate, c.Requests, c.Duration, c.Connections, c.Sizes = 300, 0, 20*time.Second, 16, "100"
	var shots []Snapshot
	synctest.Test(t, func(t *testing.T) {
		n := &network{}
		p := startBadProxy(n, func(_ *badProxy, a *answer) { a.wait = 7 * time.Millisecond })
		defer p.close()
		r, err := runWith(context.Background(), c, func(s Snapshot) { shots = append(shots, s) }, surroundings{dial: n.dial, listen: n.listen, sleep: sleepRuntime})
		if err != nil {
			t.Fatal(err)
		}
		if r.Total.Requests != 6000 {
			t.Errorf("%d requests", r.Total.Requests)
		}
		for _, p := range r.Series.Points {
			if p.Span == time.Second && math.Abs(p.Rate()-300) > 4 {
				t.Errorf("at %v: %.0f/s", p.At, p.Rate())
			}
		}
		if n := len(r.Series.Points); n < 20 || n > 21 {
			t.Errorf("%d points", n)
		}
	})
	last := shots[len(shots)-1]
	if len(shots) < 20 || last.Requests != 6000 || last.Progress != 1 || last.Phase != "measure" {
		t.Errorf("%d snapshots, the last %+v", len(shots), last)
	}
	if s := shots[4]; s.Left < 14*time.Second || s.Left > 16*time.Second || s.Progress < 0.2 || s.Progress > 0.3 {
		t.Errorf("after 5 s: %+v", s)
	}
}

// Requests that were due and could not be sent are told of.
func TestOverload(t *testing.T) {
	c := small()
	c.Rate, c.Requests, c.Duration, c.Sizes = 100, 0, 10*time.Second, "100"
	r := through(t, c, func(_ *badProxy, a *answer) { a.wait = 20 * time.Millisecond })
	// One connection answers 50 a second; of 1000 due some 500 are done.
	if n := r.Total.Requests; n < 499 || n > 502 || len(r.Warnings) != 1 {
		t.Fatalf("%d requests, %q", n, r.Warnings)
	}
	within(t, "max", r.Total.Latency.Max(), int64(5*time.Second), 0.02)
	t.Log(r.Warnings)
}

func TestSlowReaderTakesItsTime(t *testing.T) {
	c := small()
	c.SlowReaders, c.SlowRate, c.Requests, c.Timeout = 1, 10<<10, 5, time.Minute
	r := through(t, c, nil)
	if len(r.Failures) > 0 {
		t.Fatalf("%+v", r.Failures)
	}
	within(t, "p50", at(r.Total.Latency, 50), int64(4*time.Second), 0.1)
}

// Ctrl-C gives what there is, at once, and what was under way is no failure.
func TestInterrupted(t *testing.T) {
	for _, rate := range []float64{0, 20} {
		c := small()
		c.Requests, c.Duration, c.Connections, c.Rate = 0, time.Hour, 4, rate
		synctest.Test(t, func(t *testing.T) {
			n := &network{}
			p := startBadProxy(n, func(_ *badProxy, a *answer) { a.wait = 100 * time.Millisecond })
			defer p.close()
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second+50*time.Millisecond)
			defer cancel()
			start := time.Now()
			r, err := runWith(ctx, c, nil, surroundings{dial: n.dial, listen: n.listen, sleep: sleepRuntime})
			if err != nil || !r.Interrupted || len(r.Failures) > 0 || r.Total.Requests < 100 {
				t.Fatalf("%v, %+v", err, r)
			}
			if took := time.Since(start); took > 11*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

// However long a run is, its series keeps to its bound.
func TestSeriesIsBounded(t *testing.T) {
	var s Series
	const seconds = 40_000
	for i := range seconds {
		s.append(Point{At: time.Duration(i) * time.Second, Span: time.Second, Requests: 10, Hits: 5, Cached: 10, P50: 3, P99: 9, Max: time.Duration(i)})
	}
	var sum int64
	for i, p := range s.Points {
		sum += p.Requests
		if i > 0 && p.At != s.Points[i-1].At+s.Points[i-1].Span {
			t.Fatalf("a gap before %v", p.At)
		}
	}
	if len(s.Points) > maxPoints || sum != 10*seconds || s.Step != 16*time.Second || s.Points[5].P50 != 3 {
		t.Errorf("%d points of %v, %d requests", len(s.Points), s.Step, sum)
	}
}
