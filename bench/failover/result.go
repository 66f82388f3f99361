package failover

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// SchemaVersion is raised when a field of Result changes its meaning or goes.
const SchemaVersion = 1

// Result is what a run saw; its JSON form is the output of --json. Times are
// seconds since the start of the run.
type Result struct {
	Version int       `json:"version"` // SchemaVersion
	Kind    string    `json:"kind"`    // "failover"
	Started time.Time `json:"started"`
	Seconds float64   `json:"seconds"`

	VIP            string  `json:"vip"`
	URL            string  `json:"url"`
	Rate           float64 `json:"rate"` // probes a second, per kind of connection
	Kept           int     `json:"kept_connections"`
	TimeoutSeconds float64 `json:"timeout_seconds"`
	SlowSeconds    float64 `json:"slow_seconds"`

	// EventSeconds is when the kill hook was called; nil without one.
	EventSeconds *float64 `json:"event_seconds"`
	EventError   string   `json:"event_error,omitempty"`

	New     Probes `json:"new"`
	OnKept  Probes `json:"kept"`
	IdleEnd int64  `json:"closed_while_idle"` // kept connections closed between requests, which harms none

	// FirstFailure and LastFailure are the intended starts of the first and
	// the last probe that failed; nil when none did.
	FirstFailure *float64 `json:"first_failure_seconds"`
	LastFailure  *float64 `json:"last_failure_seconds"`
	// Outage is from the event, else from the first failure, to the last.
	Outage *float64 `json:"outage_seconds"`

	Nodes    []Node    `json:"nodes"`
	StepSize float64   `json:"step_seconds"`
	Timeline []Step    `json:"timeline"`
	Examples []Example `json:"examples"` // the first that were not plainly good
}

// Probes are the figures of one kind of connection.
type Probes struct {
	Probes int64 `json:"probes"`
	OK     int64 `json:"ok"`
	Slow   int64 `json:"slow"`   // right, but late
	Stale  int64 `json:"stale"`  // the kept connection had died; asked again on a new one
	Failed int64 `json:"failed"` // no right answer in time

	// LongestGap is the longest time without a right answer, from GapAt on.
	// Recovered is false when probes failed until the end.
	LongestGap float64 `json:"longest_gap_seconds"`
	GapAt      float64 `json:"longest_gap_at_seconds"`
	Recovered  bool    `json:"recovered"`

	P50 float64 `json:"p50_seconds"`
	P99 float64 `json:"p99_seconds"`
	Max float64 `json:"max_seconds"`

	Errors map[string]int64 `json:"errors"` // failures by class
}

// Node is how many right answers one node gave; Before all of them if there
// was no event.
type Node struct {
	Name   string `json:"name"` // "": the answers did not tell
	Before int64  `json:"before"`
	After  int64  `json:"after"`
}

// Step is one step of the timeline; probes count where they were due.
type Step struct {
	AtSeconds  float64          `json:"at_seconds"`
	OK         int64            `json:"ok"`
	Slow       int64            `json:"slow"`
	Stale      int64            `json:"stale"`
	Failed     int64            `json:"failed"`
	MaxSeconds float64          `json:"max_seconds"`
	Nodes      map[string]int64 `json:"nodes"`
}

func (s *Step) join(o *Step) {
	s.OK += o.OK
	s.Slow += o.Slow
	s.Stale += o.Stale
	s.Failed += o.Failed
	s.MaxSeconds = max(s.MaxSeconds, o.MaxSeconds)
	for name, n := range o.Nodes {
		s.Nodes[name] += n
	}
}

// Example is one probe that was not plainly good.
type Example struct {
	AtSeconds   float64 `json:"at_seconds"`
	TookSeconds float64 `json:"took_seconds"`
	Connection  string  `json:"connection"` // new, kept
	Outcome     string  `json:"outcome"`    // slow, stale, failed
	Class       string  `json:"class,omitempty"`
	Error       string  `json:"error,omitempty"`
	Node        string  `json:"node,omitempty"`
}

// LongestGap is the longest time in which probes of a kind had no right answer.
func (r *Result) LongestGap() time.Duration {
	return time.Duration(max(r.New.LongestGap, r.OnKept.LongestGap) * float64(time.Second))
}

// Failed is the number of probes without a right answer.
func (r *Result) Failed() int64 { return r.New.Failed + r.OnKept.Failed }

// result takes stock at the end of the run.
func (t *tally) result(took time.Duration) *Result {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := &Result{
		Version: SchemaVersion, Kind: "failover", Started: t.start, Seconds: took.Seconds(),
		VIP: t.o.VIP, URL: t.o.URL, Rate: t.o.Rate, Kept: t.o.Kept,
		TimeoutSeconds: t.o.Timeout.Seconds(), SlowSeconds: t.o.Slow.Seconds(),
		EventError: t.eventErr, IdleEnd: t.closed,
		New: t.counts[onNew].probesOf(took), OnKept: t.counts[onKept].probesOf(took),
		Nodes: t.nodeList(), StepSize: t.step.Seconds(), Timeline: t.steps, Examples: t.examples,
	}
	slices.SortStableFunc(r.Examples, func(a, b Example) int { return cmp.Compare(a.AtSeconds, b.AtSeconds) })
	since := t.first
	if t.hasEvent {
		r.EventSeconds = seconds(t.eventAt)
		since = t.eventAt
	}
	if t.failed {
		r.FirstFailure, r.LastFailure = seconds(t.first), seconds(t.last)
		r.Outage = seconds(max(t.last-since, 0))
	}
	return r
}

func seconds(d time.Duration) *float64 {
	s := d.Seconds()
	return &s
}

func (c *counts) probesOf(took time.Duration) Probes {
	p := Probes{Probes: c.probes, OK: c.ok, Slow: c.slow, Stale: c.stale, Failed: c.failed, Recovered: !c.down, Errors: maps.Clone(c.classes)}
	if c.probes == 0 {
		return p
	}
	gap, at := c.gap, c.gapAt
	if open := took - c.lastGood; open > gap {
		gap, at = open, c.lastGood
	}
	p.LongestGap, p.GapAt = gap.Seconds(), at.Seconds()
	quantile := func(q float64) float64 { return float64(c.latency.ValueAtQuantile(q)) / 1e6 }
	p.P50, p.P99, p.Max = quantile(50), quantile(99), float64(c.latency.Max())/1e6
	return p
}

func (t *tally) nodeList() []Node {
	nodes := []Node{}
	for name, n := range t.nodes {
		nodes = append(nodes, Node{Name: name, Before: n[0], After: n[1]})
	}
	slices.SortFunc(nodes, func(a, b Node) int { return cmp.Compare(a.Name, b.Name) })
	return nodes
}
