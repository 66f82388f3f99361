package tunnel

import (
	"errors"
	"fmt"
	"time"

	"github.com/cachenode/cachenode/internal/relay"
	"github.com/cachenode/cachenode/internal/units"
)

// Options of CONNECT tunnels and upgraded connections.
type Options struct {
	// How long a tunnel may stay open while no byte moves in either direction.
	IdleTimeout units.Duration `yaml:"idle_timeout"`
	// How long a tunnel may live in all; 0 means no limit.
	MaxLifetime units.Duration `yaml:"max_lifetime"`
	// How long a tunnel may stay idle once one side has finished sending.
	HalfCloseTimeout units.Duration `yaml:"half_close_timeout"`
	// How many tunnels may be open at a time; 0 means no limit. Further ones are answered with 503.
	MaxTunnels int `yaml:"max_tunnels"`
}

// DefaultOptions returns the defaults.
func DefaultOptions() Options {
	return Options{
		IdleTimeout:      units.Duration(15 * time.Minute),
		HalfCloseTimeout: units.Duration(2 * time.Minute),
	}
}

// Validate returns every problem of o, each named by its key.
func (o Options) Validate() error {
	var errs []error
	bad := func(key, text string) { errs = append(errs, fmt.Errorf("proxy.tunnel.%s: %s", key, text)) }
	if o.IdleTimeout <= 0 {
		bad("idle_timeout", "must be more than 0")
	}
	if o.HalfCloseTimeout <= 0 {
		bad("half_close_timeout", "must be more than 0")
	}
	if o.MaxLifetime < 0 {
		bad("max_lifetime", "must not be negative")
	}
	if o.MaxTunnels < 0 {
		bad("max_tunnels", "must not be negative")
	}
	return errors.Join(errs...)
}

func (o Options) relay() relay.Options {
	return relay.Options{IdleTimeout: o.IdleTimeout.D(), HalfCloseTimeout: o.HalfCloseTimeout.D(), MaxLifetime: o.MaxLifetime.D()}
}
