// Package admin serves what operators and their tools ask of a running node:
// the JSON API, metrics, probes, squid's manager pages and profiles, on a unix
// socket and on a TCP address. It has a client for the first. It changes nothing
// by itself; the node hands in what it may do.
package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cachenode/cachenode/internal/metrics"
)

// Node is what the API shows and does. All methods may be called from many
// goroutines.
type Node interface {
	// Status describes the node at this moment. Name, Version, State and the
	// like are the node's to fill in; traffic is added by this package.
	Status() Status
	// Config returns the effective configuration as YAML, secrets redacted.
	Config() []byte
	// Purge removes stored objects.
	Purge(ctx context.Context, p Purge) (PurgeResult, error)
	// Reload reads the configuration file anew. An error means that the old
	// configuration stays in force.
	Reload(ctx context.Context) (ReloadResult, error)
}

// Check is one condition of health. Run returns nil when it holds; it must
// return soon after ctx ends.
type Check struct {
	Name string
	// Live says that only a restart helps when it fails: such a check counts
	// for /livez. The others count for /readyz.
	Live bool
	Run  func(ctx context.Context) error
}

// Deps are the parts of the node that the admin interface works with.
type Deps struct {
	Node    Node
	Metrics *metrics.Metrics
	Log     *slog.Logger
	// Dir is the data directory, where admin.sock is made.
	Dir string
	// Token opens the API on the TCP address; see LoadOrCreateToken. Empty
	// refuses all TCP calls that need one.
	Token string
	// Name is the node's name: a Host that is accepted.
	Name string
	// Checks are the conditions of the probes.
	Checks []Check
	// Draining reports whether the node drains: it is then not ready. Nil: never.
	Draining func() bool
	// Connections lists the open client connections and tunnels, Requests the
	// requests being served. Nil: none are shown.
	Connections func() []Connection
	Requests    func() []Request
	// Neighbors lists parents and peers for the manager page server_list. Nil:
	// none.
	Neighbors func() []Neighbor
	// Membership and Secrets are the cluster. Nil: the node is in none.
	Membership Membership
	Secrets    Secrets
	// VIP is the virtual IP. Nil: there is none.
	VIP VIP
	// FrontDoor is how the balancer of this node stands. Nil: there is none.
	FrontDoor func() FrontDoor
	// Drains takes nodes out of service. Nil: that cannot be done.
	Drains Drains
}

const (
	maxHead    = 64 << 10
	maxBody    = 1 << 20
	headTime   = 10 * time.Second
	bodyTime   = 30 * time.Second
	answerTime = time.Minute // pprof extends it to what was asked for
	idleTime   = 2 * time.Minute
	closeTime  = 5 * time.Second // how long Run waits for answers under way
)

// Server is the admin interface of one node.
type Server struct {
	opts     Options
	deps     Deps
	tokenSum [32]byte
	hosts    map[string]bool // names that a Host may have, lower case
	unix     net.Listener
	tcp      net.Listener // nil without a TCP address
	http     *http.Server
}

// New binds the unix socket and the TCP address. Nothing is served before Run,
// but callers that connect wait in the queue.
func New(o Options, d Deps) (*Server, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	s := &Server{opts: o, deps: d, tokenSum: sum(d.Token), hosts: hostNames(o, d)}
	s.http = &http.Server{
		Handler:           s.routes(),
		ReadHeaderTimeout: headTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHead,
		ConnContext:       markSocket,
		ErrorLog:          slog.NewLogLogger(d.Log.Handler(), slog.LevelDebug),
	}
	var err error
	if s.unix, err = listenUnix(d.Dir); err != nil {
		return nil, err
	}
	if o.Listen != "" {
		tcp, err := net.Listen("tcp", o.Listen)
		if err != nil {
			return nil, errors.Join(listenError(o.Listen, err), s.unix.Close())
		}
		s.tcp = limit(tcp, maxConns)
	}
	return s, nil
}

// listenError says what to do about the usual reasons.
func listenError(addr string, err error) error {
	hint := ""
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		hint = " (another program has it: choose another address with --admin or admin.listen)"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		hint = " (this machine does not have that address)"
	case errors.Is(err, syscall.EACCES):
		hint = " (ports below 1024 need privileges: choose a higher one with --admin or admin.listen)"
	}
	return fmt.Errorf("listen for admin calls on %s: %w%s", addr, err, hint)
}

// Addr returns the bound TCP address, nil when there is none.
func (s *Server) Addr() net.Addr {
	if s.tcp == nil {
		return nil
	}
	return s.tcp.Addr()
}

// Run serves until ctx ends, lets the answers under way finish for some
// seconds, and closes everything. It may be called once.
func (s *Server) Run(ctx context.Context) error {
	var g errgroup.Group
	failed := make(chan struct{})
	var once sync.Once
	for _, l := range []net.Listener{s.unix, s.tcp} {
		if l == nil {
			continue
		}
		g.Go(func() error {
			err := s.http.Serve(l)
			if errors.Is(err, http.ErrServerClosed) {
				return nil
			}
			once.Do(func() { close(failed) })
			return fmt.Errorf("serve admin calls on %s: %w", l.Addr(), err)
		})
	}
	select {
	case <-ctx.Done():
	case <-failed:
	}
	return errors.Join(s.Close(), g.Wait())
}

// Close closes both addresses, giving answers under way some seconds. It is
// what Run does at its end; call it when Run was never called.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		_ = s.http.Close() // the callers that are left have had their time
	}
	_ = s.unix.Close() // closed already when Run has served on it
	if s.tcp != nil {
		_ = s.tcp.Close()
	}
	return nil
}
