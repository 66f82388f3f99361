// Package workload decides which object is asked for at each step of a run, how
// large objects are, and reads recorded traffic. It is pure: the same seed and
// the same number of a step give the same answer, whoever asks. It sends nothing
// and knows no proxy.
package workload

import "github.com/cachenode/cachenode/bench/body"

// dice gives the random numbers that belong to one step.
type dice struct{ state uint64 }

func roll(seed, step uint64) dice { return dice{state: body.Mix(seed ^ body.Mix(step+1))} }

func (d *dice) next() uint64 {
	d.state += 0x9e3779b97f4a7c15
	return body.Mix(d.state)
}

// unit is in [0,1).
func (d *dice) unit() float64 { return float64(d.next()>>11) / (1 << 53) }
