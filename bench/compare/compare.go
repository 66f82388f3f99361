// Package compare runs one workload through several proxies in turn, round
// after round, and tells how much better or worse the first of them is. What
// else goes on in the machine then falls on all alike. The load itself is made
// by package bench, the proxies are started by package rival.
package compare

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cachenode/cachenode/bench"
	"github.com/cachenode/cachenode/bench/origin"
	"github.com/cachenode/cachenode/bench/rival"
	"github.com/cachenode/cachenode/internal/procstat"
	"github.com/cachenode/cachenode/internal/units"
)

// Options are what is compared.
type Options struct {
	Workload bench.Config // Proxy, Origin, RunID and TargetPID are set for each run
	Rounds   int
	Proxies  []string   // HOST:PORT of running proxies; the first is the one the others are held against
	Against  []string   // of rival.Names, started for this
	Binary   string     // cachenode, started first when Proxies is empty
	Memory   units.Size // caches of those that are started
	Disk     units.Size
	Pin      bool          // started proxies on processor 0, this process on 1
	Settle   time.Duration // between two runs
}

// DefaultOptions compare in five rounds of the default workload, all objects
// asked for once before.
func DefaultOptions() Options {
	w := bench.DefaultConfig()
	w.Duration, w.Warm = 4*time.Second, "all"
	return Options{Workload: w, Rounds: 5, Memory: units.GiB, Disk: 6 * units.GiB, Settle: 200 * time.Millisecond}
}

// Validate reports everything that is wrong, the workload's problems too.
func (o *Options) Validate() error {
	var problems []error
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if o.Rounds < 1 || o.Rounds > 1000 {
		bad("rounds: must be from 1 to 1000, not %d", o.Rounds)
	}
	for _, name := range o.Against {
		if !slices.Contains(rival.Names(), name) {
			bad("against: unknown proxy %q: want some of %s", name, strings.Join(rival.Names(), ","))
		}
		if (name == rival.Nginx) && o.Workload.Tunnel {
			bad("against: nginx has no CONNECT")
		}
	}
	for _, addr := range o.Proxies {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			bad("proxy: invalid address %q: want HOST:PORT", addr)
		}
	}
	if o.Memory < 0 || o.Disk < 0 {
		bad("memory, disk: must not be negative")
	}
	if o.Pin && runtime.NumCPU() < 2 {
		bad("pin: needs two processors, this machine has %d", runtime.NumCPU())
	}
	return errors.Join(append(problems, o.Workload.Validate())...)
}

// Hooks connect a comparison with the world. Load must be set.
type Hooks struct {
	Load    func(ctx context.Context, c bench.Config, progress func(bench.Snapshot)) (*bench.Result, error) // bench.Run
	Version string                                                                                          // of this program
	// Begin is called before each run; Progress during it. Both may be nil.
	Begin    func(target string, round, rounds int)
	Progress func(bench.Snapshot)
}

// target is one proxy that is compared.
type target struct {
	proxy *rival.Proxy // nil: it was running before
	doc   Target
}

type comparison struct {
	o       Options
	h       Hooks
	origin  string // HOST:PORT
	targets []*target
	missing []string
	warned  []string
	runID   string
}

// Run compares. When ctx ends early the rounds done until then are the report.
// Everything that was started is stopped before it returns.
func Run(ctx context.Context, o Options, h Hooks) (report *Report, err error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.Pin {
		if err := rival.PinSelf(1); err != nil {
			return nil, fmt.Errorf("pin to a processor: %w", err)
		}
	}
	c := &comparison{o: o, h: h, runID: strconv.FormatInt(time.Now().UnixNano(), 36)}
	started := time.Now()
	if o.Workload.Origin == "" {
		stop, err := c.startOrigin()
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, stop()) }()
	} else {
		c.origin = o.Workload.Origin
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	if err := c.start(ctx); err != nil {
		return nil, err
	}
	c.rounds(ctx)
	return c.report(ctx, started), nil
}

// startOrigin runs one origin for all, since some proxies are told at their
// start which one they are in front of.
func (c *comparison) startOrigin() (stop func() error, err error) {
	s, err := origin.Listen(c.o.Workload.OriginListen)
	if err != nil {
		return nil, fmt.Errorf("start the origin: %w", err)
	}
	c.origin = s.Addr().String()
	served := make(chan error, 1) // its only value
	go func() { served <- s.Serve() }()
	return func() error { return errors.Join(s.Close(), <-served) }, nil
}

// start brings up the targets in their order: ours first.
func (c *comparison) start(ctx context.Context) error {
	for _, addr := range c.o.Proxies {
		c.targets = append(c.targets, &target{doc: Target{Name: addr, Addr: addr}})
	}
	if len(c.targets) == 0 {
		if err := c.launch(ctx, rival.Cachenode); err != nil {
			return err
		}
	}
	for _, name := range c.o.Against {
		err := c.launch(ctx, name)
		switch {
		case ctx.Err() != nil:
			return err
		case err != nil: // missing, or it does not start: the others can still be compared
			c.missing = append(c.missing, err.Error())
		}
	}
	return nil
}

func (c *comparison) launch(ctx context.Context, name string) error {
	o := rival.Options{Name: name, Origin: c.origin, Memory: c.o.Memory, Disk: c.o.Disk, CPU: -1}
	if len(c.targets) > 0 {
		o.Backend = c.targets[0].doc.Addr
	}
	if name == rival.Cachenode {
		o.Binary = c.o.Binary
	}
	if c.o.Pin {
		o.CPU = 0
	}
	p, err := rival.Start(ctx, o)
	if err != nil {
		return err
	}
	c.targets = append(c.targets, &target{proxy: p, doc: Target{Name: p.Name, Version: p.Version, Addr: p.Addr, Note: p.Note, Started: true}})
	return nil
}

// stop ends all that were started, side by side: each may take its time.
func (c *comparison) stop() error {
	errs := make([]error, len(c.targets))
	var stopping sync.WaitGroup
	for i, t := range c.targets {
		if t.proxy != nil {
			stopping.Go(func() { errs[i] = t.proxy.Stop() })
		}
	}
	stopping.Wait()
	return errors.Join(errs...)
}

// rounds lets all targets take turns until the end of ctx.
func (c *comparison) rounds(ctx context.Context) {
	for round := range c.o.Rounds {
		for _, t := range c.targets {
			if t.doc.Error != "" {
				continue
			}
			if ctx.Err() != nil {
				return
			}
			if c.h.Begin != nil {
				c.h.Begin(t.doc.label(), round+1, c.o.Rounds)
			}
			if err := c.one(ctx, t, round); err != nil && ctx.Err() == nil {
				t.doc.Error = err.Error()
			}
			pause(ctx, c.o.Settle)
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// one is one run through one target. A run that was cut short does not count.
func (c *comparison) one(ctx context.Context, t *target, round int) error {
	w := c.workload(t, round)
	begun := c.meter(t)
	r, err := c.h.Load(ctx, w, c.h.Progress)
	if err != nil {
		return err
	}
	if r.Interrupted {
		return context.Canceled
	}
	t.doc.Rounds = append(t.doc.Rounds, roundOf(r, begun.others(c.meter(t))))
	for _, warning := range r.Warnings {
		if said := t.doc.label() + ": " + warning; !slices.Contains(c.warned, said) && len(c.warned) < 20 {
			c.warned = append(c.warned, said)
		}
	}
	return nil
}

// workload is that of one run. Objects that were all asked for once stay the
// same in all rounds; in any other workload a round begins with unknown ones.
func (c *comparison) workload(t *target, round int) bench.Config {
	w := c.o.Workload
	w.Proxy, w.Origin = t.doc.Addr, c.origin
	if t.proxy != nil {
		w.TargetPID = t.proxy.PID()
	}
	w.RunID = c.runID
	if w.Warm == "all" && w.HitRatio < 0 {
		if round > 0 {
			w.Warm = ""
		}
	} else {
		w.RunID += "-" + strconv.Itoa(round)
	}
	return w
}

// meter is what the machine, this process and a target have used.
type meter struct {
	at           time.Time
	machine, run time.Duration // run: by what belongs to it
	known        bool
}

func (c *comparison) meter(t *target) meter {
	m := meter{at: time.Now()}
	m.machine, m.known = procstat.Machine()
	m.run = procstat.Of(os.Getpid()).Total()
	if t.proxy != nil {
		m.run += t.proxy.Usage().Total()
		if t.proxy.Name == rival.HAProxy && c.targets[0].proxy != nil {
			m.run += c.targets[0].proxy.Usage().Total()
		}
	}
	return m
}

// others is how many processors strangers used between two readings, nil where
// that cannot be told.
func (m meter) others(end meter) *float64 {
	took := end.at.Sub(m.at)
	if !m.known || !end.known || took <= 0 {
		return nil
	}
	v := max(0, ((end.machine-m.machine)-(end.run-m.run)).Seconds()/took.Seconds())
	return &v
}
