package onlink

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The rows of docs/design/0011-two-holders.md, on hosts of their own. Times are
// printed, states are checked.

func took(t *testing.T, what string, d time.Duration) {
	t.Helper()
	t.Logf("| %s | %d ms |", what, d.Milliseconds())
	if d > 15*time.Second {
		t.Errorf("%s took %v", what, d)
	}
}

func TestHolderFails(t *testing.T) {
	for _, tc := range []struct {
		name string
		fail func(l *lab, holder int)
	}{
		{"cable pulled", func(l *lab, h int) { l.hosts[h].Pull() }},
		{"black hole", func(l *lab, h int) { l.hosts[h].BlackHole() }},
		{"power cut", func(l *lab, h int) { l.hosts[h].Pull(); l.procs[h].Kill() }},
		{"deaf", func(l *lab, h int) { l.hosts[h].Deafen() }},
		{"mute", func(l *lab, h int) { l.hosts[h].Mute() }},
		{"process killed", func(l *lab, h int) { l.procs[h].Kill() }},
		{"process hangs", func(l *lab, h int) { l.hang(h) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, 3)
			first, _ := l.waitHolder(l.all()...)
			l.stay(time.Second)
			tc.fail(l, first)
			second, d := l.waitHolder(l.but(first)...)
			took(t, tc.name, d)
			eventually(t, "the client learns of the new holder", func() bool { return l.clientSees() == l.mac(second) })
		})
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	start := time.Now()
	for !ok() {
		if time.Since(start) > 30*time.Second {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// A process that hung comes back without a fight.
func TestHungHolderWakes(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3)
	first, _ := l.waitHolder(l.all()...)
	l.hang(first)
	second, d := l.waitHolder(l.but(first)...)
	took(t, "process hangs", d)
	if l.hosts[first].Has(labVIP) {
		t.Error("the address is on the hung host still")
	}
	eventually(t, "the new holder says so", func() bool { _, state := l.term(second); return state == "holding" })
	before, _ := l.term(second)
	l.stay(4 * time.Second)
	l.procs[first].Signal(syscall.SIGCONT)
	l.stay(3 * time.Second)
	if after, state := l.term(second); after != before || state != "holding" {
		t.Errorf("term %d became %d, state %s", before, after, state)
	}
	if seen := l.clientSees(); seen != l.mac(second) {
		t.Errorf("the client sees %s, not the holder", seen)
	}
}

func TestSplitsHeal(t *testing.T) {
	for _, tc := range []struct{ n, with int }{{4, 2}, {4, 3}, {4, 1}} {
		t.Run(fmt.Sprintf("%d of %d with the holder", tc.with, tc.n), func(t *testing.T) {
			t.Parallel()
			l := newLab(t, tc.n)
			first, _ := l.waitHolder(l.all()...)
			l.stay(500 * time.Millisecond)
			sides := [2][]int{{first}, nil}
			for _, i := range l.but(first) {
				side := 0
				if len(sides[0]) >= tc.with {
					side = 1
				}
				sides[side] = append(sides[side], i)
			}
			l.net.Split(pick(l, sides[0]), pick(l, sides[1]))
			// The holder changes only if it is on the smaller side.
			want := sides[0]
			if 2*tc.with < tc.n {
				want = sides[1]
			}
			second, d := l.waitHolder(want...)
			took(t, "split", d)
			eventually(t, "one holder in all", func() bool { return len(l.holders()) == 1 })
			l.stay(3 * time.Second)
			eventually(t, "the client sees it", func() bool { return l.clientSees() == l.mac(second) })
			l.net.Heal()
			l.stay(3 * time.Second)
		})
	}
}

// Two nodes and nothing to ask: both hold it while they cannot see each other.
func TestTwoNodesSplitAndHeal(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	first, d := l.waitHolder(0, 1)
	took(t, "cold start of two", d)
	l.stay(time.Second)
	l.net.Split(pick(l, []int{0}), pick(l, []int{1}))
	eventually(t, "both hold it", func() bool { return len(l.holders()) == 2 })
	time.Sleep(time.Second)
	l.net.Heal()
	second, d := l.waitHolder(0, 1)
	took(t, "heal of two", d)
	if second == first {
		t.Error("the lower term was kept")
	}
	l.stay(2 * time.Second)
	eventually(t, "the client sees it", func() bool { return l.clientSees() == l.mac(second) })
}

func TestOneOfTwoDies(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	first, _ := l.waitHolder(0, 1)
	l.stay(500 * time.Millisecond)
	l.hosts[first].Pull()
	l.procs[first].Kill()
	_, d := l.waitHolder(1 - first)
	took(t, "one of two dies", d)
}

// The client's machine is the gateway of both. The other node does not reach
// it, so it does not claim.
func TestTwoNodesAskTheGateway(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	first, _ := l.waitHolder(0, 1)
	for _, h := range l.hosts {
		h.Gateway("10.9.0.200")
	}
	l.stay(500 * time.Millisecond)
	l.hosts[1-first].BlackHole()
	l.stay(3 * time.Second)
	if !strings.Contains(l.procs[1-first].Output(), "the gateway does not answer") {
		t.Error("the node without a gateway did not say so")
	}
	l.net.Heal()
	l.stay(2 * time.Second)
	l.hosts[first].BlackHole() // now the other one has the gateway
	_, d := l.waitHolder(1 - first)
	took(t, "one of two, with a gateway", d)
}

func TestLostAnnouncement(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	first, _ := l.waitHolder(0, 1)
	l.stay(500 * time.Millisecond)
	l.hosts[1-first].DropGratuitousARP(labVIP)
	l.hosts[first].Pull()
	second, _ := l.waitHolder(1 - first)
	start := time.Now()
	time.Sleep(300 * time.Millisecond) // the first of them are lost
	l.hosts[second].Recover()
	eventually(t, "the client learns of it", func() bool { return l.clientSees() == l.mac(second) })
	took(t, "announcements lost for 300 ms", time.Since(start))
}

func TestForeignOwner(t *testing.T) {
	t.Parallel()
	l := newLabWithForeigner(t)
	l.stay(3 * time.Second)
	if h := l.holders(); len(h) != 0 {
		t.Fatalf("held by %v", h)
	}
	mac := l.client.MAC().String()
	eventually(t, "its MAC address is logged", func() bool { return strings.Contains(l.procs[0].Output()+l.procs[1].Output(), mac) })
	if err := l.client.IP("address", "del", labVIP+"/24", "dev", "eth0"); err != nil {
		t.Fatal(err)
	}
	_, d := l.waitHolder(0, 1)
	took(t, "foreign owner gone", d)
}

func newLabWithForeigner(t *testing.T) *lab {
	t.Helper()
	l := newLab(t, 0)
	if err := l.client.IP("address", "add", labVIP+"/24", "dev", "eth0"); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		l.hosts = append(l.hosts, l.net.Host(fmt.Sprintf("n%d", i), fmt.Sprintf("10.9.0.%d/24", i+1)))
		l.procs = append(l.procs, nil)
	}
	for i := range 2 {
		l.start(i, labVIP+"/24")
	}
	return l
}

func TestIPv6(t *testing.T) {
	t.Parallel()
	l := newLabFor(t, 3, "fd09::100/64")
	first, _ := l.waitHolder(l.all()...)
	l.stay(time.Second)
	l.hang(first)
	second, d := l.waitHolder(l.but(first)...)
	took(t, "IPv6, process hangs", d)
	l.procs[first].Signal(syscall.SIGCONT)
	l.stay(2 * time.Second)
	l.hosts[second].BlackHole()
	_, d = l.waitHolder(l.but(second)...)
	took(t, "IPv6, black hole", d)
}

// A stop hands the address over, and leaves nothing behind.
func TestStopLeavesNothing(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	first, _ := l.waitHolder(0, 1)
	l.stay(500 * time.Millisecond)
	l.procs[first].Signal(syscall.SIGTERM)
	<-l.procs[first].Done()
	if err := l.procs[first].Err(); err != nil {
		t.Errorf("the stopped node: %v", err)
	}
	if !l.hosts[1-first].Has(labVIP) || l.hosts[first].Has(labVIP) {
		t.Errorf("held by %v", l.holders())
	}
	l.procs[1-first].Signal(syscall.SIGTERM)
	<-l.procs[1-first].Done()
	if h := l.holders(); len(h) != 0 {
		t.Errorf("left behind on %v", h)
	}
}
