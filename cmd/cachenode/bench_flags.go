package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/cachenode/cachenode/bench"
	"github.com/cachenode/cachenode/internal/units"
)

// span lets a duration flag be written with days and weeks, as everywhere else.
func span(f *pflag.FlagSet, d *units.Duration, name, short string, usage string) {
	f.VarP(d, name, short, usage)
}

// benchFlags are the flags of a load; compare has them too.
type benchFlags struct {
	config   bench.Config
	duration units.Duration
	timeout  units.Duration
	ttfb     units.Duration
	change   units.Duration
	speed    string
	noCheck  bool
}

func newBenchFlags() *benchFlags {
	b := &benchFlags{config: bench.DefaultConfig(), speed: "1x"}
	b.duration, b.timeout = units.Duration(b.config.Duration), units.Duration(b.config.Timeout)
	return b
}

func (b *benchFlags) register(cmd *cobra.Command) {
	f, c := cmd.Flags(), &b.config
	f.SortFlags = false
	// The load.
	f.IntVarP(&c.Connections, "connections", "c", c.Connections, "clients, each with one request at a time")
	span(f, &b.duration, "duration", "d", "how long; 0: until --requests are done")
	f.Int64VarP(&c.Requests, "requests", "n", c.Requests, "how many requests; 0: until --duration is over")
	f.Float64VarP(&c.Rate, "rate", "R", c.Rate, "requests per second at even times (open loop); 0: each client as fast as it is answered")
	span(f, &b.timeout, "timeout", "", "of one request")
	f.BoolVar(&c.NewConnections, "new-connections", false, "a connection for every request")
	f.BoolVar(&c.Tunnel, "tunnel", false, "through CONNECT")
	f.StringSliceVar(&c.ClientIPs, "client-ips", nil, "source addresses, used in turn: 127.0.0.2-127.0.0.9")
	f.Float64Var(&c.SlowReaders, "slow-readers", 0, "share of clients that read slowly")
	f.Var(&c.SlowRate, "slow-rate", "bytes per second that a slow client reads")
	f.StringVar(&c.ProxyAuth, "proxy-auth", "", "`USER:PASSWORD` for the proxy")
	// What is asked for.
	f.StringVar(&c.URLs, "urls", c.URLs, "which objects: zipf:0.9, uniform or sequential")
	f.IntVar(&c.Objects, "objects", c.Objects, "how many objects there are")
	f.StringVar(&c.Sizes, "sizes", c.Sizes, "how large: fixed:10KiB, uniform:1KiB-1MiB, lognormal:10KiB,1.5 or mix:web")
	f.Float64Var(&c.HitRatio, "hit-ratio", c.HitRatio, "share of requests for objects asked for before, 0 to 1; below 0: as it comes")
	f.StringVar(&c.Warm, "warm", c.Warm, "what comes before the measured phase: none, all (every object once), a number of requests, or a duration")
	f.Float64Var(&c.HeadShare, "head", 0, "share of HEAD requests")
	f.Float64Var(&c.PostShare, "post", 0, "share of POST requests")
	f.Float64Var(&c.RangeShare, "ranges", 0, "share of requests for a range")
	f.Float64Var(&c.ConditionShare, "conditional", 0, "share of requests with If-None-Match")
	f.Float64Var(&c.ReloadShare, "reload", 0, "share of requests with Cache-Control: no-cache")
	f.Uint64Var(&c.Seed, "seed", 0, "the same seed asks for the same objects in the same order")
	f.StringVar(&c.RunID, "run-id", "", "name in the URLs; the same one meets what an earlier run left in the cache (default: the time)")
	f.StringVar(&c.Replay, "replay", "", "access log `FILE` to replay (squid native, common, combined)")
	f.StringVar(&b.speed, "speed", b.speed, "of the replay: 1x as recorded, 2x twice as fast, max as fast as it goes")
	f.BoolVar(&c.RealURLs, "real-urls", false, "replay the recorded URLs themselves, not objects of the origin in their place")
	f.StringVar(&c.URLsFrom, "urls-from", "", "`FILE` of URLs, one per line, to be asked for instead")
	// The origin.
	f.StringVar(&c.OriginListen, "origin-listen", c.OriginListen, "where the origin of this run listens")
	f.StringVar(&c.Origin, "origin", "", "`HOST:PORT` of an origin that runs already: see 'cachenode bench origin'")
	span(f, &b.ttfb, "ttfb", "", "the origin waits so long before it answers")
	f.Var(&c.Bandwidth, "bandwidth", "bytes per second of each answer of the origin; 0: no limit")
	f.StringVar(&c.CacheControl, "cache-control", c.CacheControl, "the origin's Cache-Control")
	span(f, &b.change, "change-every", "", "every object changes so often; 0: never")
	f.StringVar(&c.Vary, "vary", "", "the origin's answers vary: accept-language=en,it")
	f.BoolVar(&c.NoETag, "no-etag", false, "the origin has no validators")
	// The measuring.
	f.IntVar(&c.TargetPID, "target-pid", 0, "process whose CPU is the target's; 0: who listens on its port here")
	f.BoolVar(&b.noCheck, "no-check", false, "do not compare the bytes of bodies")
	_ = cmd.MarkFlagFilename("replay")    // completion only
	_ = cmd.MarkFlagFilename("urls-from") // completion only
}

// load is the configuration that the flags make.
func (b *benchFlags) load(cmd *cobra.Command) (bench.Config, error) {
	c := b.config
	c.Duration, c.Timeout, c.TTFB, c.ChangeEvery = b.duration.D(), b.timeout.D(), b.ttfb.D(), b.change.D()
	c.CheckBodies = !b.noCheck
	changed := cmd.Flags().Changed
	if (c.Requests > 0 || c.Replay != "") && !changed("duration") {
		c.Duration = 0
	}
	var err error
	if c.Speed, err = parseSpeed(b.speed); err != nil {
		return c, usage(cmd, err)
	}
	if err := c.Validate(); err != nil {
		return c, usage(cmd, err)
	}
	return c, nil
}

func parseSpeed(text string) (float64, error) {
	if text == "max" {
		return 0, nil
	}
	number := text
	if n := len(text); n > 0 && text[n-1] == 'x' {
		number = text[:n-1]
	}
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || !(v > 0 && v <= 1e6) {
		return 0, fmt.Errorf("--speed: invalid speed %q: want 1x, 2.5x or max", text)
	}
	return v, nil
}
