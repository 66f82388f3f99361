package failover

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

type kind int

const (
	onNew  kind = iota // a connection of its own
	onKept             // a kept connection
	kinds
)

func (k kind) String() string { return [...]string{"new", "kept"}[k] }

// sample is one probe that ended.
type sample struct {
	kind      kind
	due, done time.Duration // since the start of the run
	node      string
	stale     bool   // a kept connection had died under it first
	class     string // "": answered
	err       string
}

// Bounds of what is kept of a long run.
const (
	maxSteps     = 600 // of the timeline; beyond, steps become twice as long
	maxExamples  = 20
	maxNodeNames = 64
	maxClasses   = 64
)

// otherNodes is where nodes are counted beyond maxNodeNames.
const otherNodes = "(others)"

// tally counts samples as they come. Its methods may be called at the same time.
type tally struct {
	o     Options
	start time.Time

	mu       sync.Mutex // guards everything below
	counts   [kinds]counts
	closed   int64
	eventAt  time.Duration
	hasEvent bool
	eventErr string
	first    time.Duration // intended start of the first probe that failed
	last     time.Duration // and of the last
	failed   bool
	nodes    map[string]*[2]int64 // answers before and after the event
	holder   string
	steps    []Step
	step     time.Duration
	examples []Example
}

type counts struct {
	probes, ok, slow, stale, failed int64
	lastGood                        time.Duration
	gap, gapAt                      time.Duration
	down                            bool // a probe that was due after lastGood failed
	classes                         map[string]int64
	latency                         *hdrhistogram.Histogram // microseconds
}

func newTally(o Options, start time.Time) *tally {
	t := &tally{o: o, start: start, nodes: map[string]*[2]int64{}, steps: []Step{}, examples: []Example{}, step: 100 * time.Millisecond}
	longest := max(4*o.Timeout.Microseconds(), 1000)
	for k := range t.counts {
		t.counts[k] = counts{classes: map[string]int64{}, latency: hdrhistogram.New(1, longest, 3)}
	}
	return t
}

func (t *tally) add(s sample) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := &t.counts[s.kind]
	c.probes++
	took := max(s.done-s.due, 0)
	_ = c.latency.RecordValue(min(took.Microseconds(), c.latency.HighestTrackableValue())) // cannot be out of range
	if s.stale {
		c.stale++
	}
	step := t.stepOf(s.due)
	step.MaxSeconds = max(step.MaxSeconds, took.Seconds())
	switch {
	case s.class != "":
		t.addFailure(c, s)
		step.Failed++
		return
	case took > t.o.Slow:
		c.slow++
		step.Slow++
		t.example(s, "slow")
	case s.stale:
		step.Stale++
		t.example(s, "stale")
	default:
		c.ok++
		step.OK++
	}
	t.good(c, s, step)
}

// good notes an answer that was right, be it late.
func (t *tally) good(c *counts, s sample, step *Step) {
	if gap := s.done - c.lastGood; gap > c.gap {
		c.gap, c.gapAt = gap, c.lastGood
	}
	c.lastGood, c.down = max(c.lastGood, s.done), false
	t.holder = s.node
	name := s.node
	if t.nodes[name] == nil {
		if len(t.nodes) >= maxNodeNames {
			name = otherNodes
		}
		if t.nodes[name] == nil {
			t.nodes[name] = &[2]int64{}
		}
	}
	after := 0
	if t.hasEvent && s.done >= t.eventAt {
		after = 1
	}
	t.nodes[name][after]++
	step.Nodes[name]++
}

func (t *tally) addFailure(c *counts, s sample) {
	c.failed++
	c.down = c.down || s.due >= c.lastGood // one that hung longer says nothing of now
	class := s.class
	if c.classes[class] == 0 && len(c.classes) >= maxClasses {
		class = classOther
	}
	c.classes[class]++
	if !t.failed {
		t.failed, t.first, t.last = true, s.due, s.due
	}
	t.first, t.last = min(t.first, s.due), max(t.last, s.due)
	t.example(s, "failed")
}

func (t *tally) example(s sample, outcome string) {
	if len(t.examples) == maxExamples {
		return
	}
	t.examples = append(t.examples, Example{
		AtSeconds: s.due.Seconds(), TookSeconds: (s.done - s.due).Seconds(), Connection: s.kind.String(),
		Outcome: outcome, Class: s.class, Error: s.err, Node: s.node,
	})
}

// stepOf is the step of the timeline in which a probe was due.
func (t *tally) stepOf(due time.Duration) *Step {
	for int(due/t.step) >= maxSteps {
		t.halve()
	}
	for i := len(t.steps); i <= int(due/t.step); i++ {
		t.steps = append(t.steps, Step{AtSeconds: (time.Duration(i) * t.step).Seconds(), Nodes: map[string]int64{}})
	}
	return &t.steps[due/t.step]
}

// halve joins every two steps into one.
func (t *tally) halve() {
	t.step *= 2
	for i := range t.steps {
		if i%2 == 1 {
			t.steps[i/2].join(&t.steps[i])
		} else {
			t.steps[i/2] = t.steps[i]
		}
	}
	t.steps = t.steps[:(len(t.steps)+1)/2]
}

func (t *tally) closedIdle() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed++
}

func (t *tally) event(at time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hasEvent, t.eventAt = true, at
}

func (t *tally) eventFailed(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.eventErr = err.Error()
}

func (t *tally) progress(now time.Duration) Progress {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := Progress{Elapsed: now, Holder: t.holder}
	if t.o.Duration > 0 {
		p.Left = max(t.o.Duration-now, 0)
	}
	good := time.Duration(0)
	for _, c := range t.counts {
		p.Probes += c.probes
		p.Failed += c.failed
		p.Stale += c.stale
		p.Slow += c.slow
		good = max(good, c.lastGood)
	}
	p.SinceGood = now - good
	return p
}
