package peer

import (
	"net/netip"
	"testing"
	"time"
)

func TestNodesMeet(t *testing.T) {
	inVirtualTime(t, func(l *lab) {
		l.start(5)
		took := l.wait(10*time.Second, 5, Alive, l.nodes...)
		t.Logf("5 nodes know each other after %v", took)
	})
}

func TestDeadNodeIsFoundOut(t *testing.T) {
	inVirtualTime(t, func(l *lab) {
		l.start(5)
		l.wait(10*time.Second, 5, Alive, l.nodes...)
		time.Sleep(10 * time.Second)
		l.nodes[4].kill()
		took := l.wait(5*time.Second, 1, Failed, l.nodes[:4]...)
		t.Logf("found out after %v", took)
		if took > 1500*time.Millisecond {
			t.Errorf("found out after %v, want 1.5s", took)
		}
	})
}

func TestSplitHeals(t *testing.T) {
	atLength(t)
	for _, cut := range []time.Duration{5 * time.Second, time.Minute} {
		t.Run(cut.String(), func(t *testing.T) {
			inVirtualTime(t, func(l *lab) {
				l.start(5)
				l.wait(10*time.Second, 5, Alive, l.nodes...)
				left := map[netip.Addr]bool{l.nodes[0].own.Addr(): true, l.nodes[1].own.Addr(): true}
				l.split(func(a netip.Addr) bool { return left[a] })
				l.wait(10*time.Second, 2, Alive, l.nodes[:2]...)
				l.wait(10*time.Second, 3, Alive, l.nodes[2:]...)
				time.Sleep(cut)
				l.heal()
				took := l.wait(10*time.Second, 5, Alive, l.nodes...)
				t.Logf("cut for %v, healed after %v", cut, took)
			})
		})
	}
}

// Members that come at the same time find each other though the news of them get
// lost: whoever has met somebody compares what it knows with one of the others.
func TestLostNewsOfMembers(t *testing.T) {
	atLength(t)
	inVirtualTime(t, func(l *lab) {
		l.setCut(func(_, _ netip.Addr, stream bool) bool { return !stream })
		begin := time.Now()
		l.start(3)
		l.wait(3*rejoinEvery, 3, Alive, l.nodes...)
		if took := time.Since(begin); took >= syncEvery {
			t.Errorf("they were found by memberlist's own exchange, after %v", took)
		}
		l.heal()
		time.Sleep(time.Minute) // what memberlist has under way ends
	})
}
