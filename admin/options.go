package admin

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Options of the admin interface.
type Options struct {
	// Listen is the ADDR:PORT where metrics, probes, manager pages and the API are served; empty opens none. The unix socket admin.sock in the data directory is always there.
	Listen string `yaml:"listen"`
	// Names are the names and addresses, besides this machine's own, by which callers may ask for the admin address, for example the name that Prometheus scrapes; a request with any other Host is refused.
	Names []string `yaml:"names"`
	// OpenMetrics serves /metrics and the manager pages of plain numbers to every address without a token, not only to this machine.
	OpenMetrics bool `yaml:"open_metrics"`
}

// DefaultOptions returns the defaults: port 3180 of this machine only.
func DefaultOptions() Options { return Options{Listen: "127.0.0.1:3180"} }

// Validate reports everything that is wrong with o; each error names its key
// below "admin".
func (o Options) Validate() error {
	var errs []error
	if o.Listen != "" {
		if err := checkListen(o.Listen); err != nil {
			errs = append(errs, fmt.Errorf("admin.listen: %w", err))
		}
	}
	for i, name := range o.Names {
		if name == "" || strings.ContainsAny(name, "/ \t\r\n@[]") || strings.Contains(name, ":") && !isAddr(name) {
			errs = append(errs, fmt.Errorf("admin.names[%d]: %q is not a host name or an address (without a port)", i, name))
		}
	}
	return errors.Join(errs...)
}

func checkListen(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("%q is not ADDR:PORT, such as 127.0.0.1:3180", s)
	}
	if host != "" && !isAddr(host) && host != "localhost" {
		return fmt.Errorf("%q is not an address of this machine: write an IP address", host)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q is not a port number", port)
	}
	return nil
}

func isAddr(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}
