package node

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cachenode/cachenode/admin"
	"github.com/cachenode/cachenode/internal/suggest"
	"github.com/cachenode/cachenode/peer"
)

// drainer takes this node out of service and back.
type drainer struct {
	n    *Node
	ops  sync.Mutex // held by a change as a whole: what changes take effect in their order
	now  atomic.Pointer[drain]
	wake chan struct{} // capacity 1: one look is enough
}

const pathDrain = "/drain"

// drainCall is asked of a member about its own drain.
type drainCall struct {
	Do    string           `json:"do,omitempty"` // drain, undrain; else it is only asked how it is
	Order admin.DrainOrder `json:"order"`
}

func (n *Node) openDrainer(context.Context) error {
	n.drainer = &drainer{n: n, wake: make(chan struct{}, 1)}
	n.drainer.now.Store(&drain{})
	if n.cluster != nil {
		n.cluster.Handle(pathDrain, peer.HandleJSON(n.drainer.answer))
	}
	return nil
}

// drainEvery is how often a drain looks whether it is at its end.
const drainEvery = 100 * time.Millisecond

// run brings drains to their end, until ctx ends.
func (d *drainer) run(ctx context.Context) error {
	tick := time.NewTicker(drainEvery)
	defer tick.Stop()
	for {
		looks := tick.C
		if d.now.Load().phase != draining {
			looks = nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-d.wake:
		case <-looks:
		}
		d.look()
	}
}

// look takes the drain a step further.
func (d *drainer) look() {
	d.ops.Lock()
	defer d.ops.Unlock()
	before := d.now.Load()
	if d.n.Stopping() {
		return // stop has its own deadline
	}
	next, cut := before.step(time.Now(), d.n.load())
	if next.phase == before.phase {
		return
	}
	d.now.Store(&next)
	if cut {
		d.n.front.door.Cut()
		d.n.server.Cut()
		d.n.proxy.Cut()
	}
	d.n.log.Info("drained", "took", time.Since(next.began).Round(time.Millisecond), "cut", next.cut)
	d.n.notify(stateSame)
}

// begin drains this node.
func (d *drainer) begin(o admin.DrainOrder, by string) (admin.Drain, error) {
	d.ops.Lock()
	defer d.ops.Unlock()
	if d.n.Stopping() {
		r := d.report()
		r.Already = true
		return r, nil
	}
	next, already := d.now.Load().order(o, time.Now(), d.n.load())
	d.now.Store(&next)
	d.show(true)
	r := d.report()
	r.Already = already
	if !already || o.Expressly() {
		deadline := "none"
		if left, ok := next.left(time.Now()); ok {
			deadline = left.Round(time.Second).String()
		}
		d.n.log.Info("draining", "by", by, "deadline", deadline, "connections", r.Connections, "tunnels", r.Tunnels, "message", next.message)
	}
	d.n.notify(stateSame)
	select {
	case d.wake <- struct{}{}:
	default:
	}
	return r, nil
}

// end takes the drain back.
func (d *drainer) end(by string) (admin.Drain, error) {
	d.ops.Lock()
	defer d.ops.Unlock()
	if d.n.Stopping() {
		return admin.Drain{}, &admin.Error{Status: http.StatusConflict, Message: d.n.o.Name + " is being stopped", Hint: "start it again; it serves then"}
	}
	was := d.now.Load().phase
	d.now.Store(&drain{})
	d.show(false)
	if was != inService {
		d.n.log.Info("serving again: the drain was taken back", "by", by)
	}
	d.n.notify(stateSame)
	r := d.report()
	r.Already = was == inService
	return r, nil
}

// stop makes the node one that is being stopped; nothing else can be said of it
// from then on.
func (d *drainer) stop() {
	d.ops.Lock()
	defer d.ops.Unlock()
	d.n.stopping.Store(true)
	d.show(true)
}

// show has clients and members know. The election hands the virtual IP over when
// it sees it.
func (d *drainer) show(out bool) {
	if d.n.cluster != nil {
		d.n.cluster.SetDraining(out)
	}
	d.n.server.Drain(out)
}

// load is what clients have of this node now. Connections that its front door
// carries to others are among them: they end with it too.
func (n *Node) load() load {
	open, tunnels := n.server.Load()
	return load{connections: open + tunnels + int64(n.front.door.Carried()), tunnels: tunnels, vip: n.vip.holds()}
}

// Draining reports whether the node wants no new clients.
func (n *Node) Draining() bool { return n.Stopping() || n.drainer.now.Load().phase != inService }

// report is how the drain goes.
func (d *drainer) report() admin.Drain {
	s, l, now := d.now.Load(), d.n.load(), time.Now()
	r := admin.Drain{
		Node: d.n.o.Name, State: d.n.stateName(), Message: s.message, Connections: l.connections, Tunnels: l.tunnels,
		Cut: s.cut, Forced: s.forced,
	}
	if s.phase == inService {
		return r
	}
	r.Began = &s.began
	if left, ok := s.left(now); ok {
		seconds := left.Seconds()
		r.SecondsLeft = &seconds
	}
	switch {
	case !s.held:
	case l.vip:
		r.VIP = "held"
	default:
		if r.VIP = d.n.vip.holder(); r.VIP == "" {
			r.VIP = "nobody"
		}
	}
	return r
}

// shown is the report for status pages; nil: the node does not drain.
func (d *drainer) shown() *admin.Drain {
	if d.now.Load().phase == inService {
		return nil
	}
	r := d.report()
	return &r
}

// answer is asked by another member.
func (d *drainer) answer(_ context.Context, from string, c drainCall) (admin.Drain, error) {
	if m := d.n.cluster.View().ByID(from); m != nil {
		from = m.Name
	}
	r, err := d.do(c, from)
	if e, ok := errors.AsType[*admin.Error](err); ok {
		err = &peer.CallError{Status: e.Status, Message: e.Message}
	}
	return r, err
}

func (d *drainer) do(c drainCall, by string) (admin.Drain, error) {
	switch c.Do {
	case "drain":
		if err := c.Order.Validate(); err != nil {
			return admin.Drain{}, &admin.Error{Status: http.StatusBadRequest, Message: err.Error()}
		}
		return d.begin(c.Order, by)
	case "undrain":
		return d.end(by)
	}
	return d.report(), nil
}

// ask has the node of a name do it.
func (d *drainer) ask(ctx context.Context, node string, c drainCall) (admin.Drain, error) {
	m, err := d.find(node)
	if err != nil {
		return admin.Drain{}, err
	}
	if m == nil {
		return d.do(c, d.n.o.Name)
	}
	r, err := peer.CallJSON[admin.Drain](ctx, d.n.cluster, m, pathDrain, c)
	e, said := errors.AsType[*peer.CallError](err)
	switch {
	case err == nil:
		return r, nil
	case said && e.Status != http.StatusNotFound:
		return r, &admin.Error{Status: e.Status, Message: e.Message}
	case said:
		return r, &admin.Error{Status: http.StatusConflict, Message: fmt.Sprintf("%s is of a version that cannot be asked from here", m.Name), Hint: "run the command on its machine"}
	}
	return r, &admin.Error{
		Status: http.StatusBadGateway, Message: fmt.Sprintf("%s does not answer: %v", m.Name, err), Hint: "'cachenode members' shows how it is",
	}
}

// find looks a node up; nil: it is this one.
func (d *drainer) find(node string) (*peer.Member, error) {
	if node == "" || node == d.n.o.Name {
		return nil, nil
	}
	unknown := &admin.Error{Status: http.StatusNotFound, Message: fmt.Sprintf("there is no node %q", node), Hint: "'cachenode members' lists the nodes"}
	if d.n.cluster == nil {
		unknown.Hint = fmt.Sprintf("this node, %s, runs standalone: there is no other", d.n.o.Name)
		return nil, unknown
	}
	v := d.n.cluster.View()
	m := v.ByName(node)
	if m == nil {
		m = v.ByID(node)
	}
	switch {
	case m == nil:
		names := make([]string, len(v.Members))
		for i := range v.Members {
			names[i] = v.Members[i].Name
		}
		if near := suggest.Nearest(node, names); near != "" {
			unknown.Message += fmt.Sprintf("; did you mean %q?", near)
		}
		return nil, unknown
	case m.ID == v.Self:
		return nil, nil
	case !m.State.Up():
		return nil, &admin.Error{Status: http.StatusConflict, Message: fmt.Sprintf("%s is %s: it serves nobody", m.Name, m.State)}
	}
	return m, nil
}

// Drain implements admin.Drains.
func (d *drainer) Drain(ctx context.Context, node string, o admin.DrainOrder) (admin.Drain, error) {
	return d.ask(ctx, node, drainCall{Do: "drain", Order: o})
}

// Undrain implements admin.Drains.
func (d *drainer) Undrain(ctx context.Context, node string) (admin.Drain, error) {
	return d.ask(ctx, node, drainCall{Do: "undrain"})
}

// DrainStatus implements admin.Drains.
func (d *drainer) DrainStatus(ctx context.Context, node string) (admin.Drain, error) {
	return d.ask(ctx, node, drainCall{})
}
