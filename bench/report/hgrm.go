package report

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// HGRM writes a histogram of nanoseconds in the percentile format of
// HdrHistogram, values in milliseconds, which its plotter and others read.
func HGRM(w io.Writer, h *hdrhistogram.Histogram) error {
	if h == nil || h.TotalCount() == 0 {
		return errors.New("write percentiles: nothing was measured")
	}
	out := bufio.NewWriter(w)
	const perMS = 1e6
	fmt.Fprintf(out, "%12s %14s %10s %14s\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)")
	for _, b := range h.CumulativeDistributionWithTicks(5) {
		value, q := float64(b.ValueAt)/perMS, b.Quantile/100
		if q < 1 {
			fmt.Fprintf(out, "%12.3f %2.12f %10d %14.2f\n", value, q, b.Count, 1/(1-q))
		} else {
			fmt.Fprintf(out, "%12.3f %2.12f %10d\n", value, 1.0, b.Count)
		}
	}
	fmt.Fprintf(out, "#[Mean    = %12.3f, StdDeviation   = %12.3f]\n", h.Mean()/perMS, h.StdDev()/perMS)
	fmt.Fprintf(out, "#[Max     = %12.3f, Total count    = %12d]\n", float64(h.Max())/perMS, h.TotalCount())
	buckets, sub := geometry(h)
	fmt.Fprintf(out, "#[Buckets = %12d, SubBuckets     = %12d]\n", buckets, sub)
	return out.Flush()
}

// geometry is how HdrHistogram lays out its counters: a power of two of values
// told apart per bucket, and buckets until the highest value fits.
func geometry(h *hdrhistogram.Histogram) (buckets, sub int64) {
	most := int64(2)
	for range h.SignificantFigures() {
		most *= 10
	}
	for sub = 1; sub < most; sub *= 2 { // the next power of two
	}
	lowest := max(h.LowestTrackableValue(), 1)
	for buckets = 1; sub<<(buckets-1) <= h.HighestTrackableValue()/lowest; buckets++ { // until it fits
	}
	return buckets, sub
}
