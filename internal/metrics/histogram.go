package metrics

import (
	"math"
	"math/bits"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// The native histogram has 2^schema buckets per doubling, so a bucket is 9 %
// wide. It reaches from about 1 µs to 36 hours, since tunnels live long.
const (
	schema      = 3
	firstBucket = -20 << schema // its upper bound, 2^-20 s, is the zero threshold
	lastBucket  = 17 << schema
)

// classicBounds are the buckets for scrapers without native histograms.
var classicBounds = []float64{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300}

// cells joins the bounds of the native and the classic buckets: one search and
// one addition per observation serve both, exactly.
var cells = newGrid()

// grid divides durations into cells; cell i ends at (and includes) bounds[i].
type grid struct {
	bounds []int64 // nanoseconds, ascending
	native []int   // bucket of the native histogram that holds cell i; firstBucket: the zero bucket
	// from is the cell where durations of so many bits begin.
	from [65]int
}

func newGrid() grid {
	var g grid
	limits := make(map[int64]bool)
	for i := firstBucket; i <= lastBucket; i++ {
		limits[bucketEnd(i)] = true
	}
	for _, b := range classicBounds {
		limits[int64(math.Round(b*1e9))] = true
	}
	for b := range limits {
		g.bounds = append(g.bounds, b)
	}
	slices.Sort(g.bounds)
	bucket := firstBucket
	for _, b := range g.bounds {
		for bucketEnd(bucket) < b {
			bucket++
		}
		g.native = append(g.native, bucket)
	}
	for i := 1; i < len(g.from); i++ {
		g.from[i], _ = slices.BinarySearch(g.bounds, 1<<(i-1))
	}
	return g
}

// bucketEnd is the upper bound of a native bucket in whole nanoseconds.
func bucketEnd(i int) int64 {
	return int64(math.Exp2(float64(i)/(1<<schema)) * 1e9)
}

// cell finds the cell of d; what lies beyond the grid counts in the last one.
func (g *grid) cell(d time.Duration) int {
	i := g.from[bits.Len64(uint64(max(d, 0)))]
	for i < len(g.bounds)-1 && g.bounds[i] < int64(d) {
		i++
	}
	return min(i, len(g.bounds)-1)
}

// histogram counts durations. Observing is two atomic additions.
type histogram struct {
	counts []atomic.Uint64 // by cell
	sum    atomic.Int64    // nanoseconds
}

func newHistogram() *histogram {
	return &histogram{counts: make([]atomic.Uint64, len(cells.bounds))}
}

func (h *histogram) observe(d time.Duration) { h.observeIn(cells.cell(d), d) }

// observeIn is observe for a duration whose cell is known.
func (h *histogram) observeIn(cell int, d time.Duration) {
	h.counts[cell].Add(1)
	h.sum.Add(int64(max(d, 0)))
}

// tally is what a histogram had counted at some moment. Its counts wrap: only
// differences between two tallies mean something.
type tally []uint32

// add adds what h has counted so far.
func (t tally) add(h *histogram) {
	for i := range h.counts {
		t[i] += uint32(h.counts[i].Load())
	}
}

// quantile estimates the q-quantile of what was counted between old and t; 0
// when that is nothing. It is exact to the width of a bucket.
func (t tally) quantile(old tally, q float64) time.Duration {
	var total uint64
	for i := range t {
		total += uint64(t[i] - old[i])
	}
	if total == 0 {
		return 0
	}
	rank := max(uint64(math.Ceil(q*float64(total))), 1)
	for i := range t {
		n := uint64(t[i] - old[i])
		if n < rank {
			rank -= n
			continue
		}
		var start int64
		if i > 0 {
			start = cells.bounds[i-1]
		}
		return time.Duration(start + (cells.bounds[i]-start)*int64(rank)/int64(n))
	}
	return time.Duration(cells.bounds[len(cells.bounds)-1])
}

// exported is a histogram as Prometheus reads it, native and classic.
type exported struct {
	desc   *prometheus.Desc
	h      *histogram
	labels []*dto.LabelPair
}

// Desc implements prometheus.Metric.
func (e exported) Desc() *prometheus.Desc { return e.desc }

// Write implements prometheus.Metric.
func (e exported) Write(m *dto.Metric) error {
	counts := make([]uint64, len(e.h.counts))
	var total uint64
	for i := range counts {
		counts[i] = e.h.counts[i].Load()
		total += counts[i]
	}
	out := &dto.Histogram{
		SampleCount:   new(total),
		SampleSum:     new(time.Duration(e.h.sum.Load()).Seconds()),
		Schema:        new(int32(schema)),
		ZeroThreshold: new(math.Exp2(float64(firstBucket) / (1 << schema))),
		Bucket:        classic(counts),
	}
	writeNative(out, counts)
	m.Label, m.Histogram = e.labels, out
	return nil
}

// classic returns the cumulative buckets; +Inf is implied.
func classic(counts []uint64) []*dto.Bucket {
	out := make([]*dto.Bucket, 0, len(classicBounds))
	var sum uint64
	cell := 0
	for _, b := range classicBounds {
		for end := int64(math.Round(b * 1e9)); cell < len(counts) && cells.bounds[cell] <= end; cell++ {
			sum += counts[cell]
		}
		out = append(out, &dto.Bucket{UpperBound: new(b), CumulativeCount: new(sum)})
	}
	return out
}

// writeNative fills in the sparse buckets: spans of neighbours, and the
// difference of each count to the one before.
func writeNative(out *dto.Histogram, counts []uint64) {
	var zero uint64
	buckets := make([]uint64, lastBucket-firstBucket+1)
	for i, n := range counts {
		if cells.native[i] == firstBucket {
			zero += n
		} else {
			buckets[cells.native[i]-firstBucket] += n
		}
	}
	out.ZeroCount = &zero
	next, before := 0, int64(0) // next: the bucket after the last one written
	for i, n := range buckets {
		if n == 0 {
			continue
		}
		bucket := i + firstBucket
		if len(out.PositiveSpan) == 0 || bucket != next {
			out.PositiveSpan = append(out.PositiveSpan, &dto.BucketSpan{Offset: new(int32(bucket - next)), Length: new(uint32(0))})
		}
		*out.PositiveSpan[len(out.PositiveSpan)-1].Length++
		out.PositiveDelta = append(out.PositiveDelta, int64(n)-before)
		next, before = bucket+1, int64(n)
	}
	if len(out.PositiveSpan) == 0 {
		// An empty native histogram is told from a classic one by an empty span.
		out.PositiveSpan = []*dto.BucketSpan{{Offset: new(int32(0)), Length: new(uint32(0))}}
	}
}
