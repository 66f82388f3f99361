package failover

import (
	"fmt"
	"slices"
	"testing"
	"time"

	prober "github.com/cachenode/cachenode/bench/failover"
)

// outcome is what came of an event.
type outcome struct {
	gap     time.Duration // the longest time without an answer, on new or kept connections
	last    time.Duration // from the event to the start of the last request that failed; 0: none failed
	lastNew time.Duration // the same of those on new connections
	failed  int64
	stale   int64         // requests whose kept connection was gone, answered on a new one
	holder  time.Duration // from the event to the last change of the holder
	seen    []sighting
	whole   int // downloads
	loads   int
	pages   [][]string // what curl said of pages that failed, each curl by itself
	before  int        // holder
	after   int
	holds   []int // who may be
	result  *prober.Result
}

// happen makes an event happen to a cluster in use.
func (c *cluster) happen(e *event) *outcome {
	c.t.Helper()
	o := &outcome{before: c.holder()}
	v := c.visit()
	c.visitors = v
	v.served()
	v.download(e.downloads)
	c.event()
	holds := e.begin(c)
	w := c.watch()
	if holds == nil {
		holds = []int{o.before}
	}
	o.after = c.waitHolder(holds)
	o.loads, o.whole = len(v.downloads), v.whole()
	c.answers()
	c.lasts(e)
	o.seen = w.end()
	o.holds, o.after = holds, c.holder()
	o.result, o.pages = v.leave()
	o.count(e, c.began)
	return o
}

// lasts lets the clients go on for a while, to see what comes late.
func (c *cluster) lasts(e *event) {
	d := time.Second
	if measuring() > 0 {
		d = max(3*time.Second, e.lasts)
	}
	time.Sleep(time.Until(c.began.Add(d)))
}

func (o *outcome) count(e *event, began time.Time) {
	r := o.result
	o.gap, o.failed, o.stale = r.LongestGap(), r.Failed(), r.New.Stale+r.OnKept.Stale
	if r.LastFailure != nil {
		at := r.Started.Add(time.Duration(*r.LastFailure * float64(time.Second)))
		o.last = max(0, at.Sub(began))
	}
	o.lastNew = o.last
	if len(r.Examples) < 20 { // they are all
		o.lastNew = 0
		for _, x := range r.Examples {
			if x.Outcome == "failed" && x.Connection == "new" {
				o.lastNew = r.Started.Add(time.Duration(x.AtSeconds * float64(time.Second))).Sub(began)
			}
		}
	}
	if o.after != o.before && !e.planned {
		o.holder = settled(o.seen, began)
	}
}

// check says what went wrong, whatever time it took.
func (o *outcome) check(e *event) (wrong []string) {
	bad := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	if !e.two && twice(o.seen) {
		bad("two nodes had the address at a time: %v", o.seen)
	}
	if !slices.Contains(o.holds, o.after) {
		bad("the address has moved once more, to %d", o.after)
	}
	if !o.result.New.Recovered || !o.result.OnKept.Recovered {
		bad("requests failed until the end")
	}
	for _, failed := range o.pages {
		if e.planned && len(failed) > 0 || e.once && len(failed) > 1 {
			bad("curl: %d requests failed: %v", len(failed), failed)
		}
	}
	if !e.planned {
		return wrong
	}
	if o.failed > 0 || o.stale > 0 {
		bad("%d requests failed and %d were reset: %+v", o.failed, o.stale, o.result.Examples)
	}
	if o.whole != o.loads {
		bad("%d of %d downloads were completed", o.whole, o.loads)
	}
	return wrong
}

// Each scenario once, or FAILOVER_REPEAT times: the right node holds the address,
// no other does, and clients are served as the event allows.
func TestEvents(t *testing.T) {
	if measuring() > 0 {
		t.Skip("TestMeasure measures them")
	}
	for _, s := range scenarios() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, s.nodes)
			for i := range number("FAILOVER_REPEAT", 1) {
				if i > 0 {
					c.restore()
				}
				for _, e := range s.events {
					o := c.happen(&e)
					t.Logf("%s: gap %v, last failure after %v, %d failed, %d stale, holder after %v: %v", e.name, o.gap, o.last, o.failed, o.stale, o.holder, o.seen)
					c.judge(&e, o.check(&e))
				}
				c.forgotten()
			}
		})
	}
}

// judge fails the test for what went wrong, unless the machine is to blame.
func (c *cluster) judge(e *event, wrong []string) {
	c.t.Helper()
	if len(wrong) > 0 && c.starved() {
		c.t.Skipf("this machine kept the nodes from running; %s: %v", e.name, wrong)
	}
	for _, w := range wrong {
		c.t.Errorf("%s: %s", e.name, w)
	}
}
