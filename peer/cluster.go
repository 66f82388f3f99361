package peer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// Deps are what a Cluster is given by the node around it.
type Deps struct {
	// Dir is the data directory, where the identity and the known members are.
	Dir     string
	Log     *slog.Logger
	Name    string // of the node
	Version string // of the program
}

// Cluster is this node's part in its cluster. It is a Directory and a Channel.
type Cluster struct {
	board
	o   Options
	d   Deps
	log *slog.Logger
	id  string         // of this node
	own netip.AddrPort // its gossip, as the others know it

	wire   *wire
	mux    *http.ServeMux
	client *http.Transport

	stay atomic.Pointer[stay]
	ops  sync.Mutex // held by join, leave, key changes and the end, each as a whole

	mu       sync.Mutex // guards card and identity
	card     card
	identity Identity
	later    []byte // further fields of the card; a test plays a later version with them

	tell    chan struct{} // of capacity 1: the card has changed
	saves   chan known    // of capacity 1, latest wins
	asks    chan func()   // run by the owner of the roster
	begun   chan struct{} // closed when Run takes part in gossip
	ended   chan struct{} // closed when that is gone
	settled chan struct{}
	aside   sync.WaitGroup // attempts to reach somebody

	owner // of the goroutine that runs keepRoster
}

// Open takes the node's place in a cluster: its identity, which is made when
// there is none, and the port of gossip. Nothing is sent before Run.
func Open(ctx context.Context, o Options, d Deps) (*Cluster, error) {
	nodeID, err := loadOrCreateNodeID(d.Dir)
	if err != nil {
		return nil, err
	}
	identity, err := openIdentity(o, d)
	if err != nil {
		return nil, err
	}
	kept, err := loadKnown(d.Dir, identity.ID)
	if err != nil {
		d.Log.Warn("start without the members that were met before", "error", err)
	}
	s, err := bind(o, d.Log)
	if err != nil {
		return nil, err
	}
	c, err := newCluster(o, d, nodeID, identity, s, mutualTLS{})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	c.roster.recall(kept)
	c.publish(c.roster.view())
	return c, nil
}

// openIdentity is the cluster this node belongs to: the one it was in, that of
// a token, or a new one.
func openIdentity(o Options, d Deps) (Identity, error) {
	id, ok, err := LoadIdentity(d.Dir)
	if err != nil {
		return id, err
	}
	if ok {
		if o.Name != "" && o.Name != id.Name {
			d.Log.Warn("cluster.name is not that of the cluster this node belongs to", "configured", o.Name, "cluster", id.Name)
		}
		return id, nil
	}
	if o.TokenFile != "" {
		b, err := os.ReadFile(o.TokenFile)
		if err != nil {
			return id, fmt.Errorf("cluster.token_file: %w", err)
		}
		tok, err := ParseToken(string(b))
		if err != nil {
			return id, fmt.Errorf("cluster.token_file: %s: %w", o.TokenFile, err)
		}
		id = tok.Identity()
	} else {
		id = NewIdentity(o.Name, time.Now())
	}
	if err := id.Save(d.Dir); err != nil {
		return id, fmt.Errorf("keep the cluster's identity: %w", err)
	}
	return id, nil
}

// bind opens the port of gossip.
func bind(o Options, log *slog.Logger) (network, error) {
	addr := OwnAddr()
	if o.Bind != "" {
		a, err := netip.ParseAddr(o.Bind)
		if err != nil {
			return nil, fmt.Errorf("cluster.bind: %w", err)
		}
		addr = a.Unmap()
	}
	at := netip.AddrPortFrom(addr, uint16(o.Port))
	s, err := listen(at)
	if errors.Is(err, unix.EADDRINUSE) && o.Bind == "" && o.Port == DefaultPort {
		if s, err = listen(netip.AddrPortFrom(addr, 0)); err == nil {
			log.Warn("the port of gossip is in use, took another", "wanted", at.String(), "got", s.Addr().String())
		}
	}
	if err != nil {
		return nil, &BindError{Addr: at, Err: err}
	}
	return s, nil
}

// BindError means that the port of gossip cannot be had.
type BindError struct {
	Addr netip.AddrPort
	Err  error
}

func (e *BindError) Error() string { return fmt.Sprintf("listen for gossip on %s: %v", e.Addr, e.Err) }

func (e *BindError) Unwrap() error { return e.Err }

func newCluster(o Options, d Deps, id string, identity Identity, n network, sec security) (*Cluster, error) {
	r, err := newRing(identity)
	if err != nil {
		return nil, err
	}
	c := &Cluster{
		o: o, d: d, log: d.Log, id: id, own: n.Addr(), identity: identity, mux: http.NewServeMux(),
		wire: newWire(n, sec, d.Log), tell: make(chan struct{}, 1), saves: make(chan known, 1),
		asks: make(chan func()), begun: make(chan struct{}), ended: make(chan struct{}), settled: make(chan struct{}),
	}
	if o.Advertise != "" {
		if c.own, err = parseAdvertise(o.Advertise, n.Addr().Port()); err != nil {
			return nil, fmt.Errorf("cluster.advertise: %w", err)
		}
	}
	c.wire.ring.Store(r)
	c.client = c.newClient()
	c.card = card{State: Alive, Name: d.Name, Meta: Meta{Addr: c.own.Addr(), Version: d.Version, Started: time.Now().UTC().Truncate(time.Second)}}
	c.owner = newOwner(identity.Name, id)
	c.roster.up(id, &c.card, c.own, time.Now())
	c.publish(c.roster.view())
	c.handleOwn()
	return c, nil
}

// Addr is where the gossip of this node is, as the others know it.
func (c *Cluster) Addr() netip.AddrPort { return c.own }

// Bound is where it listens on this machine.
func (c *Cluster) Bound() netip.AddrPort { return c.wire.net.Addr() }

// Identity is the cluster this node belongs to, with its secrets.
func (c *Cluster) Identity() Identity {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.identity
}

// Rejected counts what the port of gossip turned away, by reason.
func (c *Cluster) Rejected() map[string]uint64 { return c.wire.rejects.counts() }

// Tell changes what this node says of itself, and has the others hear of it.
func (c *Cluster) Tell(change func(*Meta)) {
	c.mu.Lock()
	change(&c.card.Meta)
	c.mu.Unlock()
	c.announce()
}

// SetDraining says whether this node wants no new requests.
func (c *Cluster) SetDraining(draining bool) {
	c.mu.Lock()
	if c.card.State = Alive; draining {
		c.card.State = Draining
	}
	c.mu.Unlock()
	c.announce()
}

func (c *Cluster) announce() {
	select {
	case c.tell <- struct{}{}:
	default: // it will be told with what is waiting
	}
}

// Settled waits until this node has met a member, or has found that none of
// those it knows can be reached, or ctx ends. It is over at once for a node that
// knows nobody.
func (c *Cluster) Settled(ctx context.Context) {
	select {
	case <-c.settled:
	case <-c.ended:
	case <-ctx.Done():
	}
}

// Close frees the port when Run was never called.
func (c *Cluster) Close() error { return c.wire.net.Close() }

// Run takes part in the cluster until ctx ends, and says good-bye then. It may
// be called once.
func (c *Cluster) Run(ctx context.Context) error {
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	g, work := errgroup.WithContext(base)
	g.Go(func() error { return c.wire.run(work) })
	g.Go(func() error { return c.serveCalls(work) })
	g.Go(func() error { c.saveAll(work); return nil })
	c.ops.Lock()
	s, err := c.startStay(c.Identity())
	c.stay.Store(s)
	c.ops.Unlock()
	if err != nil {
		close(c.ended)
		cancel()
		return errors.Join(err, g.Wait())
	}
	close(c.begun)
	g.Go(func() error { c.announceAll(work); return nil })
	g.Go(func() error { c.keepRoster(work); return nil })
	g.Go(func() error { c.lookUpJoin(work); return nil })
	g.Go(func() error {
		select {
		case <-ctx.Done():
		case <-work.Done(): // a part has failed
		}
		c.end()
		cancel()
		c.aside.Wait()
		c.client.CloseIdleConnections() // and what those attempts were dialling
		return nil
	})
	return g.Wait()
}

// running waits until Run takes part in gossip.
func (c *Cluster) running(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, CallTime)
	defer cancel()
	select {
	case <-c.begun:
		return nil
	case <-c.ended:
		return errors.New("the node is stopping")
	case <-ctx.Done():
		return fmt.Errorf("wait for the node to start: %w", ctx.Err())
	}
}

// end leaves gossip for now.
func (c *Cluster) end() {
	c.ops.Lock()
	defer c.ops.Unlock()
	c.sayGoodbye(byeStop)
	c.stay.Load().stop()
}

// announceAll has gossip carry the card whenever it has changed.
func (c *Cluster) announceAll(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.tell:
			// Without an answer in time it is still on its way.
			_ = c.stay.Load().list.UpdateNode(time.Second)
		}
	}
}

// saveAll keeps the known members in their file.
func (c *Cluster) saveAll(ctx context.Context) {
	save := func(k known) {
		if c.d.Dir == "" {
			return
		}
		if err := saveJSON(c.knownPath(), k); err != nil {
			c.log.Warn("keep the known members", "error", err)
		}
	}
	for {
		select {
		case k := <-c.saves:
			save(k)
		case <-ctx.Done():
			select {
			case k := <-c.saves:
				save(k)
			default:
			}
			return
		}
	}
}

func (c *Cluster) knownPath() string { return strings.TrimSuffix(c.d.Dir, "/") + "/" + KnownName }
