package metrics

import (
	"sync"
	"time"
)

// history is how many minutes the windows reach back.
const history = 60

// Snapshot is every total at one moment.
type Snapshot struct {
	Time     time.Time
	Counters [numCounters]int64
	Cache    CacheStats
	ICP      ICPStats
	Usage    Usage
	times    [numTimes]tally
}

// ring keeps one snapshot per minute.
type ring struct {
	mu      sync.Mutex // guards the rest
	samples [history]*Snapshot
	taken   int // snapshots ever put in; the next goes to taken % history
}

func (r *ring) put(s *Snapshot) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.samples[r.taken%history] = s
	r.taken++
}

// back returns the snapshot of n minutes ago, or the oldest there is.
func (r *ring) back(n int) *Snapshot {
	r.mu.Lock()
	defer r.mu.Unlock()
	n = min(n, r.taken, history)
	return r.samples[(r.taken-n)%history]
}

// Window is what happened between two snapshots.
type Window struct {
	Start, End *Snapshot
}

// Seconds is the length of the window.
func (w Window) Seconds() float64 { return w.End.Time.Sub(w.Start.Time).Seconds() }

// Delta is by how much c has grown.
func (w Window) Delta(c Counter) int64 { return w.End.Counters[c] - w.Start.Counters[c] }

// Rate is the growth of c per second.
func (w Window) Rate(c Counter) float64 { return w.PerSecond(float64(w.Delta(c))) }

// PerSecond divides by the length of the window; 0 for an empty window.
func (w Window) PerSecond(v float64) float64 {
	if s := w.Seconds(); s > 0 {
		return v / s
	}
	return 0
}

// Percent returns the growth of part as a percentage of that of whole, 0 when
// the whole has not grown.
func (w Window) Percent(part, whole Counter) float64 {
	if d := w.Delta(whole); d > 0 {
		return 100 * float64(w.Delta(part)) / float64(d)
	}
	return 0
}

// Quantile estimates the q-quantile (0 < q < 1) of a service time in the
// window; 0 when there was none.
func (w Window) Quantile(t ServiceTime, q float64) time.Duration {
	return w.End.times[t].quantile(w.Start.times[t], q)
}

// CPUPercent is the processor time used in the window, as a percentage of one
// processor.
func (w Window) CPUPercent() float64 {
	return 100 * w.PerSecond((w.End.Usage.CPU - w.Start.Usage.CPU).Seconds())
}
