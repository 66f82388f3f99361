package node

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cachenode/cachenode/election"
	"github.com/cachenode/cachenode/election/hook"
	"github.com/cachenode/cachenode/election/onlink"
	"github.com/cachenode/cachenode/peer"
)

// vip is the node's part in holding the virtual IP.
type vip struct {
	n      *Node
	file   string // of what is kept
	begun  chan struct{}
	begins sync.Once
	saves  chan keptVIP // of capacity 1, latest wins

	now  atomic.Pointer[seat]
	keys atomic.Pointer[vipKeys]

	mu   sync.Mutex       // guards what follows
	o    election.Options // as configured or learnt
	kept keptVIP
}

// seat is the node's place in the election while it takes part.
type seat struct {
	o     election.Options
	addr  *onlink.Address
	wire  election.Wire
	close func() error
	e     *election.Election
	dir   peer.Directory
	hooks *hook.Runner
	last  election.Status // told of last; belongs to the election
}

// openVIP takes a seat in the election when it is known that there is one. One
// that was learnt from the cluster is not worth a failed start.
func (n *Node) openVIP(ctx context.Context) error {
	v := &vip{n: n, file: vipFile(n.o.Data), begun: make(chan struct{}), saves: make(chan keptVIP, 1), o: n.o.VIP}
	n.vip = v
	n.onStop("virtual ip", v.close)
	kept, err := loadVIP(v.file)
	if err != nil {
		n.log.Warn("start without what is known of the virtual ip", "error", err)
	}
	v.kept = kept
	configured := v.o.Address != ""
	if !configured && n.cluster != nil {
		v.o = kept.over(v.o)
	}
	v.o.Resolve()
	if n.cluster != nil {
		n.cluster.Handle(pathVIP, peer.HandleJSON(func(context.Context, string, struct{}) (vipAnswer, error) { return v.answer(), nil }))
		n.cluster.Handle(pathVIPMove, peer.HandleJSON(v.answerMove))
	}
	if !v.o.On() {
		return nil
	}
	s, err := v.sit(ctx)
	switch {
	case err == nil:
		v.now.Store(s)
	case configured:
		return &Fault{Err: err, Config: true, Hint: "see vip in 'cachenode config show', or leave --vip out: the node then serves on its own addresses only"}
	default:
		n.log.Error("cannot take part in holding the virtual ip of the cluster", "error", err)
	}
	return nil
}

// options are those of the virtual IP, as configured or learnt.
func (v *vip) options() election.Options {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.o
}

// sit opens what taking part needs. The address is not touched.
func (v *vip) sit(ctx context.Context) (*seat, error) {
	o := v.options()
	log := v.n.log
	addr, err := onlink.Open(o, filepath.Join(v.n.o.Data, "vip-stay.json"), log)
	if err != nil {
		return nil, err
	}
	s := &seat{o: o, addr: addr, wire: nobody{}, close: addr.Close, dir: v.alone(), hooks: hook.New(o.Hooks, log)}
	if c := v.n.cluster; c != nil {
		wire, err := election.ListenUDP(ctx, c.Addr(), c.Bound())
		if err != nil {
			return nil, errors.Join(err, addr.Close())
		}
		s.wire, s.dir = wire, c
		s.close = func() error { return errors.Join(wire.Close(), addr.Close()) }
	}
	v.mu.Lock()
	memory := v.kept.Memory
	v.mu.Unlock()
	s.e = election.New(o, election.Deps{
		Log: log, Directory: s.dir, Address: addr, Steering: addr.Steering, Events: addr.Events, Wire: s.wire, Keys: v.secrets,
		MAC: addr.MAC, Memory: memory, Changed: func(st election.Status) { v.changed(s, st) },
	})
	if c := v.n.cluster; c != nil {
		c.Tell(func(m *peer.Meta) { m.Priority, m.Term = o.Priority, memory.Term })
	}
	return s, nil
}

// alone is the membership of a node without a cluster.
func (v *vip) alone() peer.Directory {
	name := v.n.o.Name
	return peer.NewStatic(name, peer.Member{ID: name, Name: name, Meta: peer.Meta{Priority: max(1, v.n.o.VIP.Priority)}})
}

// nobody is the wire of a node without a cluster.
type nobody struct{}

func (nobody) Send(*peer.Member, []byte) {}
func (nobody) Receive(ctx context.Context, _ []byte) ([]byte, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// vipKeys are the keys that were derived from those of the cluster.
type vipKeys struct {
	from    []peer.Key
	cluster string
	keys    []election.Key
}

// secrets are the keys of the cluster now.
func (v *vip) secrets() []election.Key {
	if v.n.cluster == nil {
		return []election.Key{nil}
	}
	id := v.n.cluster.Identity()
	if k := v.keys.Load(); k != nil && k.cluster == id.ID && slices.Equal(k.from, id.Keys) {
		return k.keys
	}
	k := &vipKeys{from: id.Keys, cluster: id.ID}
	for _, secret := range id.Keys {
		key, err := election.DeriveKey(secret[:], id.ID)
		if err != nil {
			v.n.log.Error("no key for the election of the virtual ip", "error", err)
			continue
		}
		k.keys = append(k.keys, key)
	}
	v.keys.Store(k)
	return k.keys
}

// begin lets the election begin: the node has met its cluster.
func (v *vip) begin() { v.begins.Do(func() { close(v.begun) }) }

// retryVIP is how long a node waits before it tries again to take part.
const retryVIP = 2 * time.Second

// run takes part in the election until ctx ends. What goes wrong with the
// virtual IP does not end the node.
func (v *vip) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { v.saveAll(ctx); return nil })
	g.Go(func() error {
		select {
		case <-v.begun:
		case <-ctx.Done():
			return nil
		}
		for ctx.Err() == nil {
			if err := v.takePart(ctx); err != nil && ctx.Err() == nil {
				v.n.log.Error("virtual ip", "error", err, "again_in", retryVIP)
				wait(ctx, retryVIP)
			}
		}
		return nil
	})
	return g.Wait()
}

// takePart takes part once, until ctx ends or something fails.
func (v *vip) takePart(ctx context.Context) error {
	if o := v.options(); o.Mode == election.ModeNone || o.Address == "" && v.n.cluster == nil {
		<-ctx.Done()
		return nil
	}
	if !v.learn(ctx) {
		return nil
	}
	s := v.now.Load()
	if s == nil {
		var err error
		if s, err = v.sit(ctx); err != nil {
			return err
		}
		v.now.Store(s)
	}
	err := s.run(ctx)
	if ctx.Err() != nil {
		return nil // Close closes it
	}
	v.now.Store(nil)
	return errors.Join(err, s.close())
}

// run runs the election and what it needs. The link is listened to until the
// address has been given up.
func (s *seat) run(ctx context.Context) error {
	linkCtx, endLink := context.WithCancel(context.WithoutCancel(ctx))
	defer endLink()
	g, both := errgroup.WithContext(ctx)
	g.Go(func() error { return s.addr.Run(linkCtx) })
	g.Go(func() error { return s.hooks.Run(linkCtx) })
	g.Go(func() error {
		defer endLink()
		return s.e.Run(both)
	})
	return g.Wait()
}

// close frees the seat.
func (v *vip) close() error {
	if s := v.now.Load(); s != nil {
		return s.close()
	}
	return nil
}

// leave hands the address to another member. Where that would cut connections, it
// waits for their end until ctx ends. With none that is willing this node keeps it
// until the end.
func (v *vip) leave(ctx context.Context) {
	s := v.now.Load()
	if s == nil || !s.e.Status().State.Holds() {
		return
	}
	soon, cancel := context.WithTimeout(ctx, handoverTime)
	defer cancel()
	err := s.e.Leave(soon)
	if errors.Is(err, context.DeadlineExceeded) && s.e.Status().Waits {
		err = s.e.Leave(ctx)
	}
	if err != nil && !errors.Is(err, election.ErrNotHolder) {
		v.n.log.Info("keep the virtual ip for now", "reason", err.Error())
	}
}

// end gives the address up, for good, and lets the kernel send what it has of its
// connections until ctx ends. The next holder has its time to take the address also
// when that is over.
func (v *vip) end(ctx context.Context) {
	s := v.now.Load()
	if s == nil {
		return
	}
	err := s.e.Stop(ctx)
	if ctx.Err() != nil && s.e.Status().State.Holds() {
		soon, cancel := context.WithTimeout(context.WithoutCancel(ctx), handoverTime)
		defer cancel()
		err = s.e.Stop(soon)
	}
	if err != nil && !errors.Is(err, election.ErrNotHolder) {
		v.n.log.Warn("give up the virtual ip", "error", err)
	}
}

// changed is told of each change; it does not block.
func (v *vip) changed(s *seat, st election.Status) {
	before := s.last
	s.last = st
	if c := v.n.cluster; c != nil && st.Term != before.Term {
		c.Tell(func(m *peer.Meta) { m.Term = st.Term })
	}
	if st.Term != before.Term || st.Last != before.Last {
		v.remember(election.Memory{Term: st.Term, Last: st.Last})
	}
	if s.o.Mode == election.ModeLinux && left(&st, s.self()) && !left(&before, s.self()) {
		v.n.front.door.CutAt(s.o.Prefix().Addr().Unmap())
	}
	if st.State.Holds() != before.State.Holds() {
		v.n.front.poke()
		event := "lost"
		if st.State.Holds() {
			event = "acquired"
		}
		s.hooks.Tell(hook.Change{
			Time: time.Now(), Event: event, Node: v.n.o.Name, VIP: s.o.Prefix().Addr().String(), Term: st.Term, Reason: st.Reason.String(),
		})
	}
}

// left reports whether the address is at another member and nothing of it here:
// connections to it are dead then, and no packet will come that says so. While
// nobody has it, it may come back, and they with it.
func left(st *election.Status, self string) bool {
	return !st.State.Holds() && !st.Lingering && st.Holder != "" && st.Holder != self
}

func (s *seat) self() string { return s.dir.View().Self }

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
