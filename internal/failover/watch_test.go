package failover

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// watch looks all the time who, of the nodes that clients can reach, has the
// address.
type watch struct {
	once sync.Once
	stop chan struct{}
	done sync.WaitGroup
	seen []sighting // once stopped
}

// sighting is who had the address from a moment on.
type sighting struct {
	at      time.Time
	holders []int
}

func (s sighting) String() string { return fmt.Sprintf("%s %v", s.at.Format("05.000"), s.holders) }

// watch begins, with those that clients can reach now.
func (c *cluster) watch() *watch {
	reach := slices.DeleteFunc(c.all(), func(i int) bool { return c.nodes[i].away })
	w := &watch{stop: make(chan struct{})}
	w.done.Go(func() {
		for {
			var now []int
			for _, i := range reach {
				if c.nodes[i].Has(vip) {
					now = append(now, i)
				}
			}
			if len(w.seen) == 0 || !slices.Equal(w.seen[len(w.seen)-1].holders, now) {
				w.seen = append(w.seen, sighting{time.Now(), now})
			}
			select {
			case <-w.stop:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	})
	c.t.Cleanup(func() { w.end() })
	return w
}

// end stops watching; it may be called again.
func (w *watch) end() []sighting {
	w.once.Do(func() { close(w.stop) })
	w.done.Wait()
	return w.seen
}

// twice reports whether two had it at a time.
func twice(seen []sighting) bool {
	return slices.ContainsFunc(seen, func(s sighting) bool { return len(s.holders) > 1 })
}

// settled is how long after a moment the last change of the holder was; 0: there
// was none.
func settled(seen []sighting, after time.Time) time.Duration {
	last := seen[len(seen)-1].at
	return max(0, last.Sub(after))
}
