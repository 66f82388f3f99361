package frontdoor

import (
	"errors"
	"fmt"
	"time"

	"github.com/cachenode/cachenode/internal/units"
)

// Balance says by what a node is picked.
type Balance string

// The ways to pick a node.
const (
	LeastConn  Balance = "leastconn"  // the one with the fewest connections for its weight
	RoundRobin Balance = "roundrobin" // one after the other, by weight
	Source     Balance = "source"     // by the client's address: always the same
)

// Options of the front door on the virtual IP.
type Options struct {
	// Listen lists addresses, as ADDR:PORT, on which this node balances besides the
	// virtual IP and whether it holds that or not: for a load balancer or DNS in
	// front. The node's own proxy listens elsewhere.
	Listen []string `yaml:"listen"`
	// Balance is leastconn (the node with the fewest connections for its weight),
	// roundrobin (one after the other, by weight) or source (the client's address
	// decides, so that a client stays with its node while that is up).
	Balance Balance `yaml:"balance"`
	// ConnectTimeout is how long connecting to a node may take. Then the next one
	// is tried; the client does not notice.
	ConnectTimeout units.Duration `yaml:"connect_timeout"`
	// MaxConnections is how many connections are carried at a time; further ones
	// wait in the queue. 0 sets no limit.
	MaxConnections int `yaml:"max_connections"`
	// MaxConnectionsPerNode is how many of these one node gets at a time. When all
	// nodes have that many, further connections wait in the queue. 0 sets no limit.
	MaxConnectionsPerNode int `yaml:"max_connections_per_node"`
	// Queue is how many connections may wait; further ones are refused with a
	// reset. 0: none waits.
	Queue int `yaml:"queue"`
	// QueueTimeout is how long a connection may wait before it is refused.
	QueueTimeout units.Duration `yaml:"queue_timeout"`
	// SlowStart is how long a node that has come up takes to get its full share;
	// its weight grows in proportion to time. 0: it gets it at once.
	SlowStart units.Duration `yaml:"slowstart"`
	// Check says how nodes are asked whether they are ready.
	Check Check `yaml:"check"`
	// IdleTimeout is how long a connection is kept while no byte moves in either
	// direction. It should be more than the limits of the nodes on idle
	// connections and tunnels, which then close them for a reason that they know.
	IdleTimeout units.Duration `yaml:"idle_timeout"`
	// HalfCloseTimeout is the same once one side has finished sending.
	HalfCloseTimeout units.Duration `yaml:"half_close_timeout"`
}

// Check says how nodes are asked whether they are ready. Connections that fail
// count as well, and what the cluster knows of the node counts before all.
type Check struct {
	// Interval is the time from one check of a node to the next.
	Interval units.Duration `yaml:"interval"`
	// Timeout is how long a node may take to answer.
	Timeout units.Duration `yaml:"timeout"`
	// Rise is how many checks in a row must pass before a node that is down is up.
	Rise int `yaml:"rise"`
	// Fall is how many checks, or connections, in a row must fail before a node is
	// down.
	Fall int `yaml:"fall"`
}

// DefaultOptions returns the defaults.
func DefaultOptions() Options {
	return Options{
		Balance:        LeastConn,
		ConnectTimeout: units.Duration(250 * time.Millisecond),
		Queue:          1024,
		QueueTimeout:   units.Duration(5 * time.Second),
		SlowStart:      units.Duration(10 * time.Second),
		Check: Check{
			Interval: units.Duration(500 * time.Millisecond),
			Timeout:  units.Duration(time.Second),
			Rise:     2,
			Fall:     3,
		},
		IdleTimeout:      units.Duration(20 * time.Minute),
		HalfCloseTimeout: units.Duration(3 * time.Minute),
	}
}

// Validate reports every problem, each by its key.
func (o *Options) Validate() error {
	var errs []error
	bad := func(is bool, format string, args ...any) {
		if is {
			errs = append(errs, fmt.Errorf("frontdoor."+format, args...))
		}
	}
	bad(o.Balance != LeastConn && o.Balance != RoundRobin && o.Balance != Source,
		"balance: must be leastconn, roundrobin or source, not %q", o.Balance)
	bad(o.ConnectTimeout.D() < time.Millisecond || o.ConnectTimeout.D() > time.Minute,
		"connect_timeout: must be from 1ms to 1m, not %v", o.ConnectTimeout)
	bad(o.MaxConnections < 0, "max_connections: must not be negative")
	bad(o.MaxConnectionsPerNode < 0, "max_connections_per_node: must not be negative")
	bad(o.Queue < 0, "queue: must not be negative")
	bad(o.Queue > 0 && o.QueueTimeout <= 0, "queue_timeout: must be more than 0")
	bad(o.SlowStart < 0, "slowstart: must not be negative")
	bad(o.Check.Interval.D() < 10*time.Millisecond, "check.interval: must be 10ms or more, not %v", o.Check.Interval)
	bad(o.Check.Timeout <= 0, "check.timeout: must be more than 0")
	bad(o.Check.Rise < 1, "check.rise: must be 1 or more, not %d", o.Check.Rise)
	bad(o.Check.Fall < 1, "check.fall: must be 1 or more, not %d", o.Check.Fall)
	bad(o.IdleTimeout <= 0, "idle_timeout: must be more than 0")
	bad(o.HalfCloseTimeout <= 0, "half_close_timeout: must be more than 0")
	return errors.Join(errs...)
}
