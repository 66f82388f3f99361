package sibling

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/cachenode/cachenode/icp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// network stands for siblings and the way to them.
type network struct {
	f *Finder

	mu    sync.Mutex // guards what follows
	rtt   map[netip.AddrPort]time.Duration
	says  map[netip.AddrPort]icp.Opcode // silent without
	asked []netip.AddrPort
}

// Query implements Asker in virtual time.
func (n *network) Query(ctx context.Context, _ string, to []netip.AddrPort, wait time.Duration) icp.Outcome {
	type arrival struct {
		at   time.Duration
		from netip.AddrPort
		op   icp.Opcode
	}
	var come []arrival
	var out icp.Outcome
	n.mu.Lock()
	n.asked = append(n.asked, to...)
	for _, a := range to {
		if op, ok := n.says[a]; ok {
			come = append(come, arrival{n.rtt[a], a, op})
		}
		if _, ok := n.says[a]; !ok || n.rtt[a] > wait {
			out.Silent = append(out.Silent, a)
		}
	}
	n.mu.Unlock()
	slices.SortFunc(come, func(a, b arrival) int { return int(a.at - b.at) })
	began := time.Now()
	for _, c := range come {
		if c.at > wait {
			go func() { // late
				time.Sleep(c.at - wait)
				n.f.Observe(icp.Reply{From: c.from, Opcode: c.op, RTT: c.at})
			}()
			continue
		}
		time.Sleep(c.at - time.Since(began))
		n.f.Observe(icp.Reply{From: c.from, Opcode: c.op, RTT: c.at})
		if c.op == icp.OpHit {
			return icp.Outcome{Hit: c.from}
		}
	}
	if len(out.Silent) > 0 {
		time.Sleep(wait - time.Since(began))
	}
	return out
}

// Probe implements Asker.
func (n *network) Probe(url string, to ...netip.AddrPort) {
	go n.Query(context.Background(), url, to, 2*time.Second)
}

func (n *network) set(a netip.AddrPort, op icp.Opcode, rtt time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.says[a], n.rtt[a] = op, rtt
}

func (n *network) kill(a netip.AddrPort) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.says, a)
}

func (n *network) count(a netip.AddrPort) (times int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, x := range n.asked {
		if x == a {
			times++
		}
	}
	return times
}

func addr(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 3130)
}

// neighbours makes n siblings that answer MISS after a millisecond, and a Finder
// that has met them.
func neighbours(t *testing.T, n int, change func(*Options)) (*Finder, *network, func()) {
	t.Helper()
	nw := &network{rtt: map[netip.AddrPort]time.Duration{}, says: map[netip.AddrPort]icp.Opcode{}}
	var list []Sibling
	for i := 1; i <= n; i++ {
		nw.set(addr(i), icp.OpMiss, time.Millisecond)
		list = append(list, Sibling{ID: fmt.Sprint(i), Name: fmt.Sprintf("n%d", i), ICP: addr(i), Proxy: fmt.Sprintf("10.0.0.%d:3128", i)})
	}
	o := DefaultOptions()
	if change != nil {
		change(&o)
	}
	f, err := New(o, Deps{Siblings: func() []Sibling { return list }, ICP: nw})
	if err != nil {
		t.Fatal(err)
	}
	nw.f = f
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		_ = f.Run(ctx)
		close(done)
	}()
	time.Sleep(100 * time.Millisecond) // virtual: the first probes are answered
	return f, nw, func() {
		cancel()
		<-done
		time.Sleep(time.Minute) // what is on its way arrives
	}
}

const page = "http://example.com/page"

func find(f *Finder) (name string, took time.Duration) {
	began := time.Now()
	who, ok := f.Find(context.Background(), page)
	if ok {
		name = who.Name
	}
	return name, time.Since(began)
}

func TestFirstHitWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, nw, stop := neighbours(t, 4, nil)
		defer stop()
		if who, took := find(f); who != "" || took != time.Millisecond {
			t.Errorf("all miss: %q after %v", who, took)
		}
		nw.set(addr(2), icp.OpHit, 3*time.Millisecond)
		nw.set(addr(3), icp.OpHit, 2*time.Millisecond)
		if who, took := find(f); who != "n3" || took != 2*time.Millisecond {
			t.Errorf("%q after %v", who, took)
		}
	})
}

// A dead sibling costs its first silence and nothing more, and is used again
// soon after it is back.
func TestDeadSiblingCostsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, nw, stop := neighbours(t, 2, nil)
		defer stop()
		nw.kill(addr(1))
		if _, took := find(f); took != 5*time.Millisecond {
			t.Errorf("the first silence took %v", took)
		}
		for range 1000 {
			if _, took := find(f); took > time.Millisecond {
				t.Fatalf("a silence took %v", took)
			}
			time.Sleep(10 * time.Millisecond)
		}
		if n := nw.count(addr(1)); n > 15 {
			t.Errorf("the dead one was asked %d times in 10 s", n)
		}
		nw.set(addr(1), icp.OpHit, time.Millisecond)
		time.Sleep(lastRetry + time.Second)
		if who, _ := find(f); who != "n1" {
			t.Errorf("back, but found %q", who)
		}
	})
}

// A sibling that has become slow is waited for again once its late replies have
// told how slow.
func TestWaitFollowsTheRoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, nw, stop := neighbours(t, 1, nil)
		defer stop()
		nw.set(addr(1), icp.OpHit, 40*time.Millisecond)
		for range 100 {
			find(f)
			time.Sleep(time.Second)
		}
		if who, took := find(f); who != "n1" || took != 40*time.Millisecond {
			t.Errorf("%q after %v", who, took)
		}
		nw.set(addr(1), icp.OpHit, time.Second) // beyond max_wait for ever
		if who, took := find(f); who != "" || took > 200*time.Millisecond {
			t.Errorf("%q after %v", who, took)
		}
	})
}

func TestSlowProxyIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, nw, stop := neighbours(t, 1, nil)
		defer stop()
		nw.set(addr(1), icp.OpHit, time.Millisecond)
		who, ok := f.Find(context.Background(), page)
		if !ok {
			t.Fatal("nobody has it")
		}
		f.Done(who, FalseHit)
		f.Done(who, Refused)
		if _, ok := f.Find(context.Background(), page); !ok {
			t.Error("a false hit ends the asking")
		}
		f.Done(who, Slow)
		if name, took := find(f); name != "" || took != 0 {
			t.Errorf("%q after %v", name, took)
		}
		f.Done(who, Served) // one that was under way
		if name, _ := find(f); name != "n1" {
			t.Errorf("%q", name)
		}
		if got := f.Stats()[0].Requests; got["timeout"] != 1 || got["false_hit"] != 1 || got["hit"] != 1 || got["icp_hit"] == 0 {
			t.Errorf("%v", got)
		}
	})
}

func TestRefusingSibling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, nw, stop := neighbours(t, 1, nil)
		defer stop()
		nw.set(addr(1), icp.OpDenied, time.Millisecond)
		for range 2 * maxDenied {
			find(f)
		}
		if n := nw.count(addr(1)); n > maxDenied+5 {
			t.Errorf("asked %d times", n)
		}
	})
}

// With digests, those are asked who may have it; or nobody.
func TestDigestsChoose(t *testing.T) {
	for _, c := range []struct {
		lookup Lookup
		from   int
		asked  string
		found  string
	}{
		{LookupICP, 1, "1 2 3", ""},
		{LookupBoth, 1, "1 3", ""},
		{LookupBoth, 4, "1 2 3", ""},
		{LookupDigest, 1, "", "n1"},
	} {
		synctest.Test(t, func(t *testing.T) {
			f, nw, stop := neighbours(t, 3, func(o *Options) { o.Lookup, o.DigestFrom = c.lookup, c.from })
			defer stop()
			has, lacks := NewFilter(10), NewFilter(10)
			has.Add(Sum(page))
			f.mu.Lock()
			f.peers["1"].digests.filter, f.peers["2"].digests.filter = has, lacks
			f.mu.Unlock()
			nw.mu.Lock()
			nw.asked = nil
			nw.mu.Unlock()
			who, _ := f.Find(context.Background(), page)
			var asked []string
			for i := 1; i <= 3; i++ {
				if nw.count(addr(i)) > 0 {
					asked = append(asked, fmt.Sprint(i))
				}
			}
			if got := strings.Join(asked, " "); got != c.asked || who.Name != c.found || who.ByDigest != (c.found != "") {
				t.Errorf("%s from %d: asked %q, found %+v", c.lookup, c.from, got, who)
			}
		})
	}
}

func TestWhoIsASibling(t *testing.T) {
	f, err := New(DefaultOptions(), Deps{Siblings: func() []Sibling {
		return []Sibling{{ID: "1", ICP: addr(1), Proxy: "10.0.0.9:3128"}}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if !f.Knows(addr(1)) || f.Knows(netip.AddrPortFrom(addr(1).Addr(), 9)) || f.Knows(addr(2)) {
		t.Error("Knows")
	}
	if !f.IsSibling(addr(1).Addr()) || !f.IsSibling(netip.MustParseAddr("::ffff:10.0.0.9")) || f.IsSibling(addr(2).Addr()) {
		t.Error("IsSibling")
	}
	if _, ok := f.Find(context.Background(), "http://a/ b"); ok {
		t.Error("a URL that cannot be asked about")
	}
	if _, ok := f.Find(context.Background(), page); ok {
		t.Error("nobody to ask, and yet found")
	}
}

func TestAnswers(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Cache-Control") != "only-if-cached" {
			t.Errorf("%v", r.Header)
		}
		w.WriteHeader(http.StatusGatewayTimeout)
	})}
	var served sync.WaitGroup
	served.Go(func() { _ = srv.Serve(ln) })
	if err := answers(context.Background(), ln.Addr().String()); err != nil {
		t.Error(err)
	}
	srv.Close()
	served.Wait()
	if err := answers(context.Background(), ln.Addr().String()); err == nil {
		t.Error("nobody listens, and yet it answers")
	}
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := answers(ctx, mute.Addr().String()); err == nil {
		t.Error("nobody answers, and yet it does")
	}
}

func TestOptions(t *testing.T) {
	o := DefaultOptions()
	if err := o.Validate(); err != nil {
		t.Error(err)
	}
	o = Options{Lookup: "htcp", List: []Outside{{Host: "a b"}, {Host: "h", HTTPPort: 1, ICPPort: 1}, {Host: "x", Name: "h", HTTPPort: 1, ICPPort: 1}}}
	err := o.Validate()
	for _, key := range []string{"lookup", "digest_from", "digest_interval", "digest_memory", "min_wait", "list[0].host", "list[0].http_port", "list[0].icp_port", "list[2].name"} {
		if err == nil || !strings.Contains(err.Error(), "siblings."+key+":") {
			t.Errorf("%v does not name %s", err, key)
		}
	}
	s := Outside{Host: "squid.example", HTTPPort: 3128, ICPPort: 3130, Digest: true}.At(netip.MustParseAddr("::ffff:10.0.0.1"))
	if s.Name != "squid.example" || s.ICP != addr(1) || s.Proxy != "10.0.0.1:3128" || s.Digest != AnyVersion {
		t.Errorf("%+v", s)
	}
}
