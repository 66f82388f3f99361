package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/cachenode/cachenode/bench/origin"
	"github.com/cachenode/cachenode/bench/workload"
	"github.com/cachenode/cachenode/internal/units"
)

// Validate reports everything that is wrong with the configuration, each by its
// flag's name.
func (c Config) Validate() error {
	return errors.Join(c.validateLoad(), c.validateShares(), c.validateWorkload(), c.validateOrigin())
}

const (
	maxConnections = 60_000
	maxObjects     = 1_000_000_000
	maxRate        = 10_000_000
)

func (c Config) validateLoad() error {
	var bad problems
	if c.Proxy != "" {
		bad.add("proxy", hostPort(c.Proxy))
	}
	bad.when(c.Tunnel && c.Proxy == "", "tunnel", "needs a proxy")
	bad.when(c.Connections < 1 || c.Connections > maxConnections, "connections", fmt.Sprintf("want 1 to %d, not %d", maxConnections, c.Connections))
	bad.when(c.Duration < 0, "duration", "must not be negative")
	bad.when(c.Requests < 0, "requests", "must not be negative")
	bad.when(c.Duration == 0 && c.Requests == 0 && c.Replay == "", "duration", "give a duration or a number of requests")
	bad.when(!(c.Rate >= 0 && c.Rate <= maxRate), "rate", "want 0 (closed loop) to 10000000 requests per second")
	bad.when(c.Timeout <= 0 || c.Timeout > time.Hour, "timeout", "want more than 0 and at most 1h")
	_, err := sourceAddresses(c.ClientIPs)
	bad.add("client-ips", err)
	bad.when(c.ProxyAuth != "" && (!strings.Contains(c.ProxyAuth, ":") || strings.ContainsAny(c.ProxyAuth, "\r\n")), "proxy-auth", "want USER:PASSWORD")
	bad.when(c.SlowReaders > 0 && c.SlowRate < 20, "slow-rate", "want 20 bytes per second or more")
	return bad.join()
}

func (c Config) validateShares() error {
	var bad problems
	sum := 0.0
	for _, s := range []struct {
		flag  string
		share float64
	}{{"head", c.HeadShare}, {"ranges", c.RangeShare}, {"conditional", c.ConditionShare}, {"reload", c.ReloadShare}, {"post", c.PostShare}} {
		bad.when(!(s.share >= 0 && s.share <= 1), s.flag, "want a share of 0 to 1")
		sum += s.share
	}
	bad.when(sum > 1, "head, ranges, conditional, reload, post", "together more than 1")
	bad.when(!(c.SlowReaders >= 0 && c.SlowReaders <= 1), "slow-readers", "want a share of 0 to 1")
	return bad.join()
}

func (c Config) validateWorkload() error {
	var bad problems
	bad.when(c.Objects > maxObjects, "objects", "want at most 1000000000")
	_, err := workload.ParsePopularity(c.URLs, c.Objects)
	bad.add("urls", err)
	_, err = workload.ParseSizes(c.Sizes, 0)
	bad.add("sizes", err)
	bad.when(!(c.HitRatio <= 1), "hit-ratio", "want 0 to 1")
	_, err = parseWarm(c.Warm)
	bad.add("warm", err)
	bad.when(!(c.Speed >= 0), "speed", "want 0 (as fast as it goes) or more")
	bad.when(c.Replay != "" && c.URLsFrom != "", "replay", "cannot go with --urls-from")
	bad.when(c.Replay != "" && c.Rate > 0, "rate", "a replay has its own times: use --speed")
	bad.when(c.Replay != "" && c.HitRatio >= 0, "hit-ratio", "a replay asks for what was recorded")
	bad.when(c.RealURLs && c.Replay == "", "real-urls", "goes with --replay only")
	if _, err := origin.ParseSpec(origin.Prefix+c.RunID, ""); c.RunID != "" && (err != nil || len(c.RunID) > 60 || strings.Contains(c.RunID, "/")) {
		bad.add("run-id", errors.New("want up to 60 letters, digits and dashes"))
	}
	return bad.join()
}

func (c Config) validateOrigin() error {
	var bad problems
	if c.Origin != "" {
		bad.add("origin", hostPort(c.Origin))
	}
	bad.add("origin-listen", hostPort(c.OriginListen))
	bad.when(c.TTFB < 0 || c.TTFB > time.Hour, "ttfb", "want 0 to 1h")
	bad.when(c.Bandwidth < 0, "bandwidth", "must not be negative")
	bad.when(c.ChangeEvery < 0, "change-every", "must not be negative")
	bad.when(c.ChangeEvery > 0 && c.ChangeEvery < 10*time.Millisecond, "change-every", "want 10ms or more")
	field, values, _ := strings.Cut(c.Vary, "=")
	spec := origin.Spec{ID: "x", Size: 1, CacheControl: c.CacheControl, Vary: field}
	_, err := origin.ParseSpec(origin.Prefix+"x", string(spec.AppendQuery(nil)))
	bad.add("cache-control, vary", err)
	bad.when(strings.ContainsAny(values, " \t\r\n;") || len(values) > 0 && field == "", "vary", "want FIELD=VALUE,VALUE")
	return bad.join()
}

// problems collects what is wrong.
type problems []error

func (p *problems) add(flag string, err error) {
	if err != nil {
		*p = append(*p, fmt.Errorf("--%s: %w", flag, err))
	}
}

func (p *problems) when(wrong bool, flag, text string) {
	if wrong {
		p.add(flag, errors.New(text))
	}
}

func (p problems) join() error { return errors.Join(p...) }

func hostPort(text string) error {
	_, port, err := net.SplitHostPort(text)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return fmt.Errorf("invalid address %q: want HOST:PORT", text)
	}
	return nil
}

// maxSources bounds the client addresses.
const maxSources = 65536

// sourceAddresses reads addresses and ranges "A-B" of IPv4 addresses.
func sourceAddresses(texts []string) ([]string, error) {
	var all []string
	for _, text := range texts {
		low, high, isRange := strings.Cut(text, "-")
		a, err := netip.ParseAddr(low)
		if err != nil {
			return nil, fmt.Errorf("invalid address %q", low)
		}
		b := a
		if isRange {
			if b, err = netip.ParseAddr(high); err != nil || !a.Is4() || !b.Is4() || b.Less(a) {
				return nil, fmt.Errorf("invalid range %q: want two IPv4 addresses, such as 127.0.0.2-127.0.0.9", text)
			}
			if first, last := a.As4(), b.As4(); binary.BigEndian.Uint32(last[:])-binary.BigEndian.Uint32(first[:]) >= maxSources {
				return nil, fmt.Errorf("range %q is too large: want at most %d addresses", text, maxSources)
			}
		}
		for ; a.Compare(b) <= 0; a = a.Next() {
			all = append(all, a.String())
			if a == b {
				break
			}
		}
	}
	return all, nil
}

// warm is what comes before the measured phase.
type warm struct {
	all      bool
	requests uint64
	duration time.Duration
}

func (w warm) none() bool { return w == warm{} }

// parseWarm reads none, all, a number of requests or a duration.
func parseWarm(text string) (warm, error) {
	switch text {
	case "", "none", "0":
		return warm{}, nil
	case "all":
		return warm{all: true}, nil
	}
	if n, err := strconv.ParseUint(text, 10, 62); err == nil {
		return warm{requests: n}, nil
	}
	d, err := units.ParseDuration(text)
	if err != nil {
		return warm{}, fmt.Errorf("invalid warm phase %q: want none, all, a number of requests or a duration", text)
	}
	return warm{duration: d.D()}, nil
}

// complete puts in what follows from the rest.
func (c Config) complete(now time.Time) Config {
	if c.RunID == "" {
		c.RunID = strconv.FormatInt(now.UnixMilli(), 36)
	}
	if c.Warm == "" {
		c.Warm = "none"
		if c.HitRatio >= 0 {
			c.Warm = "all" // or the popular objects would be misses too
		}
	}
	return c
}
