package threshold

import (
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/cachenode/cachenode/bench"
)

// ValuesOf are the figures of a run.
func ValuesOf(r *bench.Result) Value {
	return func(class, metric string) (float64, bool) {
		if class == "" {
			if v, ok := overall(r, metric); ok {
				return v, true
			}
			return ofClass(r, r.Total, metric)
		}
		i := slices.IndexFunc(r.PerClass, func(c bench.ClassStats) bool { return string(c.Class) == class })
		if i < 0 {
			return ofClass(r, bench.ClassStats{}, metric)
		}
		return ofClass(r, r.PerClass[i], metric)
	}
}

func overall(r *bench.Result, metric string) (float64, bool) {
	switch metric {
	case "rate":
		return r.Rate(), true
	case "errors":
		return float64(r.Errors()), true
	case "lies":
		return float64(r.Lies()), true
	case "failed":
		return share(r.Errors(), r.Total.Requests)
	case "cpu":
		if r.TargetCPU == nil || r.Total.Requests == 0 {
			return 0, false
		}
		return r.TargetCPU.PerRequest.Seconds(), true
	case "hit", "bytehit":
		return hitRatio(r, metric == "bytehit")
	}
	return 0, false
}

func hitRatio(r *bench.Result, bytes bool) (float64, bool) {
	var hits, all int64
	for _, c := range r.PerClass {
		n := c.Requests
		if bytes {
			n = c.Bytes
		}
		if c.Class.IsHit() {
			hits += n
		}
		if c.Class.IsHit() || c.Class == bench.Miss {
			all += n
		}
	}
	return share(hits, all)
}

// share is not measured where there is nothing to share.
func share(n, of int64) (float64, bool) {
	if of == 0 {
		return 0, false
	}
	return float64(n) / float64(of), true
}

func ofClass(r *bench.Result, c bench.ClassStats, metric string) (float64, bool) {
	seconds := r.Duration.Seconds()
	switch metric {
	case "requests":
		return float64(c.Requests), true
	case "rate":
		return float64(c.Requests) / seconds, seconds > 0
	case "bytes/s":
		return float64(c.Bytes) / seconds, seconds > 0
	}
	return latency(c.Latency, metric)
}

func latency(h *hdrhistogram.Histogram, metric string) (float64, bool) {
	if h == nil || h.TotalCount() == 0 {
		return 0, false
	}
	at := func(nanoseconds int64) (float64, bool) { return time.Duration(nanoseconds).Seconds(), true }
	switch metric {
	case "p50":
		return at(h.ValueAtQuantile(50))
	case "p90":
		return at(h.ValueAtQuantile(90))
	case "p99":
		return at(h.ValueAtQuantile(99))
	case "p99.9":
		return at(h.ValueAtQuantile(99.9))
	case "max":
		return at(h.Max())
	case "mean":
		return h.Mean() / 1e9, true
	}
	return 0, false
}
