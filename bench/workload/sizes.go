package workload

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/cachenode/cachenode/internal/units"
)

// Sizes says how large each object is: a function of its index, so that an
// object has one size however often it is asked for.
type Sizes struct {
	of   func(d *dice) int64
	seed uint64
}

// Largest bounds every size.
const Largest = int64(units.TiB)

// lognormalCap cuts the tail of lognormal sizes, which has no end.
const lognormalCap = int64(units.GiB)

// ParseSizes reads fixed:10KiB (or just 10KiB), uniform:1KiB-1MiB,
// lognormal:MEDIAN,SIGMA or mix:web.
func ParseSizes(text string, seed uint64) (Sizes, error) {
	s := Sizes{seed: seed ^ 0x73697a65}
	kind, arg, has := strings.Cut(text, ":")
	var err error
	switch {
	case !has:
		s.of, err = fixed(text)
	case kind == "fixed":
		s.of, err = fixed(arg)
	case kind == "uniform":
		s.of, err = between(arg)
	case kind == "lognormal":
		s.of, err = lognormal(arg)
	case text == "mix:web":
		s.of = web
	default:
		err = fmt.Errorf("unknown sizes %q: want fixed:10KiB, uniform:1KiB-1MiB, lognormal:10KiB,1.5 or mix:web", text)
	}
	return s, err
}

// Of is the size of an object in bytes.
func (s Sizes) Of(index uint64) int64 {
	d := roll(s.seed, index)
	return s.of(&d)
}

func parseSize(text string) (int64, error) {
	n, err := units.ParseSize(text)
	if err == nil && int64(n) > Largest {
		err = fmt.Errorf("size %q is too large: want at most 1TiB", text)
	}
	return int64(n), err
}

func fixed(text string) (func(*dice) int64, error) {
	n, err := parseSize(text)
	return func(*dice) int64 { return n }, err
}

func between(text string) (func(*dice) int64, error) {
	low, high, _ := strings.Cut(text, "-")
	a, err := parseSize(low)
	if err != nil {
		return nil, err
	}
	b, err := parseSize(high)
	if err == nil && b < a {
		err = fmt.Errorf("invalid sizes %q: the second is smaller than the first", text)
	}
	return func(d *dice) int64 { return a + int64(d.next()%uint64(b-a+1)) }, err
}

func lognormal(text string) (func(*dice) int64, error) {
	first, second, _ := strings.Cut(text, ",")
	median, err := parseSize(first)
	if err != nil {
		return nil, err
	}
	sigma, err := strconv.ParseFloat(second, 64)
	if err != nil || !(sigma >= 0 && sigma <= 5) || median < 1 {
		return nil, fmt.Errorf("invalid sizes lognormal:%s: want a median and a sigma of 0 to 5, such as lognormal:10KiB,1.5", text)
	}
	return func(d *dice) int64 {
		x := float64(median) * math.Exp(sigma*normal(d))
		return min(lognormalCap, max(1, int64(x)))
	}, nil
}

// normal is a standard normal variate (Box and Muller).
func normal(d *dice) float64 {
	return math.Sqrt(-2*math.Log(1-d.unit())) * math.Cos(2*math.Pi*d.unit())
}

// webMix are the sizes of what a page loads: quantiles between which sizes are
// spread evenly on a logarithmic scale. Half is below 6 KB, the mean about 50 KB,
// and one in a thousand above 2 MB carries much of the bytes.
var webMix = []struct{ upTo, size float64 }{
	{0, 40}, {0.10, 400}, {0.30, 1500}, {0.50, 6000}, {0.70, 18000}, {0.85, 50000},
	{0.95, 160000}, {0.99, 600000}, {0.999, 2e6}, {1, 2e7},
}

func web(d *dice) int64 {
	u := d.unit()
	i, _ := slices.BinarySearchFunc(webMix, u, func(q struct{ upTo, size float64 }, u float64) int {
		if q.upTo <= u {
			return -1
		}
		return 1
	})
	a, b := webMix[i-1], webMix[i]
	share := (u - a.upTo) / (b.upTo - a.upTo)
	return int64(a.size * math.Pow(b.size/a.size, share))
}
