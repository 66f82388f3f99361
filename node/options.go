package node

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cachenode/cachenode/accesslog"
	"github.com/cachenode/cachenode/acl"
	"github.com/cachenode/cachenode/admin"
	"github.com/cachenode/cachenode/cache"
	"github.com/cachenode/cachenode/cache/store"
	"github.com/cachenode/cachenode/election"
	"github.com/cachenode/cachenode/frontdoor"
	"github.com/cachenode/cachenode/http1"
	"github.com/cachenode/cachenode/icp"
	"github.com/cachenode/cachenode/internal/dns"
	"github.com/cachenode/cachenode/internal/units"
	"github.com/cachenode/cachenode/peer"
	"github.com/cachenode/cachenode/peer/sibling"
	"github.com/cachenode/cachenode/proxy"
)

// Options of a node: what the configuration file says. Every key is optional.
type Options struct {
	// Name is what the node is called in Via, Cache-Status, Proxy-Status and the
	// access log. Empty takes the host name.
	Name string `yaml:"name"`
	// Listen lists the addresses the proxy listens on, as ADDR:PORT; without an
	// address it listens on all of them, IPv4 and IPv6. Who may use the proxy is
	// said by acl.allow_from.
	Listen []string `yaml:"listen"`
	// Data is the directory of everything that is kept: the store, the node's
	// identity and the socket of the command line. It is made when it is
	// missing. Empty takes /var/lib/cachenode for root and ./cachenode-data for
	// other users.
	Data string `yaml:"data"`
	// Standalone opens no address but those of the proxy and of admin: the node
	// is in no cluster, and cluster has no effect.
	Standalone bool `yaml:"standalone"`
	// Cluster is the node's place in a cluster of caches.
	Cluster peer.Options `yaml:"cluster"`
	// VIP is the virtual IP: the one address that clients use, held by one node of
	// the cluster at a time.
	VIP election.Options `yaml:"vip"`
	// FrontDoor is the balancer behind the virtual IP: it spreads clients over the
	// nodes of the cluster.
	FrontDoor frontdoor.Options `yaml:"frontdoor"`
	// MemoryLimit is the size the Go heap aims to stay under by collecting
	// garbage more often; it is a goal, not a bound. 0 takes store.memory and
	// a sixteenth of the machine's memory, of that 128 MiB at least and 512 MiB at
	// most; more when many connections need it, and never more than the machine or the
	// control group has, less a tenth or, where that is more, 128 MiB. GOMEMLIMIT in
	// the environment goes before it.
	MemoryLimit units.Size `yaml:"memory_limit"`
	// StopTimeout is how long a stop waits for requests and tunnels in flight
	// before it cuts them. Who cannot say how long they take drains the node first:
	// 'cachenode drain'.
	StopTimeout units.Duration `yaml:"stop_timeout"`
	// Log is the log of the node itself; requests go to access_log.
	Log LogOptions `yaml:"log"`
	// Server bounds what a connection of a client may take.
	Server http1.Options `yaml:"server"`
	// ACL says who may use the proxy, and for what.
	ACL acl.Options `yaml:"acl"`
	// Proxy is the way of a request: origins, parents, tunnels, header fields.
	Proxy proxy.Options `yaml:"proxy"`
	// Cache is the caching policy: what is stored, and for how long.
	Cache cache.Options `yaml:"cache"`
	// Store keeps the objects, in memory and on disk.
	Store store.Options `yaml:"store"`
	// DNS is how names are resolved.
	DNS dns.Options `yaml:"dns"`
	// ICP is how siblings ask this node, and how it asks them.
	ICP icp.Options `yaml:"icp"`
	// Siblings are the caches that a miss asks before the origin: the members of
	// the cluster, and those listed here. They are not asked by a standalone node.
	Siblings sibling.Options `yaml:"siblings"`
	// AccessLog is the log of requests, one line each. A relative path is one in
	// the data directory.
	AccessLog accesslog.Options `yaml:"access_log"`
	// Admin is where metrics, probes, the API and profiles are served.
	Admin admin.Options `yaml:"admin"`
}

// LogOptions of the node's own log, which goes to standard error.
type LogOptions struct {
	// Level is the least severe message that is written: debug, info, warn or
	// error.
	Level Level `yaml:"level"`
	// Format is text or json.
	Format string `yaml:"format"`
}

// DefaultOptions returns the defaults: a single node on port 3128 of every
// address, for loopback and private networks.
func DefaultOptions() Options {
	o := Options{
		Listen:      []string{":3128"},
		StopTimeout: units.Duration(30 * time.Second),
		Log:         LogOptions{Level: Level(slog.LevelInfo), Format: "text"},
		Server:      http1.DefaultOptions(),
		Cluster:     peer.DefaultOptions(),
		VIP:         election.DefaultOptions(),
		FrontDoor:   frontdoor.DefaultOptions(),
		ACL:         acl.DefaultOptions(),
		Proxy:       proxy.DefaultOptions(),
		Cache:       cache.DefaultOptions(),
		Store:       store.DefaultOptions(),
		DNS:         dns.DefaultOptions(),
		ICP:         icp.DefaultOptions(),
		Siblings:    sibling.DefaultOptions(),
		AccessLog:   accesslog.DefaultOptions(),
		Admin:       admin.DefaultOptions(),
	}
	o.AccessLog.Path = "access.log"
	return o
}

// Validate reports every problem, each by its key in the configuration file.
func (o *Options) Validate() error {
	kept := o.storeOptions()
	_, policyErr := cache.NewPolicy(o.Cache)
	return errors.Join(
		o.validate(),
		under("server", o.serverOptions().Validate()),
		under("cluster", o.Cluster.Validate()),
		under("vip", o.VIP.Validate()),
		under("frontdoor", o.FrontDoor.Validate()),
		under("acl", o.ACL.Validate()),
		under("proxy", o.Proxy.Validate()),
		under("cache", policyErr),
		under("store", kept.Validate()),
		under("dns", o.DNS.Validate()),
		under("icp", o.ICP.Validate()),
		under("siblings", o.Siblings.Validate()),
		under("access_log", o.AccessLog.Validate()),
		under("admin", o.Admin.Validate()),
	)
}

// under sees to it that each error of a section begins with its key in the
// file, whether or not the package knows what its section is called.
func under(section string, err error) error {
	var errs []error
	for _, msg := range lines(err) {
		if !strings.HasPrefix(msg, section+".") && !strings.HasPrefix(msg, section+": ") {
			msg = section + "." + msg
		}
		errs = append(errs, errors.New(msg))
	}
	return errors.Join(errs...)
}

// storeOptions are Store with the directory it shall use.
func (o *Options) storeOptions() store.Options {
	s := o.Store
	if s.Dir = o.Data; s.Dir == "" {
		s.Dir = DefaultData()
	}
	return s
}

// serverOptions are Server with what the proxy's options say of clients.
func (o *Options) serverOptions() *http1.Options {
	s := o.Server
	o.Proxy.Client.Bound(&s)
	return &s
}

func (o *Options) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if o.Name != "" && !isToken(o.Name) {
		bad("name: %q cannot stand in a Via field: use letters, digits, - . and _", o.Name)
	}
	if len(o.Listen) == 0 {
		bad("listen: want at least one address, such as :3128")
	}
	addresses := func(key string, list []string) {
		for i, addr := range list {
			if err := checkAddr(addr); err != nil {
				bad("%s[%d]: %w", key, i, err)
			}
		}
	}
	addresses("listen", o.Listen)
	addresses("frontdoor.listen", o.FrontDoor.Listen)
	if o.MemoryLimit != 0 && o.MemoryLimit < 32*units.MiB {
		bad("memory_limit: must be 0 or at least 32MiB, not %v", o.MemoryLimit)
	}
	if o.Log.Format != "text" && o.Log.Format != "json" {
		bad("log.format: must be text or json, not %q", o.Log.Format)
	}
	return errors.Join(errs...)
}

// checkAddr accepts ADDR:PORT with an address literal, a host name or nothing
// before the colon. Port 0 lets the system choose.
func checkAddr(addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("invalid address %q: want ADDR:PORT, such as :3128, 127.0.0.1:3128 or [::1]:3128", addr)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("invalid port in %q: want a number from 0 to 65535", addr)
	}
	return nil
}

// isToken reports whether s may stand in a field as a token without quotes.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !strings.ContainsRune("-._", r) && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

// Resolve fills in what the defaults leave to the machine or to other keys: the
// name, the data directory, and with cluster.bind the addresses of the proxy
// and, on loopback, of admin, so that several nodes fit on one machine.
func (o *Options) Resolve() {
	if ip, err := netip.ParseAddr(o.Cluster.Bind); err == nil && !o.Standalone {
		d := DefaultOptions()
		if slices.Equal(o.Listen, d.Listen) {
			o.Listen = []string{net.JoinHostPort(ip.String(), "3128")}
		}
		if o.Admin.Listen == d.Admin.Listen && ip.IsLoopback() {
			o.Admin.Listen = net.JoinHostPort(ip.String(), "3180")
		}
		if slices.Equal(o.ICP.Listen, d.ICP.Listen) {
			o.ICP.Listen = []string{net.JoinHostPort(ip.String(), "3130")}
		}
	}
	if o.Name == "" {
		o.Name = hostName()
	}
	if o.Data == "" {
		o.Data = DefaultData()
	}
	if abs, err := filepath.Abs(o.Data); err == nil {
		o.Data = abs
	}
}

// DefaultData is the data directory when none is configured.
func DefaultData() string {
	if os.Geteuid() == 0 {
		return "/var/lib/cachenode"
	}
	return "cachenode-data"
}

func hostName() string {
	name, err := os.Hostname()
	if err != nil || !isToken(name) {
		return "cachenode"
	}
	return name
}
