package compare

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/cachenode/cachenode/bench"
	"github.com/cachenode/cachenode/bench/report"
)

// SchemaVersion is raised when a field of Report changes its meaning or goes.
const SchemaVersion = 1

// Report is a comparison in the form of --json.
type Report struct {
	Version     int              `json:"version"` // SchemaVersion
	Kind        string           `json:"kind"`    // "compare"
	Tool        string           `json:"tool"`
	Started     time.Time        `json:"started"`
	Seconds     float64          `json:"seconds"`
	Interrupted bool             `json:"interrupted"`
	Machine     Machine          `json:"machine"`
	Rounds      int              `json:"rounds"`
	Pinned      bool             `json:"pinned"`
	Workload    []report.Setting `json:"workload"`
	Targets     []Target         `json:"targets"` // the others are held against the first
	Ratios      []Ratio          `json:"ratios"`
	Missing     []string         `json:"missing"` // what was asked for and is not installed or does not start
	Warnings    []string         `json:"warnings"`
}

// Machine is where all of it ran.
type Machine struct {
	OS     string `json:"os"`
	Arch   string `json:"arch"`
	Kernel string `json:"kernel"`
	CPU    string `json:"cpu"`
	CPUs   int    `json:"cpus"`
	Go     string `json:"go"`
}

// Target is one proxy and its rounds.
type Target struct {
	Name    string            `json:"name"`
	Version string            `json:"version"`
	Addr    string            `json:"address"`
	Note    string            `json:"note,omitempty"`
	Started bool              `json:"started"` // for this comparison
	Error   string            `json:"error,omitempty"`
	Rounds  []Round           `json:"rounds"`
	Figures map[string]Spread `json:"figures"` // by the names of Figures, of those that were measured
}

func (t *Target) label() string {
	if t.Version == "" {
		return t.Name
	}
	return t.Name + " " + t.Version
}

// Round is one run. What was not measured is null.
type Round struct {
	Requests       int64    `json:"requests"`
	Errors         int64    `json:"errors"`
	Lies           int64    `json:"lies"`
	Rate           *float64 `json:"requests_per_second"`
	BytesPerSecond *float64 `json:"bytes_per_second"`
	CPUPerRequest  *float64 `json:"cpu_seconds_per_request"`
	CPUPerGB       *float64 `json:"cpu_seconds_per_gb"` // 10⁹ bytes
	P50            *float64 `json:"p50_seconds"`
	P99            *float64 `json:"p99_seconds"`
	HitRatio       *float64 `json:"hit_ratio"`
	RSS            *float64 `json:"rss_bytes"`
	// Others is how many processors were busy with what is not part of the run.
	Others *float64 `json:"others_cpus"`
}

// Figure is one of the figures that are compared.
type Figure struct {
	Name  string // in JSON
	Title string
	Unit  Unit
	of    func(r *Round) *float64
}

// Unit is how a figure is printed.
type Unit int

// The units.
const (
	Seconds Unit = iota
	Number
	Bytes
	Share
)

// Figures are all that are compared, in their order.
func Figures() []Figure {
	return []Figure{
		{"cpu_seconds_per_request", "CPU per request", Seconds, func(r *Round) *float64 { return r.CPUPerRequest }},
		{"cpu_seconds_per_gb", "CPU per GB", Seconds, func(r *Round) *float64 { return r.CPUPerGB }},
		{"requests_per_second", "Requests per second", Number, func(r *Round) *float64 { return r.Rate }},
		{"bytes_per_second", "Bytes per second", Bytes, func(r *Round) *float64 { return r.BytesPerSecond }},
		{"p50_seconds", "Latency p50", Seconds, func(r *Round) *float64 { return r.P50 }},
		{"p99_seconds", "Latency p99", Seconds, func(r *Round) *float64 { return r.P99 }},
		{"hit_ratio", "Hit ratio", Share, func(r *Round) *float64 { return r.HitRatio }},
		{"rss_bytes", "Memory", Bytes, func(r *Round) *float64 { return r.RSS }},
		{"others_cpus", "Noise: processors used by others", Number, func(r *Round) *float64 { return r.Others }},
	}
}

// compared reports that a ratio of this figure means something.
func (f *Figure) compared() bool { return f.Name != "others_cpus" && f.Name != "hit_ratio" }

// Spread is the median of the rounds with the least and the most.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// Ratio is a figure of the first target divided by that of another, round by
// round: each pair ran right after each other.
type Ratio struct {
	Figure string `json:"figure"`
	To     string `json:"to"` // the name of the other target
	Spread
}

func roundOf(r *bench.Result, others *float64) Round {
	d := report.Of(r, "")
	out := Round{
		Requests: d.Requests, Errors: d.Errors, Lies: d.Lies, Rate: &d.Rate, BytesPerSecond: &d.BytesPerSecond,
		HitRatio: d.HitRatio, Others: others,
	}
	if l := d.Total.Latency; l != nil {
		out.P50, out.P99 = &l.P50, &l.P99
	}
	if c := d.TargetCPU; c != nil && d.Requests > 0 {
		out.CPUPerRequest = &c.PerRequest
		rss := float64(c.RSS)
		out.RSS = &rss
		if d.Total.Bytes > 0 {
			gb := (c.User + c.System) * 1e9 / float64(d.Total.Bytes)
			out.CPUPerGB = &gb
		}
	}
	return out
}

// report takes stock. Only complete rounds count, so that all have as many.
func (c *comparison) report(ctx context.Context, started time.Time) *Report {
	workload := c.o.Workload
	workload.Proxy, workload.Origin = "", "" // each target has its own
	r := &Report{
		Version: SchemaVersion, Kind: "compare", Tool: c.h.Version, Started: started, Seconds: time.Since(started).Seconds(),
		Interrupted: ctx.Err() != nil, Machine: machine(), Rounds: c.o.Rounds, Pinned: c.o.Pin,
		Workload: report.Settings(workload), Missing: c.missing, Warnings: c.warned,
	}
	if r.Missing == nil {
		r.Missing = []string{} // lists are never null
	}
	for _, t := range c.targets {
		if t.doc.Error == "" {
			r.Rounds = min(r.Rounds, len(t.doc.Rounds))
		}
	}
	for _, t := range c.targets {
		t.doc.Rounds = append([]Round{}, t.doc.Rounds...)[:min(len(t.doc.Rounds), r.Rounds)]
		r.Targets = append(r.Targets, t.doc)
	}
	r.Summarise()
	return r
}

// Summarise computes the figures of the targets, their ratios and the warnings
// that follow from the rounds.
func (r *Report) Summarise() {
	r.Ratios = []Ratio{}
	if r.Warnings == nil {
		r.Warnings = []string{}
	}
	for i := range r.Targets {
		t := &r.Targets[i]
		t.Figures = map[string]Spread{}
		for _, f := range Figures() {
			if s, ok := spreadOf(valuesOf(t.Rounds, &f)); ok {
				t.Figures[f.Name] = s
			}
			if s, ok := spreadOf(quotients(&f, &r.Targets[0], t)); ok && i > 0 && f.compared() {
				r.Ratios = append(r.Ratios, Ratio{Figure: f.Name, To: t.Name, Spread: s})
			}
		}
		r.judge(t)
	}
}

// noisy is how much of a processor others may use before figures are doubtful.
const noisy = 0.2

func (r *Report) judge(t *Target) {
	var failed, lies int64
	for _, round := range t.Rounds {
		failed += round.Errors
		lies += round.Lies
	}
	warn := func(text string) {
		if !slices.Contains(r.Warnings, text) {
			r.Warnings = append(r.Warnings, text)
		}
	}
	if t.Error != "" {
		warn(fmt.Sprintf("%s: no further rounds: %s", t.Name, t.Error))
	}
	if failed > 0 {
		warn(fmt.Sprintf("%s: %d requests failed, of them %d with an answer that passed for good", t.Name, failed, lies))
	}
	if o, ok := t.Figures["others_cpus"]; ok && o.Max > noisy {
		warn(fmt.Sprintf("%s: others used up to %.2f processors during its runs: the machine is not quiet", t.Name, o.Max))
	}
}

func valuesOf(rounds []Round, f *Figure) []float64 {
	var all []float64
	for i := range rounds {
		if v := f.of(&rounds[i]); v != nil {
			all = append(all, *v)
		}
	}
	return all
}

func quotients(f *Figure, ours, theirs *Target) []float64 {
	var all []float64
	for i := range min(len(ours.Rounds), len(theirs.Rounds)) {
		a, b := f.of(&ours.Rounds[i]), f.of(&theirs.Rounds[i])
		if a != nil && b != nil && *b != 0 {
			all = append(all, *a / *b)
		}
	}
	return all
}

func spreadOf(v []float64) (Spread, bool) {
	if len(v) == 0 {
		return Spread{}, false
	}
	v = slices.Sorted(slices.Values(v))
	median := v[len(v)/2]
	if len(v)%2 == 0 {
		median = (v[len(v)/2-1] + v[len(v)/2]) / 2
	}
	return Spread{Median: median, Min: v[0], Max: v[len(v)-1]}, true
}

func machine() Machine {
	m := Machine{OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU(), Go: runtime.Version()}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(b))
	}
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				m.CPU = strings.TrimSpace(value)
				break
			}
		}
	}
	return m
}

// JSON writes the report.
func (r *Report) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// Read reads a report that JSON wrote.
func Read(in io.Reader) (*Report, error) {
	var r Report
	if err := json.NewDecoder(in).Decode(&r); err != nil {
		return nil, fmt.Errorf("read comparison: %w", err)
	}
	if r.Kind != "compare" || r.Version != SchemaVersion {
		return nil, fmt.Errorf("read comparison: kind %q of version %d: want \"compare\" of version %d", r.Kind, r.Version, SchemaVersion)
	}
	return &r, nil
}
