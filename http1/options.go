package http1

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/cachenode/cachenode/internal/units"
)

// Options bound what a connection of a client may take.
type Options struct {
	// HeaderTimeout is how long a client may take to send the head of a request;
	// then it is answered 408 and its connection is closed. The first line of a
	// chunk and the trailers of a body have as long.
	HeaderTimeout units.Duration `yaml:"header_timeout"`
	// IdleTimeout is how long a connection is kept open between two requests.
	IdleTimeout units.Duration `yaml:"idle_timeout"`
	// MaxConnections is how many connections of clients are served at a time,
	// tunnels not counted. Requests on further ones are answered 503, and from
	// half as many more on, tunnels counted, connections are turned away unread.
	// 0 takes what the limit on open files allows: half of what is left beside
	// 64.
	MaxConnections int `yaml:"max_connections"`
	// MaxConnectionsPerClient is how many of these one client address may have
	// (of IPv6, one network of 64 bits). 0 sets no limit of its own, since many
	// clients may stand behind one address.
	MaxConnectionsPerClient int `yaml:"max_connections_per_client"`
	// MaxRequests is how many requests one connection may carry; the last one is
	// answered with Connection: close. 0 sets no limit.
	MaxRequests int64 `yaml:"max_requests"`
	// MaxHead is the largest head of a request; a larger one is answered 431.
	MaxHead units.Size `yaml:"max_head"`
	// ProxyProtocolFrom lists the addresses and CIDR networks of balancers in
	// front, besides the members of the cluster, that begin their connections
	// with a PROXY protocol header (version 2): its word about the client is
	// taken. Such a header from elsewhere closes the connection.
	ProxyProtocolFrom []string `yaml:"proxy_protocol_from"`

	// The proxy's options of the same names say these.
	MaxURI       units.Size     `yaml:"-"` // longest request target; a longer one is answered 414
	MaxFields    int            `yaml:"-"` // most header fields; more are answered 431
	BodyTimeout  units.Duration `yaml:"-"` // between two parts of a request body
	BodyMinRate  units.Size     `yaml:"-"` // bytes a second, less is too slow for a request body; 0: no limit
	WriteTimeout units.Duration `yaml:"-"` // between two parts of a response that the client takes
}

// DefaultOptions returns the defaults.
func DefaultOptions() Options {
	return Options{
		HeaderTimeout: units.Duration(10 * time.Second),
		IdleTimeout:   units.Duration(2 * time.Minute),
		MaxRequests:   100_000,
		MaxHead:       64 * units.KiB,
		MaxURI:        16 * units.KiB,
		MaxFields:     200,
		BodyTimeout:   units.Duration(60 * time.Second),
		BodyMinRate:   256,
		WriteTimeout:  units.Duration(60 * time.Second),
	}
}

// Validate reports every problem, each by its key.
func (o *Options) Validate() error {
	var errs []error
	bad := func(is bool, format string, args ...any) {
		if is {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	bad(o.HeaderTimeout <= 0, "header_timeout: must be more than 0")
	bad(o.IdleTimeout <= 0, "idle_timeout: must be more than 0")
	bad(o.MaxConnections < 0, "max_connections: must not be negative, but is %d", o.MaxConnections)
	bad(o.MaxConnectionsPerClient < 0, "max_connections_per_client: must not be negative, but is %d", o.MaxConnectionsPerClient)
	bad(o.MaxRequests < 0, "max_requests: must not be negative, but is %d", o.MaxRequests)
	bad(o.MaxHead < 4*units.KiB || o.MaxHead > units.MiB, "max_head: must be from 4KiB to 1MiB, not %v", o.MaxHead)
	bad(o.MaxURI <= 0, "max_uri: must be more than 0")
	bad(o.MaxFields <= 0, "max_fields: must be more than 0")
	bad(o.BodyTimeout <= 0, "body_timeout: must be more than 0")
	bad(o.BodyMinRate < 0, "body_min_rate: must not be negative, but is %d", int64(o.BodyMinRate))
	bad(o.WriteTimeout <= 0, "write_timeout: must be more than 0")
	_, err := o.fronts()
	return errors.Join(append(errs, err)...)
}

// fronts parses ProxyProtocolFrom.
func (o *Options) fronts() (list []netip.Prefix, err error) {
	for i, s := range o.ProxyProtocolFrom {
		p, bad := netip.ParsePrefix(s)
		if bad != nil {
			var a netip.Addr
			if a, bad = netip.ParseAddr(s); bad == nil {
				p = netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen())
			}
		}
		if bad != nil {
			err = errors.Join(err, fmt.Errorf("proxy_protocol_from[%d]: invalid network %q: want an address or a network such as 10.0.0.0/8", i, s))
			continue
		}
		list = append(list, p.Masked())
	}
	return list, err
}
