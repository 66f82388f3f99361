package election

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cachenode/cachenode/peer"
)

// Address takes the virtual IP and gives it up on this machine.
type Address interface {
	// Probe asks the link whether somebody has the address, and the default
	// gateway whether it is there, until ctx ends.
	Probe(ctx context.Context, gateway bool) Probe
	// Hold puts the address on this machine for the time of the lease, or renews
	// that. From is the ID of the member that hands it over; empty: nobody does.
	Hold(from string) error
	// Announce tells the link that the address is here. It does not block.
	Announce()
	// Release takes the address away. To is the ID of the member that has taken it
	// over in a planned hand-over; empty: in any other case.
	Release(to string) error
}

// Event is something that the link reports.
type Event struct {
	Conflict net.HardwareAddr // somebody else uses the address; nil: another event
	Carrier  bool             // for other events: whether the link has a carrier
}

// Wire carries packets between members.
type Wire interface {
	// Send sends a datagram to a member, and does not block.
	Send(to *peer.Member, b []byte)
	// Receive waits for the next datagram, until ctx ends. It returns a part of
	// buf, which has room for MaxPacket bytes.
	Receive(ctx context.Context, buf []byte) ([]byte, error)
}

// Memory is what a node keeps over a restart.
type Memory struct {
	Term uint64 `json:"term"`
	Last string `json:"last"` // ID of the last holder
}

// Deps are what an Election works with.
type Deps struct {
	Log       *slog.Logger
	Directory peer.Directory
	Address   Address
	Steering  Steering     // nil: a hand-over cuts connections
	Events    <-chan Event // nil: the link reports nothing
	Wire      Wire
	// Keys are those of the cluster at the moment, of which there are several
	// while they are exchanged. All are accepted, the first is used.
	Keys   func() []Key
	MAC    net.HardwareAddr // of the interface; nil: it has none
	Memory Memory           // of an earlier run
	// Changed is told of every change, one at a time; it must not block. nil:
	// nobody is.
	Changed func(Status)
}

// Status is how this node stands in the election.
type Status struct {
	State  State     `json:"state"`
	Since  time.Time `json:"since"` // of State
	Reason Reason    `json:"reason"`
	Term   uint64    `json:"term"`
	Holder string    `json:"holder"` // ID; empty: nobody, or not known
	// Lingering says that the node has handed the address over and has connections
	// at it still.
	Lingering bool `json:"lingering"`
	// Waits says that the node would hand the address over, but waits for the end of
	// connections which that would cut.
	Waits  bool   `json:"waits"`
	Last   string `json:"last"`   // ID of the last holder
	Voters int    `json:"voters"` // members that count for a quorum
	// Transitions is how often this node took the address.
	Transitions uint64 `json:"transitions"`
}

// Election is the part of a node in the election.
type Election struct {
	d      Deps
	t      timing
	m      *machine
	status atomic.Pointer[Status]

	packets  chan Packet // from the reader to the machine
	probes   chan probed
	orders   chan order
	ended    chan struct{}
	probing  *errgroup.Group
	probeCtx context.Context // of the run, for probes that the machine begins
	dropped  atomic.Uint64
}

type probed struct {
	sequence uint64
	probe    Probe
}

// order is a command to the machine.
type order struct {
	to    string // move: the member's ID, or empty for any
	leave bool
	stop  bool
	done  chan error // capacity 1
}

// New returns an election that waits for Run.
func New(o Options, d Deps) *Election {
	e := &Election{
		d: d, t: timingOf(&o),
		packets: make(chan Packet, 64), // a burst of all members' answers
		probes:  make(chan probed, 1),  // one at a time
		orders:  make(chan order),
		ended:   make(chan struct{}),
	}
	e.m = newMachine(d.Directory.View().Self, e.t, e, d.Log)
	if s := d.Steering; s != nil {
		stay, forward := s.Lacks()
		e.m.can = able{steers: true, stay: stay == nil, forward: forward == nil}
	}
	e.status.Store(&Status{Reason: Starting, Since: time.Now(), Term: d.Memory.Term, Last: d.Memory.Last})
	return e
}

// Status is how this node stands now.
func (e *Election) Status() Status { return *e.status.Load() }

// Dropped counts the packets that were not from a member or came twice.
func (e *Election) Dropped() uint64 { return e.dropped.Load() }

// Run takes part in the election until ctx ends. Then a holder gives the
// address up at once; Stop before it hands it over.
func (e *Election) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	e.probing, e.probeCtx = g, ctx
	g.Go(func() error { return e.read(ctx) })
	g.Go(func() error { return e.loop(ctx) })
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// Move hands the address to a member, or to the first that is willing if id is
// empty, and waits until it has it. Only the holder can do that.
func (e *Election) Move(ctx context.Context, id string) error { return e.order(ctx, order{to: id}) }

// Leave hands the address to the first member that is willing, like Move. If
// that would cut connections it waits for their end first: for Linger at the most,
// and while the node drains until that ends them.
func (e *Election) Leave(ctx context.Context) error { return e.order(ctx, order{leave: true}) }

// Stop hands the address over if this node holds it, and claims it no more. It
// waits until the address is gone from this node, and has no connections here.
func (e *Election) Stop(ctx context.Context) error { return e.order(ctx, order{stop: true}) }

func (e *Election) order(ctx context.Context, o order) error {
	o.done = make(chan error, 1)
	select {
	case e.orders <- o:
	case <-e.ended:
		return ErrNotHolder
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-o.done:
		return err
	case <-e.ended:
		return ErrNotHolder
	case <-ctx.Done():
		return ctx.Err()
	}
}

// read takes packets from the wire to the machine.
func (e *Election) read(ctx context.Context) error {
	buf := make([]byte, MaxPacket)
	for {
		b, err := e.d.Wire.Receive(ctx, buf)
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("receive from members: %w", err)
		}
		p, err := Parse(b, e.d.Keys()...)
		if err != nil {
			e.dropped.Add(1)
			e.d.Log.Debug("dropped a datagram", "error", err)
			continue
		}
		select {
		case e.packets <- p:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// loop is the one goroutine of the machine.
func (e *Election) loop(ctx context.Context) error {
	defer close(e.ended)
	views, stop := e.d.Directory.Watch()
	defer stop()
	m := e.m
	m.start(time.Now(), e.d.Directory.View(), e.d.Memory)
	m.wakeAt = time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		do := m.tick
		select {
		case <-ctx.Done():
			continue
		case p := <-e.packets:
			do = func(now time.Time) { e.take(now, p) }
		case v := <-views:
			do = func(now time.Time) { m.onView(now, v) }
		case r := <-e.probes:
			do = func(now time.Time) { m.onProbe(now, r.sequence, r.probe) }
		case o := <-e.orders:
			do = func(now time.Time) { e.obey(now, o) }
		case ev := <-e.d.Events:
			do = func(now time.Time) { e.onEvent(now, ev) }
		case <-timer.C:
		}
		now := time.Now()
		m.wake(now)
		do(now)
		e.publish()
		m.wakeAt = m.due(now)
		timer.Reset(max(m.wakeAt.Sub(now), time.Millisecond))
	}
	if m.state.Holds() {
		m.giveUp(time.Now(), Stopped)
	}
	m.endLinger()
	m.steer(time.Now(), 0)
	e.publish()
	return ctx.Err()
}

func (e *Election) take(now time.Time, p Packet) {
	if !e.m.onPacket(now, p) {
		e.dropped.Add(1)
	}
}

func (e *Election) onEvent(now time.Time, ev Event) {
	if ev.Conflict != nil {
		e.m.onConflict(now, ev.Conflict)
		return
	}
	e.m.onLink(now, ev.Carrier)
}

func (e *Election) obey(now time.Time, o order) {
	done := func(err error) { o.done <- err } // capacity 1, called once
	switch {
	case o.leave:
		e.m.leaveWhenFree(now, done)
		return
	case !o.stop:
		e.m.move(now, o.to, done)
		return
	}
	e.m.stop = true
	e.m.dropAsk(now)
	if !e.m.state.Holds() {
		e.m.afterLinger(now, done)
		return
	}
	e.m.move(now, "", func(err error) {
		if errors.Is(err, ErrNoSuccessor) && e.m.state.Holds() {
			e.m.giveUp(time.Now(), Stopped)
		}
		if errors.Is(err, ErrNoSuccessor) || !e.m.state.Holds() {
			e.m.afterLinger(time.Now(), done) // it is gone from this node, which was asked for
			return
		}
		done(err)
	})
}

// publish shows the machine's state to readers.
func (e *Election) publish() {
	m := e.m
	s := Status{
		State: m.state, Since: m.since, Reason: m.reason, Term: m.term,
		Holder: m.holder, Lingering: m.lingering != nil, Waits: m.state.Holds() && m.holding.waits, Last: m.last, Voters: len(m.counted), Transitions: m.Transitions,
	}
	if old := e.status.Load(); *old == s {
		return
	}
	e.status.Store(&s)
	if e.d.Changed != nil {
		e.d.Changed(s)
	}
}

// The effects of the machine.

func (e *Election) send(p Packet, to []string) {
	p.MAC, p.Forwards = hardware(e.d.MAC), e.m.can.forward
	keys := e.d.Keys()
	if len(keys) == 0 {
		return // this node is between two clusters
	}
	b := p.Append(make([]byte, 0, 256), keys[0])
	for _, id := range to {
		if member := e.m.view.ByID(id); member != nil {
			e.d.Wire.Send(member, b)
		}
	}
}

func (e *Election) probe(sequence uint64, gateway bool, d time.Duration) {
	e.probing.Go(func() error {
		ctx, cancel := context.WithTimeout(e.probeCtx, d)
		defer cancel()
		p := e.d.Address.Probe(ctx, gateway)
		select {
		case e.probes <- probed{sequence, p}:
		case <-e.probeCtx.Done():
		}
		return nil
	})
}

func (e *Election) hold(from string) error { return e.d.Address.Hold(from) }

func (e *Election) announce() { e.d.Address.Announce() }

func (e *Election) stay() error                       { return e.d.Steering.Stay() }
func (e *Election) connections() (int, error)         { return e.d.Steering.Connections() }
func (e *Election) forward(to net.HardwareAddr) error { return e.d.Steering.Forward(to) }

func (e *Election) release(to string) {
	if err := e.d.Address.Release(to); err != nil {
		e.d.Log.Error("could not take the virtual ip off this machine", "error", err)
	}
}
