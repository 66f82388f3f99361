package peer

import (
	"errors"
	"fmt"
	"net/netip"
)

// DefaultPort of gossip, TCP and UDP.
const DefaultPort = 7946

// Options of the cluster.
type Options struct {
	// Name is what the cluster is called when this node makes it; a node that joins takes the name from the token. Empty makes a name up.
	Name string `yaml:"name"`
	// Bind is this node's own address: gossip and ICP, and the proxy unless listen says otherwise. Empty takes the address this machine reaches others from, and leaves listen as it is.
	Bind string `yaml:"bind"`
	// Port is that of gossip, TCP and UDP; 0 lets the system choose. When the default is taken by another program and bind is empty, a free one is used.
	Port int `yaml:"port"`
	// Advertise is the address, as ADDR or ADDR:PORT, that the other members reach this node by, where that is not the one it binds. Empty advertises that.
	Advertise string `yaml:"advertise"`
	// Join lists members, as HOST or HOST:PORT, that are asked for the cluster at every start, besides those that were met before.
	Join []string `yaml:"join"`
	// TokenFile is a file with the join token, for a node that has no cluster yet; one that has ignores it.
	TokenFile string `yaml:"token_file"`
}

// DefaultOptions returns the defaults: port 7946.
func DefaultOptions() Options { return Options{Port: DefaultPort} }

// Validate reports every problem, each by its key below "cluster".
func (o *Options) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if o.Name != "" && (printable([]byte(o.Name)) != o.Name || len(o.Name) > maxCluster) {
		bad("cluster.name: %q is no name for a cluster: use up to %d printable characters without spaces", o.Name, maxCluster)
	}
	if o.Bind != "" {
		if a, err := netip.ParseAddr(o.Bind); err != nil {
			bad("cluster.bind: %q is not an IP address", o.Bind)
		} else if a.IsUnspecified() || a.IsMulticast() {
			bad("cluster.bind: %s is no address that others could reach: name one of this machine's", o.Bind)
		}
	}
	if o.Port < 0 || o.Port > 65535 {
		bad("cluster.port: must be from 0 to 65535, not %d", o.Port)
	}
	if o.Advertise != "" {
		if _, err := parseAdvertise(o.Advertise, 1); err != nil {
			bad("cluster.advertise: %w", err)
		}
	}
	for i, s := range o.Join {
		if _, _, err := splitAddr(s); err != nil {
			bad("cluster.join[%d]: %w", i, err)
		}
	}
	return errors.Join(errs...)
}

// parseAdvertise reads ADDR or ADDR:PORT.
func parseAdvertise(s string, port uint16) (netip.AddrPort, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.AddrPortFrom(a.Unmap(), port), nil
	}
	ap, err := netip.ParseAddrPort(s)
	if err != nil || ap.Port() == 0 {
		return ap, fmt.Errorf("%q is not an address that others could reach: want ADDR or ADDR:PORT", s)
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), nil
}
