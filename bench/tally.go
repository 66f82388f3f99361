package bench

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Histograms count nanoseconds from 64 up to an hour with three figures. What
// takes longer counts as an hour.
const (
	lowest  = 100
	highest = int64(time.Hour)
	figures = 3
)

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(lowest, highest, figures) }

func record(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(min(max(int64(d), 0), highest)) // within its bounds
}

// sample is what one request adds to the figures.
type sample struct {
	class   Class
	failure FailureClass
	status  int
	bytes   int64
	latency time.Duration
	service time.Duration
	ttfb    time.Duration
	late    time.Duration // <0: no connection was free
	node    []byte
	fetched bool
	example func() string // called for the first failure of a class
}

// tally sums up the samples of some of the connections.
type tally struct {
	open bool

	mu       sync.Mutex // guards all below
	classes  map[Class]*ClassStats
	failures map[FailureClass]*Failure
	nodes    map[string]*NodeStats
	statuses map[int]int64
	late     *hdrhistogram.Histogram
	claimed  int64
	step     step // since the collector last came
}

// step is what happened in one step of the series.
type step struct {
	Point
	lies    int64
	latency *hdrhistogram.Histogram
}

func newStep() step {
	return step{latency: hdrhistogram.New(1000, highest, 2)}
}

func newTally(open bool) *tally {
	return &tally{
		open: open, classes: map[Class]*ClassStats{}, failures: map[FailureClass]*Failure{},
		nodes: map[string]*NodeStats{}, statuses: map[int]int64{}, late: newHistogram(), step: newStep(),
	}
}

// maxNodes bounds the names of nodes that are told apart.
const maxNodes = 1000

func (t *tally) add(s *sample) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.classes[s.class]
	if c == nil {
		c = newClassStats(s.class, t.open)
		t.classes[s.class] = c
	}
	c.Requests++
	c.Bytes += s.bytes
	record(c.Latency, s.latency)
	record(c.TTFB, s.ttfb)
	if t.open {
		record(c.Service, s.service)
		if s.late >= 0 {
			record(t.late, s.late)
		}
	}
	if s.status != 0 {
		t.statuses[s.status]++
	}
	if s.fetched {
		t.claimed++
	}
	t.addNode(s)
	t.addFailure(s)
	t.step.add(s)
}

func newClassStats(c Class, open bool) *ClassStats {
	s := &ClassStats{Class: c, Latency: newHistogram(), TTFB: newHistogram()}
	if open {
		s.Service = newHistogram()
	}
	return s
}

func (t *tally) addNode(s *sample) {
	if len(s.node) == 0 {
		return
	}
	n := t.nodes[string(s.node)]
	if n == nil {
		if len(t.nodes) == maxNodes {
			return
		}
		n = &NodeStats{Node: string(s.node)}
		t.nodes[n.Node] = n
	}
	n.Requests++
	if s.class.IsHit() {
		n.Hits++
	}
}

func (t *tally) addFailure(s *sample) {
	if s.failure == "" {
		return
	}
	f := t.failures[s.failure]
	if f == nil {
		f = &Failure{Class: s.failure, Example: s.example()}
		t.failures[s.failure] = f
	}
	f.Count++
	if f.Lie() {
		t.step.lies++
	}
}

func (p *step) add(s *sample) {
	p.Requests++
	p.Bytes += s.bytes
	switch {
	case s.class == Failed:
		p.Errors++
	case s.class.IsHit():
		p.Hits++
		p.Cached++
	case s.class == Miss:
		p.Cached++
	}
	record(p.latency, s.latency)
}

// take swaps the current step for an empty one.
func (t *tally) take(empty step) step {
	t.mu.Lock()
	defer t.mu.Unlock()
	full := t.step
	t.step = empty
	return full
}

func (p *step) merge(from step) {
	p.Requests += from.Requests
	p.Hits += from.Hits
	p.Cached += from.Cached
	p.Errors += from.Errors
	p.Bytes += from.Bytes
	p.lies += from.lies
	p.latency.Merge(from.latency)
}

// point is the step as it is shown.
func (p *step) point(at, span time.Duration) Point {
	out := p.Point
	out.At, out.Span = at, span
	if p.Requests > 0 {
		out.P50 = time.Duration(p.latency.ValueAtQuantile(50))
		out.P99 = time.Duration(p.latency.ValueAtQuantile(99))
		out.Max = time.Duration(p.latency.Max())
	}
	return out
}

func (p *step) reset() {
	p.Point, p.lies = Point{}, 0
	p.latency.Reset()
}

// sum adds the tallies up into r. Nobody adds to them any more.
func sum(tallies []*tally, r *Result) {
	open := r.Loop == OpenLoop
	classes, failures := map[Class]*ClassStats{}, map[FailureClass]*Failure{}
	nodes, statuses := map[string]*NodeStats{}, map[int]int64{}
	late := newHistogram()
	for _, t := range tallies {
		t.mu.Lock()
		mergeClasses(classes, t.classes, open)
		for class, f := range t.failures {
			if have := failures[class]; have != nil {
				have.Count += f.Count
			} else {
				c := *f
				failures[class] = &c
			}
		}
		for name, n := range t.nodes {
			if nodes[name] == nil {
				nodes[name] = &NodeStats{Node: name}
			}
			nodes[name].Requests += n.Requests
			nodes[name].Hits += n.Hits
		}
		for code, n := range t.statuses {
			statuses[code] += n
		}
		late.Merge(t.late)
		r.Origin.Claimed += t.claimed
		t.mu.Unlock()
	}
	total := newClassStats("", open)
	for _, class := range Classes() {
		if c := classes[class]; c != nil {
			mergeClass(total, c)
			r.PerClass = append(r.PerClass, *c)
		}
	}
	r.Total = *total
	if open {
		r.Late = late
	} else {
		correct(r)
	}
	for _, f := range failures {
		r.Failures = append(r.Failures, *f)
	}
	for _, n := range nodes {
		r.Nodes = append(r.Nodes, *n)
	}
	slices.SortFunc(r.Nodes, func(a, b NodeStats) int { return cmp.Compare(a.Node, b.Node) })
	for code, n := range statuses {
		r.Statuses = append(r.Statuses, StatusStats{Code: code, Requests: n})
	}
	slices.SortFunc(r.Statuses, func(a, b StatusStats) int { return cmp.Compare(a.Code, b.Code) })
}

// sortFailures puts the most frequent first.
func sortFailures(f []Failure) {
	slices.SortFunc(f, func(a, b Failure) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Class, b.Class))
	})
}

func mergeClasses(into, from map[Class]*ClassStats, open bool) {
	for class, c := range from {
		if into[class] == nil {
			into[class] = newClassStats(class, open)
		}
		mergeClass(into[class], c)
	}
}

func mergeClass(into, from *ClassStats) {
	into.Requests += from.Requests
	into.Bytes += from.Bytes
	into.Latency.Merge(from.Latency)
	into.TTFB.Merge(from.TTFB)
	if into.Service != nil && from.Service != nil {
		into.Service.Merge(from.Service)
	}
}

// correct adds to each class the requests that a closed loop did not send while
// it waited. What it would have sent comes as often as an ordinary answer: the
// median of all.
func correct(r *Result) {
	expected := r.Total.Latency.ValueAtQuantile(50)
	r.Total.Corrected = corrected(r.Total.Latency, expected)
	for i := range r.PerClass {
		r.PerClass[i].Corrected = corrected(r.PerClass[i].Latency, expected)
	}
}

// mostAdded bounds what one slow answer can add: behind it, the shape no longer
// changes and only time is lost.
const mostAdded = 1_000_000

func corrected(h *hdrhistogram.Histogram, expected int64) *hdrhistogram.Histogram {
	out := newHistogram()
	for _, bar := range h.Distribution() {
		if bar.Count == 0 {
			continue
		}
		v := min(bar.To, highest)
		_ = out.RecordValues(v, bar.Count) // within its bounds, as those below are
		if expected <= 0 {
			continue
		}
		interval := max(expected, v/mostAdded)
		for missing := v - interval; missing >= interval; missing -= interval {
			_ = out.RecordValues(missing, bar.Count)
		}
	}
	return out
}
