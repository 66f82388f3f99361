package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/cachenode/cachenode/bench"
	"github.com/cachenode/cachenode/bench/origin"
)

func newBench() *cobra.Command {
	b, show := newBenchFlags(), &benchReport{}
	cmd := &cobra.Command{
		Use:   "bench [flags] [PROXY]",
		Short: "Load a caching proxy, and check every byte it answers",
		Long: `bench loads a proxy (default 127.0.0.1:3128) with requests for objects of an
origin that it brings along, checks every answer, and prints what it measured.

The origin listens on loopback, where a node does not go by itself. So for a
first result on one machine:

  cachenode run --allow-to 127.0.0.0/8
  cachenode bench

With --rate, requests are sent at even times whether or not the answers before
have come, and latencies count from when a request should have been sent: that
is what users of a busy proxy see. Without it each client sends when it has its
answer (a closed loop): that finds the greatest throughput, and its latencies
are too good; a corrected column stands beside them.

Wrong, truncated, foreign and outdated bodies are failures, and so is a
Cache-Status that the origin's own counts contradict. Ctrl-C ends a run early
and prints what there is. PROXY "direct" asks the origin itself: that is what
the generator can do. Exit codes: 0 done, 1 failed, 2 usage, 99 a threshold
missed. See docs/benchmarking.md.

Conditions of --fail-under compare one of these with < <= > >= = !=:

` + metricsHelp() + `
and latencies, requests, rate and bytes/s of one class too, as in hit.p99.`,
		Example: `  cachenode bench                                       hits and misses as they come, 10 s
  cachenode bench --warm all --sizes 1KiB               hits only
  cachenode bench --rate 5000 -d 1m --hit-ratio 0.8     latencies at a load you expect
  cachenode bench --sizes mix:web --objects 1000000     a working set larger than the memory
  cachenode bench --replay access.log --speed 4x        your own traffic, four times as fast
  cachenode bench --tunnel --new-connections            CONNECT
  cachenode bench --html report.html --json r.json      a page with plots, and data
  cachenode bench --fail-under 'p99<20ms,errors=0'      exit code 99 when it is not so
  cachenode bench --client-ips 127.0.0.2-127.0.0.9      several clients, for source hashing
  cachenode bench --origin 10.0.0.9:8080 10.0.0.1:3128  a cluster, with the origin elsewhere`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			setProxy(&b.config, args)
			return runBench(cmd, b, show)
		},
	}
	b.register(cmd)
	show.register(cmd)
	cmd.AddCommand(newBenchOrigin(), newBenchCompare(), newBenchFailover())
	return cmd
}

func setProxy(c *bench.Config, args []string) {
	switch {
	case len(args) == 0:
	case args[0] == "direct":
		c.Proxy = ""
	default:
		c.Proxy = args[0]
	}
}

func runBench(cmd *cobra.Command, b *benchFlags, how *benchReport) error {
	c, err := b.load(cmd)
	if err != nil {
		return err
	}
	show, err := how.shower(cmd)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	progress, done := how.live(cmd)
	r, err := bench.Run(ctx, c, progress)
	done()
	if err != nil {
		return errors.Join(benchFailed(ctx, err), how.close())
	}
	return show(r)
}

// benchFailed gives an error of a run its code and hint.
func benchFailed(ctx context.Context, err error) error {
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return &coded{err: errors.New("stopped before there was anything to show"), code: exitFailure}
	}
	return &coded{err: err, code: exitFailure, hint: bench.HintOf(err)}
}

func newBenchOrigin() *cobra.Command {
	var listen string
	cmd := &cobra.Command{
		Use:   "origin",
		Short: "Run the origin of bench alone, for load from another machine",
		Long: `origin serves the objects that bench asks for, named by their URL:

  /o/ID?size=10k&ttfb=20ms&bw=1m&status=404&cc=max-age%3D60&etag=0&vary=accept-language&change=30s&chunked=1

Every parameter may be left out. /stats answers with counts. Give its address to
bench with --origin. It answers everybody who reaches it.`,
		Example: "  cachenode bench origin --listen 10.0.0.9:8080",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return serveOrigin(ctx, listen, cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:8080", "`ADDRESS:PORT` to listen on")
	return cmd
}

func serveOrigin(ctx context.Context, listen string, w io.Writer) error {
	s, err := origin.Listen(listen)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "origin  http://%s/o/1?size=10k\ncounts  http://%[1]s/stats\nCtrl-C stops it.\n", s.Addr())
	served := make(chan error, 1) // it ends once
	go func() { served <- s.Serve() }()
	<-ctx.Done()
	return errors.Join(s.Close(), <-served)
}
