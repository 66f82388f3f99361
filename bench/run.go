package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cachenode/cachenode/bench/origin"
	"github.com/cachenode/cachenode/bench/workload"
)

// Run drives the load that c describes and returns what it measured. progress,
// if not nil, is called about once a second from one goroutine.
//
// When ctx ends early the result of what was done is returned, with Interrupted
// set and no error. An error means that there is no result; see HintOf.
func Run(ctx context.Context, c Config, progress func(Snapshot)) (*Result, error) {
	sleep, closer, err := preciseSleeper()
	if err != nil {
		return nil, err
	}
	defer closer()
	return runWith(ctx, c, progress, surroundings{dial: dialTCP, sleep: sleep, listen: net.Listen})
}

// surroundings are what a run has of the machine.
type surroundings struct {
	dial   func(ctx context.Context, from, to string) (net.Conn, error)
	sleep  sleeper
	listen func(network, address string) (net.Listener, error)
}

// HintOf returns what to do about an error of Run, "" when there is no advice.
func HintOf(err error) string {
	if e, ok := errors.AsType[interface {
		error
		Hint() string
	}](err); ok {
		return e.Hint()
	}
	return ""
}

// run is one run on its way.
type run struct {
	config   Config
	around   surroundings
	progress func(Snapshot)

	authority string // of the origin
	origin    counter
	urls      []string
	replay    *workload.Replay
	writer    *writer
	dialer    *dialer
	rules     rules
	ledger    ledger
	out       outlet
	workers   []*worker
	software  string
	steps     uint64 // used up by the phases before
}

func runWith(ctx context.Context, c Config, progress func(Snapshot), around surroundings) (*Result, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	r := &run{config: c.complete(time.Now()), around: around, progress: progress}
	r.out.conns = map[*worker]net.Conn{}
	closeFiles, err := r.openFiles()
	if err != nil {
		return nil, err
	}
	defer closeFiles()
	tasks := errgroup.Group{}
	stop, err := r.startOrigin(&tasks)
	if err != nil {
		return nil, err
	}
	res, err := r.run(ctx)
	stop()
	return res, errors.Join(err, tasks.Wait())
}

// openFiles reads the URLs, or opens the log.
func (r *run) openFiles() (closer func(), err error) {
	closer = func() {}
	switch {
	case r.config.URLsFrom != "":
		f, err := os.Open(r.config.URLsFrom)
		if err != nil {
			return nil, fmt.Errorf("--urls-from: %w", err)
		}
		defer f.Close()
		if r.urls, err = workload.ReadURLs(f); err != nil {
			return nil, fmt.Errorf("--urls-from: %s: %w", r.config.URLsFrom, err)
		}
	case r.config.Replay != "":
		f, err := os.Open(r.config.Replay)
		if err != nil {
			return nil, fmt.Errorf("--replay: %w", err)
		}
		r.replay = workload.NewReplay(f)
		closer = func() { _ = f.Close() } // read only
	}
	return closer, nil
}

// startOrigin finds the origin, or starts one.
func (r *run) startOrigin(tasks *errgroup.Group) (stop func(), err error) {
	switch {
	case r.urls != nil || r.config.RealURLs:
		r.origin = noOrigin{}
		return func() {}, nil
	case r.config.Origin != "":
		r.authority = r.config.Origin
		r.origin = remoteOrigin{address: r.config.Origin, class: r.config.RunID}
		return func() {}, nil
	}
	ln, err := r.around.listen("tcp", r.config.OriginListen)
	if err != nil {
		return nil, fmt.Errorf("listen for the origin: %w", err)
	}
	s := origin.New(ln)
	tasks.Go(s.Serve)
	r.authority = s.Addr().String()
	r.origin = ownOrigin{server: s, class: r.config.RunID}
	r.rules.serials = s.Serial
	return func() { _ = s.Close() }, nil
}

func (r *run) run(ctx context.Context) (*Result, error) {
	if err := r.prepare(ctx); err != nil {
		return nil, err
	}
	res := &Result{Config: r.config, Loop: r.loop(), Target: r.dialer.target, Software: r.software}
	for i := range r.config.Connections {
		r.workers = append(r.workers, r.newWorker(i))
	}
	defer func() {
		for _, w := range r.workers {
			w.conn.close()
		}
	}()
	if err := r.warm(ctx, res); err != nil {
		return nil, err
	}
	return res, r.measure(ctx, res)
}

// prepare makes everything that workers share, and tries it once.
func (r *run) prepare(ctx context.Context) (err error) {
	c := &r.config
	if r.writer, err = newWriter(c, r.authority, r.urls); err != nil {
		return err
	}
	sources, err := sourceAddresses(c.ClientIPs)
	if err != nil {
		return err
	}
	r.dialer = &dialer{dial: r.around.dial, target: c.Proxy, auth: c.ProxyAuth, timeout: c.Timeout, sources: sources}
	if c.Proxy == "" {
		if r.dialer.target, err = r.directTarget(); err != nil {
			return err
		}
	}
	if c.Tunnel {
		if r.dialer.authority, err = r.directTarget(); err != nil {
			return err
		}
	}
	r.rules.limits, r.rules.change = readLimits(c.CacheControl), c.ChangeEvery
	r.rules.check, r.rules.ledger = c.CheckBodies, &r.ledger
	r.rules.tunnel, r.rules.proxied = c.Tunnel, c.Proxy != ""
	if r.rules.behind, err = r.origin.behind(ctx); err != nil {
		return err
	}
	return r.preflight(ctx)
}

// directTarget is where connections go that no proxy splits by URL: all URLs
// must be of one host.
func (r *run) directTarget() (string, error) {
	if r.config.RealURLs {
		return "", errors.New("--replay with --real-urls needs a proxy, and no tunnel")
	}
	if r.urls == nil {
		return r.authority, nil
	}
	host, _ := splitURL(r.urls[0])
	for _, u := range r.urls {
		if h, _ := splitURL(u); h != host {
			return "", fmt.Errorf("--urls-from: without a proxy, or in a tunnel, all URLs must be of one host, not %s and %s", host, h)
		}
	}
	if _, _, err := net.SplitHostPort(host); err != nil {
		host = net.JoinHostPort(host, "80")
	}
	return host, nil
}

func (r *run) loop() Loop {
	if r.config.Rate > 0 || r.replay != nil && r.config.Speed > 0 {
		return OpenLoop
	}
	return ClosedLoop
}

func (r *run) newWorker(i int) *worker {
	w := &worker{
		number: i, dialer: r.dialer, rules: &r.rules, out: &r.out,
		fresh: r.config.NewConnections, limit: r.config.Timeout,
	}
	w.show = w.example
	w.conn.buf = make([]byte, bodyBuffer(r.config.Connections))
	if float64(i) < r.config.SlowReaders*float64(r.config.Connections) {
		w.conn.pace = &pace{rate: int64(r.config.SlowRate)}
	}
	return w
}
