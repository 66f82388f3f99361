// Package report shows what a run of package bench measured: as text, as JSON,
// in the percentile format of HdrHistogram, as one HTML page, and as a line
// while it runs. It measures nothing itself.
package report

import (
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/cachenode/cachenode/bench"
	"github.com/cachenode/cachenode/bench/figure"
)

// SchemaVersion is raised when a field of Document changes its meaning or goes;
// new fields do not raise it.
const SchemaVersion = 1

// Document is a result in the form of --json: plain numbers, seconds and bytes.
// What was not measured is null. docs/benchmarking.md describes it.
type Document struct {
	Version     int       `json:"version"` // SchemaVersion
	Kind        string    `json:"kind"`    // "bench"
	Tool        string    `json:"tool"`    // version of cachenode that made the load
	Target      string    `json:"target"`
	Software    string    `json:"software"`
	Loop        string    `json:"loop"` // open, closed
	Started     time.Time `json:"started"`
	Seconds     float64   `json:"seconds"`
	Interrupted bool      `json:"interrupted"`
	Config      []Setting `json:"config"`
	Warm        *Warm     `json:"warm"`

	Requests       int64    `json:"requests"`
	Rate           float64  `json:"requests_per_second"` // good ones
	BytesPerSecond float64  `json:"bytes_per_second"`
	HitRatio       *float64 `json:"hit_ratio"` // null: no cache had a say
	ByteHitRatio   *float64 `json:"byte_hit_ratio"`
	Errors         int64    `json:"errors"`
	Lies           int64    `json:"lies"` // of the errors: answers that passed for good ones

	Total    Class     `json:"total"`
	Classes  []Class   `json:"classes"`
	Statuses []Status  `json:"statuses"`
	Failures []Failure `json:"failures"`
	Series   Series    `json:"series"`
	Nodes    []Node    `json:"nodes"`
	Origin   *Origin   `json:"origin"`

	TargetCPU *CPU      `json:"target_cpu"`
	Generator Generator `json:"generator"`
	Warnings  []string  `json:"warnings"`
}

// Setting is one field of the configuration.
type Setting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Warm is the account of the warm phase.
type Warm struct {
	Requests int64   `json:"requests"`
	Errors   int64   `json:"errors"`
	Hits     int64   `json:"hits"`
	Seconds  float64 `json:"seconds"`
}

// Class is the figures of one class of answers.
type Class struct {
	Class     string   `json:"class"`
	Requests  int64    `json:"requests"`
	Share     float64  `json:"share"` // of all requests
	Rate      float64  `json:"requests_per_second"`
	Bytes     int64    `json:"bytes"`
	Latency   *Latency `json:"latency"`
	Corrected *Latency `json:"corrected_latency"` // closed loop: coordinated omission put in
	Service   *Latency `json:"service_time"`      // open loop: from the sending
	TTFB      *Latency `json:"time_to_first_byte"`
}

// Latency is a distribution, in seconds.
type Latency struct {
	Min   float64    `json:"min"`
	Mean  float64    `json:"mean"`
	P50   float64    `json:"p50"`
	P90   float64    `json:"p90"`
	P99   float64    `json:"p99"`
	P999  float64    `json:"p99.9"`
	Max   float64    `json:"max"`
	Curve []Quantile `json:"curve"` // for plots
}

// Quantile is one point of a distribution.
type Quantile struct {
	Quantile float64 `json:"quantile"` // 0…1
	Seconds  float64 `json:"seconds"`
}

// Status is how many answers had one status code.
type Status struct {
	Code     int   `json:"code"`
	Requests int64 `json:"requests"`
}

// Failure is one class of failures.
type Failure struct {
	Class   string `json:"class"`
	Count   int64  `json:"count"`
	Lie     bool   `json:"lie"`
	Example string `json:"example"`
}

// Series is the run in equal steps.
type Series struct {
	StepSeconds float64 `json:"step_seconds"`
	Points      []Point `json:"points"`
}

// Point is one step; the last may be shorter.
type Point struct {
	At       float64 `json:"at_seconds"`
	Span     float64 `json:"span_seconds"`
	Requests int64   `json:"requests"`
	Hits     int64   `json:"hits"`
	Cached   int64   `json:"cached"` // those that count in the hit ratio
	Errors   int64   `json:"errors"`
	Bytes    int64   `json:"bytes"`
	P50      float64 `json:"p50"`
	P99      float64 `json:"p99"`
	Max      float64 `json:"max"`
}

// Node is the share of one node.
type Node struct {
	Node     string `json:"node"`
	Requests int64  `json:"requests"`
	Hits     int64  `json:"hits"`
}

// Origin is the origin's own counts.
type Origin struct {
	Requests    int64 `json:"requests"`
	Full        int64 `json:"full"`
	Partial     int64 `json:"partial"`
	NotModified int64 `json:"not_modified"`
	Other       int64 `json:"other"`
	Bytes       int64 `json:"bytes"`
	Claimed     int64 `json:"claimed"` // fetches that the answers admit
}

// CPU is processor time of a process tree.
type CPU struct {
	User       float64 `json:"user_seconds"`
	System     float64 `json:"system_seconds"`
	PerRequest float64 `json:"seconds_per_request"`
	RSS        int64   `json:"rss_bytes"`
	Processes  int     `json:"processes"`
}

// Generator is what made the load.
type Generator struct {
	Go         string   `json:"go"`
	Gomaxprocs int      `json:"gomaxprocs"`
	CPUs       int      `json:"cpus"`
	Busy       float64  `json:"busy"` // share of its processors
	Bottleneck bool     `json:"bottleneck"`
	CPU        CPU      `json:"cpu"`
	Late       *Latency `json:"late"` // open loop: sent later than intended, though a connection was free
}

// Of makes the document of a result; tool is the version of this program.
func Of(r *bench.Result, tool string) *Document {
	d := &Document{
		Version: SchemaVersion, Kind: "bench", Tool: tool,
		Target: r.Target, Software: r.Software, Loop: string(r.Loop), Started: r.Start, Seconds: r.Duration.Seconds(),
		Interrupted: r.Interrupted, Config: Settings(r.Config),
		Requests: r.Total.Requests, Rate: r.Rate(), BytesPerSecond: r.Throughput(), Errors: r.Errors(), Lies: r.Lies(),
		Total: classOf(r.Total, r), Generator: generatorOf(r), TargetCPU: cpuOf(r.TargetCPU), Warnings: r.Warnings,
		Series: seriesOf(r.Series), Classes: []Class{}, Statuses: []Status{}, Failures: []Failure{}, Nodes: []Node{},
	}
	if d.Warnings == nil {
		d.Warnings = []string{} // lists are never null
	}
	d.Total.Class = "all"
	d.HitRatio, d.ByteHitRatio = hitRatios(r)
	if w := r.Warm; w != nil {
		d.Warm = &Warm{Requests: w.Requests, Errors: w.Errors, Hits: w.Hits, Seconds: w.Duration.Seconds()}
	}
	for _, c := range r.PerClass {
		d.Classes = append(d.Classes, classOf(c, r))
	}
	for _, s := range r.Statuses {
		d.Statuses = append(d.Statuses, Status(s))
	}
	for _, f := range r.Failures {
		d.Failures = append(d.Failures, Failure{Class: string(f.Class), Count: f.Count, Lie: f.Lie(), Example: f.Example})
	}
	for _, n := range r.Nodes {
		d.Nodes = append(d.Nodes, Node(n))
	}
	if o := r.Origin; o.Known {
		d.Origin = &Origin{o.Requests, o.Full, o.Partial, o.NotModified, o.Other, o.Bytes, o.Claimed}
	}
	return d
}

// hitRatios are of the answers in which a cache had a say, nil when none had.
func hitRatios(r *bench.Result) (requests, bytes *float64) {
	var hits, all, hitBytes, allBytes int64
	for _, c := range r.PerClass {
		if c.Class.IsHit() {
			hits, hitBytes = hits+c.Requests, hitBytes+c.Bytes
		}
		if c.Class.IsHit() || c.Class == bench.Miss {
			all, allBytes = all+c.Requests, allBytes+c.Bytes
		}
	}
	if all == 0 {
		return nil, nil
	}
	h, b := float64(hits)/float64(all), float64(hitBytes)/float64(max(allBytes, 1))
	return &h, &b
}

func classOf(c bench.ClassStats, r *bench.Result) Class {
	out := Class{
		Class: string(c.Class), Requests: c.Requests, Bytes: c.Bytes,
		Latency: latencyOf(c.Latency), Corrected: latencyOf(c.Corrected), Service: latencyOf(c.Service), TTFB: latencyOf(c.TTFB),
	}
	if r.Total.Requests > 0 {
		out.Share = float64(c.Requests) / float64(r.Total.Requests)
	}
	if r.Duration > 0 {
		out.Rate = float64(c.Requests) / r.Duration.Seconds()
	}
	return out
}

// latencyOf is nil for a histogram that is missing or empty.
func latencyOf(h *hdrhistogram.Histogram) *Latency {
	if h == nil || h.TotalCount() == 0 {
		return nil
	}
	at := func(q float64) float64 { return time.Duration(h.ValueAtQuantile(q)).Seconds() }
	l := &Latency{
		Min: time.Duration(h.Min()).Seconds(), Mean: h.Mean() / 1e9, Max: time.Duration(h.Max()).Seconds(),
		P50: at(50), P90: at(90), P99: at(99), P999: at(99.9),
	}
	for _, q := range curveOf(h.TotalCount()) {
		l.Curve = append(l.Curve, Quantile{Quantile: q, Seconds: at(q * 100)})
	}
	return l
}

// curveOf are the quantiles that n values can tell apart, denser towards 1.
func curveOf(n int64) []float64 {
	all := []float64{0}
	for rest := 1.0; rest*float64(n) >= 1 && rest > 1e-7; rest /= 10 {
		for _, part := range []float64{0.75, 0.5, 0.35, 0.25, 0.15, 0.1} {
			if rest*part*float64(n) >= 1 {
				all = append(all, 1-rest*part)
			}
		}
	}
	return all
}

func seriesOf(s bench.Series) Series {
	out := Series{StepSeconds: s.Step.Seconds(), Points: []Point{}}
	for _, p := range s.Points {
		out.Points = append(out.Points, Point{
			At: p.At.Seconds(), Span: p.Span.Seconds(), Requests: p.Requests, Hits: p.Hits, Cached: p.Cached, Errors: p.Errors,
			Bytes: p.Bytes, P50: p.P50.Seconds(), P99: p.P99.Seconds(), Max: p.Max.Seconds(),
		})
	}
	return out
}

func cpuOf(c *bench.CPU) *CPU {
	if c == nil {
		return nil
	}
	return &CPU{
		User: c.User.Seconds(), System: c.System.Seconds(), PerRequest: c.PerRequest.Seconds(), RSS: c.RSS,
		Processes: max(len(c.Processes), 1),
	}
}

func generatorOf(r *bench.Result) Generator {
	g := r.Generator
	return Generator{
		Go: g.GoVersion, Gomaxprocs: g.GOMAXPROCS, CPUs: g.CPUs, Busy: g.Busy, Bottleneck: g.Bottleneck,
		CPU: *cpuOf(&r.GeneratorCPU), Late: latencyOf(r.Late),
	}
}

// Settings lists what was set in the configuration, by the names of the flags
// where they have one.
func Settings(c bench.Config) []Setting {
	var all []Setting
	add := func(name string, value any, set bool) {
		if set {
			all = append(all, Setting{Name: name, Value: fmt.Sprint(value)})
		}
	}
	add("proxy", c.Proxy, c.Proxy != "")
	add("origin", c.Origin, c.Origin != "")
	add("connections", c.Connections, true)
	add("duration", c.Duration, c.Duration > 0)
	add("requests", c.Requests, c.Requests > 0)
	add("rate", fmt.Sprintf("%g/s", c.Rate), c.Rate > 0)
	add("timeout", c.Timeout, c.Timeout > 0)
	add("new connections", "yes", c.NewConnections)
	add("tunnel", "yes", c.Tunnel)
	share := func(name string, v float64) { add(name, figure.Percent(v), v > 0) }
	share("HEAD requests", c.HeadShare)
	share("POST requests", c.PostShare)
	share("range requests", c.RangeShare)
	share("conditional requests", c.ConditionShare)
	share("reloads", c.ReloadShare)
	share("slow readers", c.SlowReaders)
	add("slow rate", c.SlowRate.String()+"/s", c.SlowReaders > 0)
	add("client addresses", c.ClientIPs, len(c.ClientIPs) > 0)
	add("replay", c.Replay, c.Replay != "")
	add("speed", c.Speed, c.Replay != "")
	add("URLs from", c.URLsFrom, c.URLsFrom != "")
	own := c.Replay == "" && c.URLsFrom == ""
	add("urls", c.URLs, own)
	add("objects", c.Objects, own)
	add("sizes", c.Sizes, own)
	add("hit ratio", figure.Percent(c.HitRatio), c.HitRatio >= 0)
	add("warm", c.Warm, c.Warm != "")
	add("seed", c.Seed, c.Seed != 0)
	add("time to first byte", c.TTFB, c.TTFB > 0)
	add("origin bandwidth", c.Bandwidth.String()+"/s", c.Bandwidth > 0)
	add("Cache-Control", c.CacheControl, c.CacheControl != "")
	add("objects change every", c.ChangeEvery, c.ChangeEvery > 0)
	add("Vary", c.Vary, c.Vary != "")
	add("without ETag", "yes", c.NoETag)
	add("bodies checked", "by length only", !c.CheckBodies)
	return all
}
