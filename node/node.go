// Package node assembles a cache node from the other packages and owns its
// lifecycle: what is opened, run, reloaded and closed, and in which order. It
// is the only package that knows all others, and it decides nothing about a
// request.
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cachenode/cachenode/acl"
	"github.com/cachenode/cachenode/admin"
	"github.com/cachenode/cachenode/cache/store"
	"github.com/cachenode/cachenode/http1"
	"github.com/cachenode/cachenode/internal/dns"
	"github.com/cachenode/cachenode/internal/metrics"
	"github.com/cachenode/cachenode/proxy"
)

// Deps are what a Node is given by the program around it.
type Deps struct {
	Log *slog.Logger
	// Level is changed by a reload; nil: the level stays.
	Level *slog.LevelVar
	// Load reads the configuration again, for a reload; nil: there is nothing
	// to read.
	Load func() (Options, error)
	// ConfigFile is where Load reads, for status pages; empty: nowhere.
	ConfigFile string
	// Version of the program, for status pages and metrics.
	Version string
}

// Node is one cache node.
type Node struct {
	d       Deps
	log     *slog.Logger
	started time.Time

	reload     sync.Mutex // held by a reload as a whole
	now        atomic.Pointer[Options]
	o          Options // as of the start
	lastReload atomic.Pointer[admin.ReloadStatus]
	access     atomic.Pointer[acl.List]
	records    *records

	metrics   *metrics.Metrics
	store     *store.Store
	resolver  *dns.Resolver
	siblings  *siblings // nil: there are none
	proxy     *proxy.Proxy
	admin     *admin.Server
	server    *http1.Server
	listeners []net.Listener
	clusterParts
	vip     *vip
	front   *entrance
	drainer *drainer

	serving, stopping atomic.Bool
	stopBy            atomic.Pointer[time.Time] // when a stop cuts what is left
	abort             chan struct{}             // closed by Abort
	aborted           sync.Once
	proxyEnded        sync.Once

	undo   []undo
	closed sync.Once
}

// undo takes back one step of New.
type undo struct {
	what string
	do   func() error
}

// New opens everything a node with these options needs and binds its
// addresses; what it cannot open it names in a *Fault, and leaves nothing open.
// Nothing runs before Run. Close must be called, with or without Run.
func New(ctx context.Context, o Options, d Deps) (*Node, error) {
	o.Resolve()
	if err := o.Validate(); err != nil {
		return nil, &Fault{Err: err, Config: true, Hint: "check the file with 'cachenode config check'"}
	}
	n := &Node{d: d, log: d.Log, started: time.Now(), o: o, abort: make(chan struct{})}
	n.now.Store(&o)
	for _, open := range []func(context.Context) error{
		n.openData, n.openListeners, n.openCluster, n.openVIP, n.openFrontDoor, n.openDrainer, n.openAdmin, n.openAccess, n.openRecords, n.openStore, n.openSiblings, n.openProxy,
	} {
		if err := open(ctx); err != nil {
			return nil, errors.Join(err, n.Close())
		}
	}
	return n, nil
}

// onStop registers what takes back a step, where the step is made. Close runs
// them last-in-first-out.
func (n *Node) onStop(what string, do func() error) { n.undo = append(n.undo, undo{what, do}) }

// Close frees everything New opened. It may be called more than once; not
// while Run runs.
func (n *Node) Close() error {
	var errs []error
	n.closed.Do(func() {
		for _, u := range slices.Backward(n.undo) {
			if err := u.do(); err != nil {
				errs = append(errs, fmt.Errorf("close %s: %w", u.what, err))
			}
		}
	})
	return errors.Join(errs...)
}

// Options returns the options in force, after the last reload.
func (n *Node) Options() Options { return *n.now.Load() }

// Addrs are the addresses the proxy listens on, with the ports the system chose.
func (n *Node) Addrs() []net.Addr {
	addrs := make([]net.Addr, len(n.listeners))
	for i, ln := range n.listeners {
		addrs[i] = ln.Addr()
	}
	return addrs
}

// Run serves until ctx ends, then stops: the virtual IP is handed over, new
// connections are refused, requests and tunnels in flight may end within
// StopTimeout, what is left is cut. It returns nil after such a stop, also when
// something had to be cut, and the error of the part that failed otherwise.
func (n *Node) Run(ctx context.Context) error {
	work, endWork := context.WithCancel(context.WithoutCancel(ctx))
	defer endWork()
	g, failed := errgroup.WithContext(work)
	n.start(failed, g)
	arriving, arrived := context.WithCancel(failed)
	unless := context.AfterFunc(ctx, arrived)
	n.arrive(arriving)
	unless()
	arrived()
	n.vip.begin()
	for _, ln := range n.listeners {
		g.Go(func() error { return n.serve(ln) })
	}
	n.serving.Store(true)
	n.log.Info("ready", "listen", n.listening(), "data", n.o.Data, "cluster", n.place())
	n.notify(stateReady)
	g.Go(func() error {
		select {
		case <-ctx.Done():
		case <-failed.Done():
		}
		n.stop()
		endWork()
		return nil
	})
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// start runs every part of the node but the listeners in g; ctx ends when the
// node has stopped serving, or a part has failed.
func (n *Node) start(ctx context.Context, g *errgroup.Group) {
	parts := map[string]func(context.Context) error{
		"access log": n.records.run,
		"store":      n.store.Run,
		"proxy":      n.proxy.Run,
		"admin":      n.admin.Run,
		"metrics":    n.metrics.Run,
		"watchdog":   n.watchdog,
		"cluster":    n.runCluster,
		"virtual ip": n.vip.run,
		"front door": n.front.run,
		"drain":      n.drainer.run,
	}
	if n.siblings != nil {
		parts["siblings"] = n.siblings.run
	}
	for what, run := range parts {
		g.Go(func() error {
			if err := run(ctx); err != nil && ctx.Err() == nil {
				return fmt.Errorf("%s: %w", what, err)
			}
			return nil
		})
	}
}

func (n *Node) serve(ln net.Listener) error {
	err := n.server.Serve(sorted{ln, n.front})
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve on %s: %w", ln.Addr(), err)
}
