package frontdoor

import (
	"testing"
	"time"
)

// Each letter is what happens: p, u, f a check that passes, finds the node not
// ready, fails; c, x a connection that is made, fails.
func TestHealth(t *testing.T) {
	o := Check{Rise: 2, Fall: 3}
	for events, want := range map[string]grade{
		"":               fit,
		"ff":             fit,
		"fff":            dead,
		"ffpff":          fit,
		"xx":             fit,
		"xxx":            dead,
		"xxcxx":          fit,
		"ffxx":           fit,  // two kinds of chance
		"fcfcf":          dead, // it hangs: its kernel accepts, nobody answers
		"fffp":           dead,
		"fffpp":          fit,
		"fffpfp":         dead,
		"fffpxp":         dead,
		"fffccc":         dead, // connections do not say that it is ready
		"u":              leaving,
		"up":             fit,
		"uff":            leaving,
		"ufff":           dead,
		"fffuu":          leaving,
		"fffpu":          leaving,
		"xxxppxx":        fit, // what was before is forgotten
		"uccc":           leaving,
		"fffppff":        fit,
		"pppppppppppfff": dead,
	} {
		var h health
		for _, e := range events {
			switch e {
			case 'p':
				h.check(passed, o)
			case 'u':
				h.check(unready, o)
			case 'f':
				h.check(failed, o)
			case 'c':
				h.connect(true, o)
			case 'x':
				h.connect(false, o)
			}
		}
		if h.grade != want {
			t.Errorf("%s: %v, want %v", events, h.grade, want)
		}
	}
}

func TestStatus(t *testing.T) {
	for _, c := range []struct {
		state  State
		health grade
		want   Status
	}{
		{Up, fit, StatusUp},
		{Up, leaving, StatusNoLB},
		{Up, dead, StatusDown},
		{Draining, fit, StatusDrain},
		{Draining, leaving, StatusDrain},
		{Draining, dead, StatusDown},
		{Down, fit, StatusDown},
	} {
		if got := statusOf(c.state, c.health); got != c.want {
			t.Errorf("%v, %v: %v, want %v", c.state, c.health, got, c.want)
		}
	}
}

func TestSlowStart(t *testing.T) {
	now := time.Unix(1000, 0)
	for age, want := range map[time.Duration]int{
		0: 1, 10 * time.Millisecond: 1, time.Second: 10, 5 * time.Second: 50, 9999 * time.Millisecond: 99,
		10 * time.Second: 100, time.Hour: 100,
	} {
		if got := share(now, now.Add(age), 10*time.Second); got != want {
			t.Errorf("after %v: %d %%, want %d %%", age, got, want)
		}
	}
	if got := share(time.Time{}, now, 10*time.Second); got != 100 {
		t.Errorf("one that has always been up has %d %%", got)
	}
	if got := share(now, now, 0); got != 100 {
		t.Errorf("without a slow start: %d %%", got)
	}
	for _, c := range []struct {
		weight, share int
		want          int64
	}{{1, 100, 100}, {4, 100, 400}, {4, 50, 200}, {1, 1, 1}, {0, 100, 100}, {-3, 50, 50}} {
		if got := effective(c.weight, c.share); got != c.want {
			t.Errorf("weight %d at %d %%: %d, want %d", c.weight, c.share, got, c.want)
		}
	}
}

func TestMeter(t *testing.T) {
	var m meter
	at := func(s float64) time.Time { return time.Unix(1000, 0).Add(time.Duration(s * float64(time.Second))) }
	for range 10 {
		m.add(at(0.5))
	}
	for _, c := range []struct {
		at   float64
		want int
	}{{0.6, 10}, {1, 10}, {1.5, 5}, {1.9, 1}, {2, 0}, {9, 0}} {
		if got := m.rate(at(c.at)); got != c.want {
			t.Errorf("at %v: %d, want %d", c.at, got, c.want)
		}
	}
	m.add(at(20))
	if m.most != 10 || m.rate(at(20)) != 1 {
		t.Errorf("%+v", m)
	}
}
