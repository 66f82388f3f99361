package bench

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Class is how a request was answered. Hits are told apart by Cache-Status
// (RFC 9211), or what other proxies have in its place.
type Class string

// The classes, in the order in which they are shown.
const (
	Hit         Class = "hit"         // from the proxy's own store; where it does not say which tier, or from memory
	DiskHit     Class = "disk-hit"    // from the proxy's own store, and it says: from disk
	SiblingHit  Class = "sibling-hit" // fetched from another cache that had it
	Revalidated Class = "revalidated" // stored, and the origin was asked whether it still holds
	Miss        Class = "miss"        // fetched from the origin
	Tunnel      Class = "tunnel"      // through CONNECT: no cache on the way
	Direct      Class = "direct"      // the answer names no cache at all
	Failed      Class = "error"       // not answered, not as asked, or not with the right bytes
)

// Classes lists every class in the order in which they are shown.
func Classes() []Class {
	return []Class{Hit, DiskHit, SiblingHit, Revalidated, Miss, Tunnel, Direct, Failed}
}

// IsHit reports that no origin had to deliver the body: the classes that count
// in the hit ratio.
func (c Class) IsHit() bool {
	return c == Hit || c == DiskHit || c == SiblingHit || c == Revalidated
}

// Loop says when requests are sent.
type Loop string

// The loops.
const (
	// OpenLoop sends at intended times that do not depend on the answers; what
	// waits behind a slow answer is measured from when it should have been sent.
	OpenLoop Loop = "open"
	// ClosedLoop sends when the answer before has come, so a slow proxy is asked
	// less: its latencies are what a queue of this many clients sees, no more.
	ClosedLoop Loop = "closed"
)

// Result is what one run measured. It is complete in itself: nothing in it
// changes any more.
type Result struct {
	Config      Config        // as run, with every default put in
	Loop        Loop          // how the measured phase was driven
	Target      string        // the proxy asked, HOST:PORT; of a direct run the origin
	Software    string        // what the target calls itself in Via or Server, "" where it does not
	Start       time.Time     // of the measured phase
	Duration    time.Duration // of the measured phase
	Interrupted bool          // ended before its time; the figures are of what was done
	Warm        *Phase        // nil without a warm phase

	// Total is over all classes, Failed included; PerClass has only those that
	// occurred, in the order of Classes.
	Total    ClassStats
	PerClass []ClassStats

	Series Series      // over time
	Nodes  []NodeStats // by name; empty when no answer names its cache

	Statuses []StatusStats // of the answers that came, by code

	// Failures lists what went wrong by class, the most frequent first.
	Failures []Failure

	Origin OriginStats

	// TargetCPU is of the target's process tree, nil where it is not on this
	// machine or not ours to see. GeneratorCPU is of this process; with an origin
	// of its own, that origin's work is in it.
	TargetCPU    *CPU
	GeneratorCPU CPU
	// Late is how much later than intended requests were sent although a
	// connection was free: the generator's own delay. Nil in a closed loop.
	Late *hdrhistogram.Histogram

	Generator Generator
	// Warnings are sentences for the reader: what makes these figures doubtful.
	Warnings []string
}

// ClassStats is what the requests of one class had in common. Histograms count
// nanoseconds, up to an hour, with three significant figures.
type ClassStats struct {
	Class    Class
	Requests int64
	Bytes    int64 // read, heads included

	// Latency runs until the last byte. In an open loop it begins when the
	// request should have been sent (free of coordinated omission); in a closed
	// loop when it was.
	Latency *hdrhistogram.Histogram
	// Corrected is Latency with the requests added that a closed loop did not
	// send while it waited (expected interval: the median). Nil in an open loop.
	Corrected *hdrhistogram.Histogram
	// Service runs from when the request was really sent. Nil in a closed loop,
	// where it is Latency.
	Service *hdrhistogram.Histogram
	// TTFB is from sending to the first byte of the answer.
	TTFB *hdrhistogram.Histogram
}

// Series is the measured phase in equal steps.
type Series struct {
	// Step is one second at first; it doubles whenever the points grow beyond
	// their bound, so memory does not grow with the length of a run.
	Step   time.Duration
	Points []Point
}

// Point is one step of a series. The last one may be shorter: divide by Span.
type Point struct {
	At       time.Duration // its beginning, since Result.Start
	Span     time.Duration
	Requests int64
	Hits     int64 // those for which Class.IsHit
	Cached   int64 // those that count in the hit ratio: all but tunnels, direct ones and failures
	Errors   int64
	Bytes    int64
	// P50, P99 and Max are of Latency. Where points were merged, P50 is the mean
	// weighted by requests, P99 the larger.
	P50, P99, Max time.Duration
}

// HitRatio is of the answers that a cache had a say in; 0 where there were none.
func (p Point) HitRatio() float64 { return ratio(p.Hits, p.Cached) }

// Rate is in requests per second.
func (p Point) Rate() float64 { return perSecond(p.Requests, p.Span) }

// NodeStats is the share of one node, by the name it has in Cache-Status.
type NodeStats struct {
	Node     string
	Requests int64
	Hits     int64
}

// StatusStats is how many answers had one status code.
type StatusStats struct {
	Code     int
	Requests int64
}

// FailureClass names a way to fail.
type FailureClass string

// The failures. The first group is trouble that the proxy does not hide; the
// second are lies: answers that pass for good ones and are not.
const (
	ConnectFailed   FailureClass = "connect"      // no connection
	TimedOut        FailureClass = "timeout"      // no complete answer in time
	ConnectionLost  FailureClass = "closed"       // closed or reset before an answer began
	Truncated       FailureClass = "truncated"    // closed within an answer: fewer bytes than announced
	BadStatus       FailureClass = "status"       // another status than the origin's
	Malformed       FailureClass = "malformed"    // not HTTP
	TunnelRefused   FailureClass = "tunnel"       // CONNECT was not answered with 2xx
	Corrupt         FailureClass = "corrupt"      // bytes that the origin never sent
	Foreign         FailureClass = "foreign"      // the body of another URL
	WrongLength     FailureClass = "wrong-length" // complete by its framing, but not as long as the object
	MixedVersions   FailureClass = "mixed"        // fields of one version, bytes of another
	OldVersion      FailureClass = "old-version"  // a version that was replaced longer ago than a cache may keep it
	Stale           FailureClass = "stale"        // older, by Age or Date, than the origin allowed
	WrongRange      FailureClass = "wrong-range"  // 206 with another range than asked for
	WrongValidation FailureClass = "wrong-304"    // 304 to a request whose validator does not match, or with none
	Surplus         FailureClass = "surplus"      // bytes after the end of an answer
	StatusLies      FailureClass = "cache-status-lies"
)

// Failure is one class of failures with an example.
type Failure struct {
	Class   FailureClass
	Count   int64
	Example string // the first one: when, which URL, what was expected and seen
}

// Lie reports that the answer passed for a good one: a fault of correctness, not
// of availability.
func (f Failure) Lie() bool {
	switch f.Class {
	case ConnectFailed, TimedOut, ConnectionLost, Truncated, BadStatus, Malformed, TunnelRefused:
		return false
	}
	return true
}

// OriginStats are the origin's own counts in the measured phase, beside what the
// answers claimed.
type OriginStats struct {
	Known       bool  // false: somebody else's origin, whose counts cannot be seen
	Requests    int64 // all
	Full        int64 // answered with a body of 200
	Partial     int64 // answered with 206
	NotModified int64 // answered with 304
	Other       int64 // answered otherwise
	Bytes       int64 // of bodies sent
	// Claimed is how many fetches the answers admit: those of class Miss,
	// Revalidated and Tunnel that were not collapsed onto another's.
	Claimed int64
}

// CPU is processor time.
type CPU struct {
	User, System time.Duration
	PerRequest   time.Duration // User+System over the requests of the measured phase
	Processes    []ProcessCPU  // the parts, where there is a tree
	RSS          int64         // bytes, of all, at the end
}

// Total is user and system time together.
func (c CPU) Total() time.Duration { return c.User + c.System }

// ProcessCPU is one process of a tree.
type ProcessCPU struct {
	PID          int
	Name         string
	User, System time.Duration
}

// Generator says what made the load.
type Generator struct {
	GoVersion  string
	GOMAXPROCS int
	CPUs       int // of the machine
	// Busy is the share of its processors that this process used, 0…1.
	Busy float64
	// Bottleneck says that the generator, not the target, bounded the figures;
	// Warnings then has the sentence.
	Bottleneck bool
}

// Phase is a short account of a warm phase.
type Phase struct {
	Requests int64
	Errors   int64
	Hits     int64
	Duration time.Duration
}

// Class returns the stats of one class, zero with nil histograms where it did
// not occur.
func (r *Result) Class(c Class) ClassStats {
	for _, s := range r.PerClass {
		if s.Class == c {
			return s
		}
	}
	return ClassStats{Class: c}
}

// Hits counts the requests of the classes that are hits.
func (r *Result) Hits() (n int64) {
	for _, s := range r.PerClass {
		if s.Class.IsHit() {
			n += s.Requests
		}
	}
	return n
}

// HitRatio is hits over the requests that a cache answered well: tunnels, direct
// answers and failures do not count.
func (r *Result) HitRatio() float64 {
	return ratio(r.Hits(), r.Hits()+r.Class(Miss).Requests)
}

// Errors counts the failed requests.
func (r *Result) Errors() int64 { return r.Class(Failed).Requests }

// Lies counts the failures that are faults of correctness.
func (r *Result) Lies() (n int64) {
	for _, f := range r.Failures {
		if f.Lie() {
			n += f.Count
		}
	}
	return n
}

// Rate is in requests per second, failed ones not counted.
func (r *Result) Rate() float64 { return perSecond(r.Total.Requests-r.Errors(), r.Duration) }

// Throughput is in bytes per second.
func (r *Result) Throughput() float64 { return perSecond(r.Total.Bytes, r.Duration) }

// Snapshot is the state of a run in progress.
type Snapshot struct {
	Phase    string        // "warm" or "measure"
	Elapsed  time.Duration // of the phase
	Left     time.Duration // until its end, as it looks now; <0: not known
	Progress float64       // of the phase, 0…1
	Requests int64         // of the phase
	Errors   int64         // of the phase
	Lies     int64         // of the phase
	Hits     int64         // of the phase
	Cached   int64         // of the phase; see Point
	Last     Point         // the step just past
}

// HitRatio is of the phase so far.
func (s Snapshot) HitRatio() float64 { return ratio(s.Hits, s.Cached) }

func ratio(n, of int64) float64 {
	if of == 0 {
		return 0
	}
	return float64(n) / float64(of)
}

func perSecond(n int64, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}
