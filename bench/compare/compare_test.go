package compare

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/cachenode/cachenode/bench"
	"github.com/cachenode/cachenode/bench/plot/plottest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scripted is a load that takes no time: it answers with the CPU per request of
// each target and round, in microseconds.
type scripted struct {
	cost map[string][]int
	seen []bench.Config
	stop func(run int) bool
}

func (s *scripted) load(ctx context.Context, c bench.Config, _ func(bench.Snapshot)) (*bench.Result, error) {
	s.seen = append(s.seen, c)
	costs := s.cost[c.Proxy]
	if len(costs) == 0 {
		return nil, errors.New("connection refused")
	}
	s.cost[c.Proxy] = costs[1:]
	h := hdrhistogram.New(1, int64(time.Hour), 3)
	_ = h.RecordValue(int64(costs[0]) * int64(time.Millisecond))
	r := &bench.Result{
		Config: c, Duration: time.Second, Total: bench.ClassStats{Requests: 1000, Bytes: 1e9, Latency: h},
		PerClass:  []bench.ClassStats{{Class: bench.Hit, Requests: 990}, {Class: bench.Miss, Requests: 10}},
		TargetCPU: &bench.CPU{User: time.Second, PerRequest: time.Duration(costs[0]) * time.Microsecond, RSS: 1 << 20},
		Warnings:  []string{"busy"}, Interrupted: ctx.Err() != nil || s.stop != nil && s.stop(len(s.seen)),
	}
	return r, nil
}

func options() Options {
	o := DefaultOptions()
	o.Workload.Origin, o.Proxies, o.Rounds, o.Settle = "127.0.0.1:9", []string{"127.0.0.1:1", "127.0.0.1:2"}, 3, 0
	return o
}

func run(t *testing.T, ctx context.Context, o Options, s *scripted) *Report { //nolint:revive // t comes first in tests
	t.Helper()
	r, err := Run(ctx, o, Hooks{Load: s.load, Version: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The targets take turns; ratios are those of pairs that ran side by side.
func TestInterleavedRatios(t *testing.T) {
	s := &scripted{cost: map[string][]int{"127.0.0.1:1": {10, 20, 30}, "127.0.0.1:2": {20, 20, 20}}}
	r := run(t, t.Context(), options(), s)
	var order []string
	for _, c := range s.seen {
		order = append(order, c.Proxy[len(c.Proxy)-1:])
	}
	if got := strings.Join(order, ""); got != "121212" {
		t.Errorf("the order is %s", got)
	}
	ratio, ok := r.ratio("cpu_seconds_per_request", "127.0.0.1:2")
	if want := (Spread{Median: 1, Min: 0.5, Max: 1.5}); !ok || !near(ratio.Spread, want) {
		t.Errorf("ratio %+v, want %+v", ratio, want)
	}
	if got := r.Targets[0].Figures["cpu_seconds_per_request"]; !near(got, Spread{20e-6, 10e-6, 30e-6}) {
		t.Errorf("spread %+v", got)
	}
	if got := r.Targets[1].Figures["hit_ratio"]; !near(got, Spread{0.99, 0.99, 0.99}) {
		t.Errorf("hit ratio %+v", got)
	}
	if _, ok := r.ratio("others_cpus", "127.0.0.1:2"); ok {
		t.Error("noise is compared")
	}
	if !slices.Contains(r.Warnings, "127.0.0.1:1: busy") || len(slices.Compact(slices.Sorted(slices.Values(r.Warnings)))) != len(r.Warnings) {
		t.Errorf("warnings %q", r.Warnings)
	}
}

func near(a, b Spread) bool {
	return math.Abs(a.Median-b.Median)+math.Abs(a.Min-b.Min)+math.Abs(a.Max-b.Max) < 1e-9
}

// Objects that are all asked for first stay the same; else each round has its own.
func TestWorkloadOfRounds(t *testing.T) {
	for _, tt := range []struct {
		warm     string
		hits     float64
		runs     int // how many different ones
		warmings int
	}{{"all", -1, 1, 2}, {"", -1, 3, 0}, {"1s", 0.5, 3, 6}, {"all", 0, 3, 6}} {
		s := &scripted{cost: map[string][]int{"127.0.0.1:1": {1, 1, 1}, "127.0.0.1:2": {1, 1, 1}}}
		o := options()
		o.Workload.Warm, o.Workload.HitRatio = tt.warm, tt.hits
		run(t, t.Context(), o, s)
		ids, warmings := map[string]bool{}, 0
		for _, c := range s.seen {
			ids[c.RunID] = true
			if c.Warm != "" {
				warmings++
			}
			if c.Origin != "127.0.0.1:9" {
				t.Errorf("origin %s", c.Origin)
			}
		}
		if len(ids) != tt.runs || warmings != tt.warmings {
			t.Errorf("warm %q, hits %v: %d run ids, want %d; %d warm-ups, want %d", tt.warm, tt.hits, len(ids), tt.runs, warmings, tt.warmings)
		}
	}
}

// A run that was cut and the round around it do not count.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := &scripted{cost: map[string][]int{"127.0.0.1:1": {1, 2, 3}, "127.0.0.1:2": {1, 2, 3}}}
	s.stop = func(n int) bool {
		if n == 4 {
			cancel()
		}
		return n == 4
	}
	r := run(t, ctx, options(), s)
	if !r.Interrupted || r.Rounds != 1 || len(r.Targets[0].Rounds) != 1 || len(r.Targets[1].Rounds) != 1 {
		t.Errorf("%+v", r)
	}
}

// One target that fails does not spoil the others.
func TestTargetFails(t *testing.T) {
	s := &scripted{cost: map[string][]int{"127.0.0.1:1": {1, 2, 3}, "127.0.0.1:2": {1}}}
	r := run(t, t.Context(), options(), s)
	if r.Rounds != 3 || len(r.Targets[0].Rounds) != 3 || r.Targets[1].Error != "connection refused" {
		t.Errorf("%+v", r)
	}
	if !slices.Contains(r.Warnings, "127.0.0.1:2: no further rounds: connection refused") {
		t.Errorf("warnings %q", r.Warnings)
	}
}

func TestValidate(t *testing.T) {
	o := options()
	o.Rounds, o.Against, o.Proxies, o.Memory, o.Workload.Tunnel = 0, []string{"varnish", "nginx"}, []string{"x"}, -1, true
	err := o.Validate()
	for _, want := range []string{"rounds: ", `unknown proxy "varnish"`, "nginx has no CONNECT", `invalid address "x"`, "memory, disk: "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no word of %s in\n%v", want, err)
		}
	}
}

func TestShow(t *testing.T) {
	s := &scripted{cost: map[string][]int{"127.0.0.1:1": {10, 20, 30}, "127.0.0.1:2": {20, 20, 20}}}
	r := run(t, t.Context(), options(), s)
	r.Missing = []string{"trafficserver: not installed (apt-get install trafficserver)"}
	r.Targets[1].Name, r.Targets[1].Version = "squid\x1b", "5.7 <b>"
	r.Summarise()
	var text, html bytes.Buffer
	if err := errors.Join(r.Text(&text), r.HTML(&html)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"2 targets in turn, 3 rounds, not pinned", "\nCPU per request\n",
		"  127.0.0.1:1                 20.0µs  (10.0µs – 30.0µs)\n",
		"  squid? 5.7 <b>              20.0µs  (20.0µs – 20.0µs)       127.0.0.1:1 ÷ squid?  1.00 (0.50 – 1.50)\n",
		"\ntrafficserver: not installed (apt-get install trafficserver)\n", "Warning: 127.0.0.1:1: busy",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, text.String())
		}
	}
	if strings.ContainsAny(text.String()+html.String(), "\x1b") || strings.Contains(html.String(), "<b>") || !strings.Contains(html.String(), `id="plot-0"`) {
		t.Error("names from outside come through")
	}
	if dom := plottest.Open(t, html.String()); strings.Count(dom, "<svg ") != 9 || strings.Count(dom, "<rect") != 9*2 {
		t.Errorf("%d plots with %d bars", strings.Count(dom, "<svg "), strings.Count(dom, "<rect"))
	}
}

func TestReadAgain(t *testing.T) {
	s := &scripted{cost: map[string][]int{"127.0.0.1:1": {10, 20, 30}, "127.0.0.1:2": {20, 20, 20}}}
	r := run(t, t.Context(), options(), s)
	var raw bytes.Buffer
	if err := r.JSON(&raw); err != nil {
		t.Fatal(err)
	}
	again, err := Read(&raw)
	if err != nil {
		t.Fatal(err)
	}
	again.Started = r.Started // without the monotonic part
	if fmt.Sprintf("%+v", again.Targets[1].Figures) != fmt.Sprintf("%+v", r.Targets[1].Figures) || !reflect.DeepEqual(again.Ratios, r.Ratios) {
		t.Errorf("read again it differs\n%+v\n%+v", again, r)
	}
	if _, err := Read(strings.NewReader(`{"kind":"bench","version":1}`)); err == nil {
		t.Error("another kind of report was read")
	}
}
