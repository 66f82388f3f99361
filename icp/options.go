package icp

import (
	"errors"
	"fmt"
	"net"
	"strconv"
)

// Options of the ICP endpoint.
type Options struct {
	// Listen lists the UDP addresses that queries of siblings are answered on and
	// our own are sent from, as ADDR:PORT; without an address it is all of them,
	// IPv4 and IPv6. Empty switches ICP off.
	Listen []string `yaml:"listen"`
	// MaxRate is how many queries per second are answered in all; more are
	// dropped. 0 sets no limit.
	MaxRate int `yaml:"max_rate"`
	// MaxRatePerSibling is how many queries per second one sibling is answered;
	// more are dropped. 0 sets no limit.
	MaxRatePerSibling int `yaml:"max_rate_per_sibling"`
}

// DefaultOptions returns the defaults: port 3130 of every address, and rates
// that no healthy sibling reaches.
func DefaultOptions() Options {
	return Options{Listen: []string{":3130"}, MaxRate: 100_000, MaxRatePerSibling: 20_000}
}

// Validate reports every problem, by the keys of the configuration file.
func (o *Options) Validate() error {
	var errs []error
	for i, addr := range o.Listen {
		_, port, err := net.SplitHostPort(addr)
		if err == nil {
			_, err = strconv.ParseUint(port, 10, 16)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("icp.listen[%d]: invalid address %q: want ADDR:PORT, such as :3130 or 10.0.0.1:3130", i, addr))
		}
	}
	if o.MaxRate < 0 {
		errs = append(errs, fmt.Errorf("icp.max_rate: must not be negative, but is %d", o.MaxRate))
	}
	if o.MaxRatePerSibling < 0 {
		errs = append(errs, fmt.Errorf("icp.max_rate_per_sibling: must not be negative, but is %d", o.MaxRatePerSibling))
	}
	return errors.Join(errs...)
}
