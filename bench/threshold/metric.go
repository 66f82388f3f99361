package threshold

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cachenode/cachenode/bench"
	"github.com/cachenode/cachenode/internal/suggest"
	"github.com/cachenode/cachenode/internal/units"
)

// Unit is what a metric counts in.
type Unit int

// The units.
const (
	Seconds        Unit = iota // written 20ms, 1.5s
	Ratio                      // written 0.8 or 80%
	Number                     // written 1000, 12.5
	BytesPerSecond             // written 100MiB, 2GB
)

// Metric is one figure of a run.
type Metric struct {
	Name    string
	Unit    Unit
	ByClass bool // may also be asked for one class: hit.p99
	Doc     string
}

// Metrics are all of them, in the order in which help lists them.
func Metrics() []Metric {
	return []Metric{
		{"p50", Seconds, true, "median latency"},
		{"p90", Seconds, true, "latency that 90 % of requests stay under"},
		{"p99", Seconds, true, "latency that 99 % of requests stay under"},
		{"p99.9", Seconds, true, "latency that 99.9 % of requests stay under"},
		{"max", Seconds, true, "longest latency"},
		{"mean", Seconds, true, "mean latency"},
		{"requests", Number, true, "requests that ended"},
		{"rate", Number, true, "requests a second"},
		{"bytes/s", BytesPerSecond, true, "bytes read a second, heads included"},
		{"hit", Ratio, false, "share of requests answered from a cache, this node's or a sibling's"},
		{"bytehit", Ratio, false, "share of bytes answered from a cache"},
		{"errors", Number, false, "requests that failed or whose answer was wrong"},
		{"lies", Number, false, "of the errors, answers that passed for good ones"},
		{"failed", Ratio, false, "share of requests that failed or whose answer was wrong"},
		{"cpu", Seconds, false, "CPU time of the proxy per request; needs a proxy on this machine"},
	}
}

// Classes are the classes of answers that can be asked for one by one.
func Classes() []string {
	var names []string
	for _, c := range bench.Classes() {
		if c != bench.Failed { // the metric errors has them
			names = append(names, string(c))
		}
	}
	return names
}

func lookup(name string) (class string, m Metric, err error) {
	rest := name
	if head, tail, ok := strings.Cut(name, "."); ok && slices.Contains(Classes(), head) {
		class, rest = head, tail
	}
	metrics := Metrics()
	i := slices.IndexFunc(metrics, func(m Metric) bool { return m.Name == rest })
	if i < 0 {
		return "", m, unknown(name, metrics)
	}
	if class != "" && !metrics[i].ByClass {
		return "", m, fmt.Errorf("%s is not kept for each class: write %s", rest, rest)
	}
	return class, metrics[i], nil
}

func unknown(name string, metrics []Metric) error {
	names := make([]string, len(metrics))
	for i, m := range metrics {
		names[i] = m.Name
	}
	meant := ""
	if near := suggest.Nearest(name, names); near != "" {
		meant = fmt.Sprintf("; did you mean %q?", near)
	}
	return fmt.Errorf("unknown metric %q%s\nmetrics: %s\nlatencies, requests, rate and bytes/s also for one class: %s, as in hit.p99",
		name, meant, strings.Join(names, " "), strings.Join(Classes(), " "))
}

// parse reads a limit in the unit of the metric.
func (m Metric) parse(s string) (float64, error) {
	if s == "" {
		return 0, fmt.Errorf("a value is missing: %s", m.wants())
	}
	v, err := m.Unit.parse(s)
	if err != nil || v < 0 || math.IsInf(v, 0) || math.IsNaN(v) {
		return 0, fmt.Errorf("invalid value %q: %s", s, m.wants())
	}
	return v, nil
}

func (u Unit) parse(s string) (float64, error) {
	switch u {
	case Seconds:
		d, err := units.ParseDuration(s)
		return d.D().Seconds(), err
	case BytesPerSecond:
		n, err := units.ParseSize(s)
		return float64(n), err
	case Ratio:
		if head, ok := strings.CutSuffix(s, "%"); ok {
			v, err := decimal(head)
			return within(v/100, err)
		}
		return within(decimal(s))
	default:
		return decimal(s)
	}
}

// decimal reads digits with a point, and none of the other forms of Go.
func decimal(s string) (float64, error) {
	if strings.Trim(s, "0123456789.") != "" {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseFloat(s, 64)
}

func within(v float64, err error) (float64, error) {
	if err == nil && v > 1 {
		err = strconv.ErrRange
	}
	return v, err
}

func (m Metric) wants() string {
	switch m.Unit {
	case Seconds:
		return m.Name + " is a duration with a unit, such as 20ms"
	case Ratio:
		return m.Name + " is a ratio from 0 to 1, such as 0.8 or 80%"
	case BytesPerSecond:
		return m.Name + " is a size per second, such as 100MiB"
	default:
		return m.Name + " is a number"
	}
}

// Format prints a value of this metric.
func (m Metric) Format(v float64) string {
	switch m.Unit {
	case Seconds:
		if v < math.MaxInt64/1e9 {
			return time.Duration(math.Round(v * 1e9)).String()
		}
	case BytesPerSecond:
		if v < math.MaxInt64 {
			return units.Size(v).String()
		}
	case Ratio, Number:
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}
