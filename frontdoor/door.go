package frontdoor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/cachenode/cachenode/internal/relay"
	"github.com/cachenode/cachenode/internal/shortage"
)

// Deps are what a Door needs from others.
type Deps struct {
	Log *slog.Logger // nil discards
	// HandOver serves a connection that the own node was picked for. It returns
	// when that has ended, with the number of bytes that came and went; until then
	// the connection counts as one of the node's. It may be closed by the Door
	// meanwhile. Without it the own node is connected to like any other.
	HandOver func(c *net.TCPConn) (in, out int64)
	// Check asks a node whether it is ready, within ctx; ErrNotReady: it says that
	// it is not. nil: GET /readyz at its address.
	Check func(ctx context.Context, b Backend) error
	// Dial connects to a node within ctx's deadline; nil: TCP.
	Dial func(ctx context.Context, to netip.AddrPort) (net.Conn, error)
}

// Door accepts connections and carries them to nodes; safe for concurrent use.
type Door struct {
	opts    Options
	deps    Deps
	recheck chan struct{} // of capacity 1: a check may be due earlier than it was

	served sync.WaitGroup  // one for each connection and for each Serve
	life   context.Context // of all connections: the parent of what connects to nodes
	die    context.CancelFunc

	mu        sync.Mutex // guards what follows
	table     table
	listeners map[net.Listener]struct{}
	closing   bool
	cutting   bool          // connections are to end
	idle      chan struct{} // closed when closing and nothing is served
}

// New checks o. The Door has no nodes yet: connections are refused until
// SetBackends.
func New(o Options, d Deps) (*Door, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	if d.Dial == nil {
		d.Dial = dial
	}
	if d.Check == nil {
		d.Check = func(ctx context.Context, b Backend) error { return askReady(ctx, b, o.ConnectTimeout.D()) }
	}
	life, die := context.WithCancel(context.Background())
	return &Door{
		opts: o, deps: d, life: life, die: die, recheck: make(chan struct{}, 1),
		table: table{opts: o, open: map[*conn]struct{}{}}, listeners: map[net.Listener]struct{}{},
	}, nil
}

// SetBackends tells who the nodes are. Connections of nodes that are no longer
// among them are reset, and those of nodes that are down once they do not answer
// a check either.
func (d *Door) SetBackends(list []Backend) {
	var lost []*conn
	d.change(func(now time.Time) (changed []*node) {
		lost, changed = d.table.set(list, now)
		return changed
	})
	abort(lost)
}

// Kill resets the connections of a node that is dead. It may get new ones if it
// is still among the backends.
func (d *Door) Kill(id string) {
	d.mu.Lock()
	var lost []*conn
	if n := d.table.find(id); n != nil {
		lost = d.table.lose(nil, n)
	}
	d.mu.Unlock()
	abort(lost)
}

func abort(lost []*conn) {
	for _, c := range lost {
		c.relay.Abort() // set once, before c was lost
	}
}

// change makes a change to the nodes, and does what follows from it.
func (d *Door) change(f func(now time.Time) (changed []*node)) {
	d.mu.Lock()
	now := time.Now()
	changed := f(now)
	woken := d.table.advance(now)
	type news struct {
		name   string
		status Status
	}
	var all []news
	for _, n := range changed {
		all = append(all, news{n.Name, n.status})
	}
	d.mu.Unlock()
	for _, n := range all {
		d.deps.Log.Info("a node has another status at the front door", "node", n.name, "status", n.status)
	}
	d.wake(woken)
	d.look()
}

// look has Run look for checks that are due.
func (d *Door) look() {
	select {
	case d.recheck <- struct{}{}:
	default:
	}
}

// Serve accepts connections until ln is closed, which is no error; they live on.
// It may be called again, and for several listeners at a time.
func (d *Door) Serve(ln net.Listener) error {
	defer ln.Close() //nolint:errcheck // it is given up
	if !d.listening(ln) {
		return nil
	}
	defer d.deaf(ln)
	var short shortage.Pace
	for {
		nc, err := ln.Accept()
		switch {
		case err == nil:
			short.Over()
			if err := d.accept(nc); err != nil {
				return err
			}
		case errors.Is(err, net.ErrClosed):
			return nil
		case !shortage.Passing(err):
			return fmt.Errorf("accept at the front door: %w", err)
		default: // out of descriptors, most likely
			if short.News() {
				d.deps.Log.Warn("the front door cannot accept connections for now", "error", err)
			}
			time.Sleep(short.Next())
		}
	}
}

// Take carries a connection that was accepted elsewhere, and does not wait for it.
func (d *Door) Take(nc *net.TCPConn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closing {
		relay.Reset(nc)
		return
	}
	d.served.Add(1) // not closing: nobody has begun to wait
	go d.serve(newConn(nc))
}

// accept starts the goroutine of a connection.
func (d *Door) accept(nc net.Conn) error {
	tc, ok := nc.(*net.TCPConn)
	if !ok {
		_ = nc.Close()
		return fmt.Errorf("front door: cannot carry connections of %T", nc)
	}
	d.served.Add(1) // Serve is counted, so that nobody has begun to wait at zero
	go d.serve(newConn(tc))
	return nil
}

func (d *Door) listening(ln net.Listener) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closing {
		return false
	}
	d.served.Add(1)
	d.listeners[ln] = struct{}{}
	return true
}

func (d *Door) deaf(ln net.Listener) {
	d.mu.Lock()
	delete(d.listeners, ln)
	d.mu.Unlock()
	d.served.Done()
}

// Shutdown closes the listeners and waits for the connections until ctx ends; then
// it resets those that are left, and returns ctx's error. Nothing runs after it.
func (d *Door) Shutdown(ctx context.Context) error {
	d.mu.Lock()
	if !d.closing {
		d.closing, d.idle = true, make(chan struct{})
		for ln := range d.listeners {
			_ = ln.Close() // Serve sees that
		}
		go func() {
			d.served.Wait()
			d.die()
			close(d.idle)
		}()
	}
	d.mu.Unlock()
	select {
	case <-d.idle:
		return nil
	case <-ctx.Done():
	}
	d.cutAll(true, everyConn)
	<-d.idle
	return ctx.Err()
}

// Cut ends the connections that there are, and the Door goes on.
func (d *Door) Cut() { d.cutAll(false, everyConn) }

// CutAt ends those of clients that came to an address of this machine, which it
// does not have any more.
func (d *Door) CutAt(local netip.Addr) {
	d.cutAll(false, func(c *conn) bool { return c.local.Addr() == local })
}

func everyConn(*conn) bool { return true }

// Carried counts the connections that are not the own node's.
func (d *Door) Carried() (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for c := range d.table.open {
		if c.node == nil || !c.node.Self || d.deps.HandOver == nil {
			n++
		}
	}
	return n
}

// cutAll ends the connections that are meant, whatever they are at, and, for good,
// those that come. Those that are just being connected to a node see it when they
// are.
func (d *Door) cutAll(forGood bool, meant func(c *conn) bool) {
	d.mu.Lock()
	d.cutting = d.cutting || forGood
	var carried, own, waiting []*conn
	for c := range d.table.open {
		if !meant(c) {
			continue
		}
		c.cut = true
		switch {
		case c.relay != nil:
			carried = append(carried, c)
		case c.node == nil:
			waiting = append(waiting, c)
		case c.node.Self:
			own = append(own, c)
		}
	}
	for _, c := range waiting {
		d.table.dequeue(c, Closing)
	}
	d.mu.Unlock()
	if forGood {
		d.die() // what is connecting sees that
	}
	for _, c := range carried {
		c.relay.CutOff()
	}
	for _, c := range own {
		relay.Reset(c.nc)
	}
	d.wake(waiting)
}

// arrive finds a node for a new connection, and waits for one if need be.
func (d *Door) arrive(c *conn) (Backend, Reason) {
	d.mu.Lock()
	c.cut = d.cutting
	c.why = d.table.arrive(c, time.Now())
	to, why := c.placed()
	d.mu.Unlock()
	if why.waits() {
		return d.wait(c)
	}
	return to, why
}

// elsewhere finds another node for c, as the one it has cannot be reached.
func (d *Door) elsewhere(c *conn) (to Backend, why Reason) {
	d.change(func(now time.Time) (changed []*node) {
		if n := d.table.missed(c, now); n != nil {
			changed = append(changed, n)
		}
		c.why = d.table.seek(c, now)
		to, why = c.placed()
		return changed
	})
	if why.waits() {
		return d.wait(c) // it may have a node already, and was woken
	}
	return to, why
}

func (d *Door) dequeue(c *conn, why Reason) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.table.dequeue(c, why)
}

func (d *Door) reached(c *conn, r *relay.Relay) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.table.reached(c, r)
}

// leave ends c, and lets others have its place.
func (d *Door) leave(c *conn, in, out int64, aborted bool) {
	d.mu.Lock()
	d.table.leave(c, in, out, aborted)
	var woken []*conn
	if len(d.table.queue) > 0 {
		woken = d.table.advance(time.Now())
	}
	d.mu.Unlock()
	d.wake(woken)
}

// forget ends the goroutine of c.
func (d *Door) forget(c *conn) {
	d.mu.Lock()
	delete(d.table.open, c)
	d.mu.Unlock()
	d.served.Done()
}

// Stats returns the counters.
func (d *Door) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.table.stats(time.Now())
}
