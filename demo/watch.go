package demo

import (
	"context"
	"sync"
	"time"

	"github.com/cachenode/cachenode/admin"
)

// How often the nodes are asked, and how long one may take to answer.
const (
	every     = 500 * time.Millisecond
	answersIn = time.Second
)

// watcher asks the nodes how they are.
type watcher struct {
	names []string
	dirs  []string // data directories, in the same order
	calls []*admin.Client
	last  []sample
	asked int // who was asked of the cluster last
}

// sample is what rates are computed from.
type sample struct {
	at       time.Time
	requests int64
	rate     float64
}

func newWatcher(names, dirs []string) *watcher {
	return &watcher{names: names, dirs: dirs, calls: make([]*admin.Client, len(names)), last: make([]sample, len(names))}
}

// run sends what it sees until ctx ends.
func (w *watcher) run(ctx context.Context, to chan<- *Seen) error {
	defer w.close()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		select {
		case to <- w.look(ctx):
		case <-ctx.Done():
			return nil
		}
	}
}

func (w *watcher) close() {
	for _, c := range w.calls {
		if c != nil {
			c.Close()
		}
	}
}

// look asks each node of itself, and one of them of the cluster.
func (w *watcher) look(ctx context.Context) *Seen {
	seen := &Seen{Nodes: make([]Vitals, len(w.names))}
	var asking sync.WaitGroup
	for i := range w.names {
		asking.Go(func() { seen.Nodes[i] = w.vitals(ctx, i) })
	}
	asking.Wait()
	if by, ok := w.witness(seen.Nodes); ok {
		w.cluster(ctx, w.calls[by], seen)
	}
	seen.At = time.Now()
	return seen
}

func (w *watcher) vitals(ctx context.Context, i int) Vitals {
	ctx, cancel := context.WithTimeout(ctx, answersIn)
	defer cancel()
	if w.calls[i] == nil {
		c, err := admin.DialDir(ctx, w.dirs[i])
		if err != nil {
			return Vitals{}
		}
		w.calls[i] = c
	}
	st, err := w.calls[i].Status(ctx)
	if err != nil || st.State == "starting" {
		return Vitals{}
	}
	was, now := w.last[i], sample{at: time.Now(), requests: st.Total.Requests}
	now.rate = rate(was.requests, now.requests, now.at.Sub(was.at))
	now.rate = (was.rate + now.rate) / 2 // a calmer figure
	w.last[i] = now
	return Vitals{
		Answers: true, Connections: st.Connections, Requests: now.requests, Rate: now.rate, HitRatio: st.Last5m.HitRatio, Objects: st.Objects,
	}
}

// witness is who tells of the cluster: the same one as long as it answers, for a
// node that has just started may not know the others yet.
func (w *watcher) witness(nodes []Vitals) (index int, ok bool) {
	for i := range nodes {
		at := (w.asked + i) % len(nodes)
		if nodes[at].Answers {
			w.asked = at
			return at, true
		}
	}
	return 0, false
}

func (w *watcher) cluster(ctx context.Context, by *admin.Client, seen *Seen) {
	ctx, cancel := context.WithTimeout(ctx, answersIn)
	defer cancel()
	if m, err := by.Members(ctx); err == nil {
		states := map[string]string{}
		for i := range m.Members {
			states[m.Members[i].Name] = m.Members[i].State
		}
		for i, name := range w.names {
			seen.Nodes[i].Member = states[name]
		}
	}
	if v, err := by.VIP(ctx); err == nil {
		seen.Holder = v.Holder
	}
}
