package peer

import (
	"os"
	"testing"
	"time"
)

// long reports that tests may take minutes.
func long() bool { return os.Getenv("CACHENODE_LONG") != "" }

// Clusters of many sizes: how long until all know all when all start at once,
// how long until all know that one is dead, and what staying in touch costs.
// The table of docs/cluster.md is printed by
//
//	CACHENODE_LONG=1 go test -v -run TestScale ./peer/
func TestScale(t *testing.T) {
	atLength(t)
	sizes := []int{2, 8}
	if long() {
		sizes = []int{2, 3, 4, 5, 8, 10, 16, 32, 64}
	}
	for _, n := range sizes {
		inVirtualTime(t, func(l *lab) {
			l.start(n)
			met := l.wait(time.Minute, n, Alive, l.nodes...)
			time.Sleep(time.Minute)
			l.mu.Lock()
			before := l.bytes
			l.mu.Unlock()
			time.Sleep(time.Minute)
			l.mu.Lock()
			rate := float64(l.bytes-before) / 60 / float64(n)
			l.mu.Unlock()
			worst := time.Duration(0)
			for i := min(3, n-1); i > 0; i-- {
				live := len(l.nodes) - 1
				l.nodes[live].kill()
				worst = max(worst, l.wait(time.Minute, live, Alive, l.nodes[:live]...))
				l.nodes = l.nodes[:live]
				time.Sleep(5 * time.Second)
			}
			t.Logf("| %d | %v | %v | %.1f |", n, met, worst, rate/1000)
			if limit := 1500 * time.Millisecond; n <= 10 && worst > limit {
				t.Errorf("with %d nodes a dead one was found out after %v, want %v", n, worst, limit)
			}
		})
	}
}
