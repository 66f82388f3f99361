package plot

import (
	"math"
	"strconv"
)

// Scale maps values onto an axis.
type Scale int

// The scales.
const (
	Linear Scale = iota
	Log          // values of 0 and less sit at the lower end
	// Percentile stretches towards 1 as HDR plots do: 0, 0.9, 0.99 and 0.999 are
	// equally far from each other.
	Percentile
)

// Axis is one axis of a line plot.
type Axis struct {
	Label    string
	Scale    Scale
	Min, Max float64              // both 0: from the data, and on a linear y axis from 0
	Format   func(float64) string // of ticks and values; nil: plain numbers
}

func (a *Axis) format(v float64) string {
	if a.Format != nil {
		return a.Format(v)
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}

// span is an axis with its final ends.
type span struct {
	Axis
	lo, hi float64
}

// fit chooses the ends so that all values are in; from is the end that a linear
// axis has to include.
func (a Axis) fit(values []float64, from float64) span {
	s := span{Axis: a, lo: a.Min, hi: a.Max}
	if s.lo == 0 && s.hi == 0 {
		s.lo, s.hi = bounds(values, a.Scale == Log)
		if a.Scale == Linear {
			s.lo = min(s.lo, from)
			s.hi += (s.hi - s.lo) * 0.05
		}
	}
	if a.Scale == Log {
		s.lo, s.hi = math.Pow(10, math.Floor(math.Log10(s.lo))), math.Pow(10, math.Ceil(math.Log10(s.hi)))
	}
	if !(s.hi > s.lo) {
		s.hi = s.lo + 1
		if a.Scale == Log {
			s.hi = s.lo * 10
		}
	}
	return s
}

func bounds(values []float64, positive bool) (lo, hi float64) {
	lo, hi = math.Inf(1), math.Inf(-1)
	for _, v := range values {
		if math.IsNaN(v) || math.IsInf(v, 0) || positive && v <= 0 {
			continue
		}
		lo, hi = min(lo, v), max(hi, v)
	}
	if lo > hi { // nothing to show
		return 1, 10
	}
	return lo, hi
}

// at is the place of a value, 0…1.
func (s *span) at(v float64) float64 {
	lo, hi := s.warp(s.lo), s.warp(s.hi)
	p := (s.warp(v) - lo) / (hi - lo)
	if math.IsNaN(p) {
		return 0
	}
	return min(max(p, 0), 1)
}

func (s *span) warp(v float64) float64 {
	switch s.Scale {
	case Log:
		return math.Log10(max(v, s.lo))
	case Percentile:
		return -math.Log10(max(1-v, 1e-7))
	default:
		return v
	}
}

// ticks are the values to label.
func (s *span) ticks() []float64 {
	var all []float64
	switch s.Scale {
	case Log:
		for v := s.lo; v <= s.hi*1.001; v *= 10 {
			all = append(all, v)
		}
	case Percentile:
		for v := 1.0; v > 1e-7; v /= 10 {
			if q := 1 - v; q <= s.hi {
				all = append(all, q)
			}
		}
	default:
		step := niceStep((s.hi - s.lo) / 5)
		for i := math.Ceil(s.lo / step); i*step <= s.hi*(1+1e-9); i++ {
			all = append(all, i*step)
		}
	}
	return all
}

// niceStep is the next of 1, 2, 5 times a power of ten.
func niceStep(least float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(least)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= least*(1-1e-9) {
			return m * power
		}
	}
	return 10 * power
}
