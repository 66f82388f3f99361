package proxy

import (
	"errors"
	"fmt"
	"time"

	"github.com/cachenode/cachenode/http1"
	"github.com/cachenode/cachenode/internal/units"
	"github.com/cachenode/cachenode/proxy/tunnel"
	"github.com/cachenode/cachenode/proxy/upstream"
)

// Options of the request path.
type Options struct {
	// How origins and parent proxies are reached.
	Upstream upstream.Options `yaml:"upstream"`
	// CONNECT tunnels and upgraded connections.
	Tunnel tunnel.Options `yaml:"tunnel"`
	// What is fetched once for many, and what goes on after the client left.
	Fill FillOptions `yaml:"fill"`
	// Fields added to requests and responses.
	Headers HeaderOptions `yaml:"headers"`
	// How long a client may take, and how large its request head may be.
	Client ClientOptions `yaml:"client"`
}

// FillOptions bound the fetches that answer misses.
type FillOptions struct {
	// Requests that may wait for one fetch of the same URL; more are answered 503.
	MaxWaiters int `yaml:"max_waiters"`
	// Fetches that may run for no client at a time: refreshes of stale objects, and what is completed after its clients left.
	MaxBackground int `yaml:"max_background"`
	// When all clients of a cacheable fetch have left it is still completed if at most this much is missing. 0 never completes.
	CompleteMissing units.Size `yaml:"complete_missing"`
	// It is also completed when at least this part of it (in percent) has arrived. 0 switches the rule off.
	CompletePercent int `yaml:"complete_percent"`
	// How long a sibling that has a response may take to begin it, and to send all of it if it is short, before the origin is asked instead.
	SiblingTimeout units.Duration `yaml:"sibling_timeout"`
	// What is stored of the responses that siblings have: hot stores what is asked for again here among the last hot_among of them, so that the nodes hold little twice; always and never are what they say.
	StoreSiblingHits string `yaml:"store_sibling_hits"`
	// Among how many responses of siblings a second one for the same URL makes it hot. Fewer keep more different objects in the cluster, more keep what is popular nearer.
	HotAmong int `yaml:"hot_among"`
	// Buffer between an origin and a client for a response that is not stored.
	Buffer units.Size `yaml:"buffer"`
}

// HeaderOptions choose optional header fields.
type HeaderOptions struct {
	// What to do with X-Forwarded-For on requests: keep leaves it as it is, add appends the client's address, delete removes it.
	ForwardedFor string `yaml:"forwarded_for"`
	// Adds squid's X-Cache and X-Cache-Lookup to responses, and X-Squid-Error to error pages.
	SquidCompat bool `yaml:"squid_compat"`
	// Adds the cache key to Cache-Status.
	CacheStatusKey bool `yaml:"cache_status_key"`
}

// ClientOptions bound what one client may take.
type ClientOptions struct {
	// Time a client may take between two parts of a request body.
	BodyTimeout units.Duration `yaml:"body_timeout"`
	// Bytes a second that a request body must bring, as a mean over five minutes of waiting for it; less is answered 408. Time that the origin takes does not count. 0 sets no limit.
	BodyMinRate units.Size `yaml:"body_min_rate"`
	// Time a client may take to accept the next part of a response.
	WriteTimeout units.Duration `yaml:"write_timeout"`
	// Longest request target; a longer one is answered 414.
	MaxURI units.Size `yaml:"max_uri"`
	// Most header fields of a request; more are answered 431.
	MaxFields int `yaml:"max_fields"`
}

// Bound puts what o says into the options of the server of the clients.
func (o *ClientOptions) Bound(s *http1.Options) {
	s.MaxURI, s.MaxFields = o.MaxURI, o.MaxFields
	s.BodyTimeout, s.BodyMinRate, s.WriteTimeout = o.BodyTimeout, o.BodyMinRate, o.WriteTimeout
}

// DefaultOptions returns the defaults.
func DefaultOptions() Options {
	return Options{
		Upstream: upstream.DefaultOptions(),
		Tunnel:   tunnel.DefaultOptions(),
		Fill: FillOptions{
			MaxWaiters: 10_000, MaxBackground: 256,
			CompleteMissing: 16 * units.MiB, CompletePercent: 90,
			SiblingTimeout:   units.Duration(150 * time.Millisecond),
			StoreSiblingHits: storeHot, HotAmong: 128,
			Buffer: 32 * units.KiB,
		},
		Headers: HeaderOptions{ForwardedFor: "keep"},
		Client: ClientOptions{
			BodyTimeout:  units.Duration(60 * time.Second),
			BodyMinRate:  256,
			WriteTimeout: units.Duration(60 * time.Second),
			MaxURI:       16 * units.KiB, MaxFields: 200,
		},
	}
}

// Validate reports every problem, by the keys of the configuration file.
func (o *Options) Validate() error {
	var errs []error
	bad := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	bad(o.Fill.MaxWaiters > 0, "proxy.fill.max_waiters: must be at least 1, not %d", o.Fill.MaxWaiters)
	bad(o.Fill.MaxBackground > 0, "proxy.fill.max_background: must be at least 1, not %d", o.Fill.MaxBackground)
	bad(o.Fill.CompletePercent >= 0 && o.Fill.CompletePercent <= 100, "proxy.fill.complete_percent: must be from 0 to 100, not %d", o.Fill.CompletePercent)
	bad(o.Fill.Buffer >= 4*units.KiB && o.Fill.Buffer <= 16*units.MiB, "proxy.fill.buffer: must be from 4KiB to 16MiB, not %v", o.Fill.Buffer)
	bad(o.Fill.SiblingTimeout > 0, "proxy.fill.sibling_timeout: must be more than 0")
	bad(o.Fill.HotAmong > 0 && o.Fill.HotAmong <= hotSlots, "proxy.fill.hot_among: must be from 1 to %d, not %d", hotSlots, o.Fill.HotAmong)
	bad(o.Client.BodyTimeout > 0, "proxy.client.body_timeout: must be more than 0")
	bad(o.Client.BodyMinRate >= 0, "proxy.client.body_min_rate: must not be negative, but is %d", int64(o.Client.BodyMinRate))
	bad(o.Client.WriteTimeout > 0, "proxy.client.write_timeout: must be more than 0")
	bad(o.Client.MaxURI >= 256, "proxy.client.max_uri: must be at least 256, not %v", o.Client.MaxURI)
	bad(o.Client.MaxFields > 0, "proxy.client.max_fields: must be at least 1, not %d", o.Client.MaxFields)
	switch o.Fill.StoreSiblingHits {
	case storeHot, storeAlways, storeNever:
	default:
		bad(false, "proxy.fill.store_sibling_hits: must be hot, always or never, not %q", o.Fill.StoreSiblingHits)
	}
	switch o.Headers.ForwardedFor {
	case "keep", "add", "delete":
	default:
		bad(false, "proxy.headers.forwarded_for: must be keep, add or delete, not %q", o.Headers.ForwardedFor)
	}
	return errors.Join(errors.Join(errs...), o.Upstream.Validate(), o.Tunnel.Validate())
}
