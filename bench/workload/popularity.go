package workload

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/cachenode/cachenode/bench/body"
)

// Popularity says how often each of a number of objects is asked for.
type Popularity struct {
	objects uint64
	kind    string
	zipf    zipf
}

// ParsePopularity reads uniform, sequential or zipf:THETA: with zipf the object
// of rank r is asked for in proportion to r^-THETA.
func ParsePopularity(text string, objects int) (Popularity, error) {
	if objects < 1 {
		return Popularity{}, fmt.Errorf("invalid number of objects %d: want 1 or more", objects)
	}
	kind, arg, has := strings.Cut(text, ":")
	p := Popularity{objects: uint64(objects), kind: kind}
	switch {
	case (kind == "uniform" || kind == "sequential") && !has:
		return p, nil
	case kind == "zipf":
		theta := 0.9
		if has {
			var err error
			if theta, err = strconv.ParseFloat(arg, 64); err != nil || !(theta > 0 && theta <= 10) {
				return Popularity{}, fmt.Errorf("invalid exponent %q: want a number above 0 and up to 10, such as zipf:0.9", arg)
			}
		}
		p.zipf = newZipf(theta, float64(objects))
		return p, nil
	}
	return Popularity{}, fmt.Errorf("unknown distribution %q: want zipf:0.9, uniform or sequential", text)
}

// Pick is the index of the object that a step asks for, from 0.
func (p *Popularity) Pick(seed, step uint64) uint64 {
	switch p.kind {
	case "sequential":
		return step % p.objects
	case "uniform":
		d := roll(seed, step)
		return d.next() % p.objects
	}
	d := roll(seed, step)
	return p.zipf.rank(&d) - 1
}

// zipf samples ranks by rejection-inversion (W. Hörmann and G. Derflinger, 1996):
// exact for every exponent, without tables, in little more than one try.
type zipf struct {
	theta          float64
	n              float64
	first, last, s float64
}

func newZipf(theta, n float64) zipf {
	z := zipf{theta: theta, n: n}
	z.first = z.integral(1.5) - 1
	z.last = z.integral(n + 0.5)
	z.s = 2 - z.inverse(z.integral(2.5)-z.density(2))
	return z
}

func (z *zipf) rank(d *dice) uint64 {
	for {
		u := z.last + d.unit()*(z.first-z.last)
		x := z.inverse(u)
		k := math.Min(math.Max(math.Floor(x+0.5), 1), z.n)
		if k-x <= z.s || u >= z.integral(k+0.5)-z.density(k) {
			return uint64(k)
		}
	}
}

func (z *zipf) density(x float64) float64 { return math.Exp(-z.theta * math.Log(x)) }

// integral is an antiderivative of the density, and inverse its inverse; both
// stay exact as theta goes to 1.
func (z *zipf) integral(x float64) float64 {
	l := math.Log(x)
	return expm1Over((1-z.theta)*l) * l
}

func (z *zipf) inverse(x float64) float64 {
	t := math.Max(x*(1-z.theta), -1)
	return math.Exp(log1pOver(t) * x)
}

// expm1Over is (e^x-1)/x.
func expm1Over(x float64) float64 {
	if math.Abs(x) > 1e-8 {
		return math.Expm1(x) / x
	}
	return 1 + x/2*(1+x/3)
}

// log1pOver is log(1+x)/x.
func log1pOver(x float64) float64 {
	if math.Abs(x) > 1e-8 {
		return math.Log1p(x) / x
	}
	return 1 - x*(0.5-x/3)
}

// Shares are of requests with a peculiarity, each 0…1, together at most 1.
type Shares struct{ Head, Range, Condition, Reload, Post float64 }

// Kind is the peculiarity of one request.
type Kind uint8

// The kinds.
const (
	Plain Kind = iota
	Head
	Range
	Condition
	Reload
	Post
)

// Kind chooses the peculiarity of a step, independently of its object.
func (s Shares) Kind(seed, step uint64) Kind {
	if s == (Shares{}) {
		return Plain
	}
	d := roll(seed^0x6b696e64, step)
	u := d.unit()
	for _, k := range [...]struct {
		share float64
		kind  Kind
	}{{s.Head, Head}, {s.Range, Range}, {s.Condition, Condition}, {s.Reload, Reload}, {s.Post, Post}} {
		if u < k.share {
			return k.kind
		}
		u -= k.share
	}
	return Plain
}

// RangeOf chooses a range [from,to) of at least one byte in an object.
func RangeOf(seed, step uint64, length int64) (from, to int64) {
	d := roll(seed^0x72616e67, step)
	from = int64(d.next() % uint64(length))
	return from, from + 1 + int64(d.next()%uint64(length-from))
}

// Chance is true in a share of the steps; salt makes it independent of others.
func Chance(seed, salt, step uint64, share float64) bool {
	d := roll(body.Mix(seed)^salt, step)
	return d.unit() < share
}

// Pick chooses one of n in a step; salt makes it independent of other choices.
func Pick(seed, salt, step uint64, n int) int {
	d := roll(body.Mix(seed)^salt, step)
	return int(d.next() % uint64(n))
}
