package report

import (
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/cachenode/cachenode/bench"
)

// ramp is a histogram of n latencies from step to n*step.
func ramp(t testing.TB, n int, step time.Duration) *hdrhistogram.Histogram {
	t.Helper()
	h := hdrhistogram.New(1, int64(time.Hour), 3)
	for i := range n {
		if err := h.RecordValue(int64(i+1) * int64(step)); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// eventful is a run in which everything occurred that a report can show; the
// names in it are hostile.
func eventful(t testing.TB) *bench.Result {
	t.Helper()
	c := bench.DefaultConfig()
	c.Rate, c.Duration, c.RangeShare = 1000, 10*time.Second, 0.1
	all := ramp(t, 10_000, 2*time.Microsecond)
	r := &bench.Result{
		Config: c, Loop: bench.OpenLoop, Target: "127.0.0.1:3128", Software: "cachenode <script>alert(1)</script>\x1b[2J",
		Start: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Duration: 10 * time.Second,
		Warm:  &bench.Phase{Requests: 500, Errors: 1, Hits: 3, Duration: time.Second},
		Total: bench.ClassStats{Requests: 10_000, Bytes: 102_400_000, Latency: all, Service: all, TTFB: all},
		PerClass: []bench.ClassStats{
			{Class: bench.Hit, Requests: 8000, Bytes: 81_920_000, Latency: ramp(t, 8000, time.Microsecond), TTFB: all},
			{Class: bench.DiskHit, Requests: 1000, Bytes: 10_240_000, Latency: ramp(t, 1000, 9*time.Microsecond), TTFB: all},
			{Class: bench.Miss, Requests: 990, Bytes: 10_137_600, Latency: ramp(t, 990, 20*time.Microsecond), TTFB: all},
			{Class: bench.Failed, Requests: 10, Latency: ramp(t, 10, time.Millisecond)},
		},
		Nodes:    []bench.NodeStats{{Node: "cachenode-n1", Requests: 6000, Hits: 5500}, {Node: `"><svg onload=alert(1)>`, Requests: 3990, Hits: 3500}},
		Statuses: []bench.StatusStats{{Code: 200, Requests: 8990}, {Code: 206, Requests: 1000}, {Code: 502, Requests: 7}},
		Failures: []bench.Failure{
			{Class: bench.BadStatus, Count: 7, Example: "3.2s http://127.0.0.1:9/o/1: 502 Bad Gateway"},
			{Class: bench.Foreign, Count: 3, Example: "4.1s http://127.0.0.1:9/o/2: <b>the body of</b> http://127.0.0.1:9/o/3\r\nx"},
		},
		Origin:       bench.OriginStats{Known: true, Requests: 995, Full: 900, Partial: 90, NotModified: 5, Bytes: 10_000_000, Claimed: 990},
		TargetCPU:    &bench.CPU{User: 150 * time.Millisecond, System: 80 * time.Millisecond, PerRequest: 23 * time.Microsecond, RSS: 50 << 20, Processes: []bench.ProcessCPU{{PID: 1, Name: "cachenode"}}},
		GeneratorCPU: bench.CPU{User: 100 * time.Millisecond, System: 90 * time.Millisecond, PerRequest: 19 * time.Microsecond},
		Late:         ramp(t, 100, time.Microsecond),
		Generator:    bench.Generator{GoVersion: "go1.26.8", GOMAXPROCS: 2, CPUs: 2, Busy: 0.097},
		Warnings:     []string{"the origin served 5 fetches more than the answers admit"},
	}
	r.Series.Step = time.Second
	for i := range 10 {
		p := bench.Point{At: time.Duration(i) * time.Second, Span: time.Second, Requests: 1000, Hits: 900, Cached: 999, Errors: 1, Bytes: 10_240_000,
			P50: 5 * time.Millisecond, P99: 19 * time.Millisecond, Max: 20 * time.Millisecond}
		r.Series.Points = append(r.Series.Points, p)
	}
	return r
}

// bare is a run in which nothing ended.
func bare() *bench.Result {
	return &bench.Result{
		Config: bench.DefaultConfig(), Loop: bench.ClosedLoop, Target: "192.0.2.1:3128", Start: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Interrupted: true, Total: bench.ClassStats{Latency: hdrhistogram.New(1, int64(time.Hour), 3)},
		Generator: bench.Generator{GoVersion: "go1.26.8", GOMAXPROCS: 1, CPUs: 2, Bottleneck: true},
		Warnings:  []string{"the generator used all of its processor: the proxy may be faster than this"},
	}
}
