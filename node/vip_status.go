package node

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/cachenode/cachenode/admin"
	"github.com/cachenode/cachenode/election"
	"github.com/cachenode/cachenode/internal/metrics"
	"github.com/cachenode/cachenode/peer"
)

const (
	pathVIP     = "/vip"
	pathVIPMove = "/vip/move"
)

// vipAnswer is what a member says of the virtual IP.
type vipAnswer struct {
	Shared sharedVIP     `json:"shared"`
	Node   admin.VIPNode `json:"node"`
}

// vipMove asks the holder to hand the virtual IP over.
type vipMove struct {
	To string `json:"to"` // ID; empty: to any
}

// holds reports whether this node has the virtual IP.
func (v *vip) holds() bool {
	s := v.now.Load()
	return s != nil && s.e.Status().State.Holds()
}

// holder is the name of the node that has the virtual IP, as far as this one
// knows; empty: nobody.
func (v *vip) holder() string {
	s := v.now.Load()
	if s == nil {
		return ""
	}
	if m := s.dir.View().ByID(s.e.Status().Holder); m != nil {
		return m.Name
	}
	return ""
}

func (v *vip) stats() metrics.VIPStats {
	s := v.now.Load()
	if s == nil {
		return metrics.VIPStats{}
	}
	st := s.e.Status()
	return metrics.VIPStats{Holder: st.State.Holds(), Transitions: st.Transitions}
}

// answer is how this node stands.
func (v *vip) answer() vipAnswer {
	o := v.options()
	a := vipAnswer{Shared: shared(&o), Node: admin.VIPNode{Name: v.n.o.Name, Answers: true, Priority: int(o.Priority)}}
	s := v.now.Load()
	if s == nil {
		a.Node.State, a.Node.Reason = "off", "does not take part: see its log"
		return a
	}
	st := s.e.Status()
	a.Node.State, a.Node.Reason, a.Node.Term, a.Node.Voters = st.State.String(), st.Reason.String(), st.Term, st.Voters
	a.Node.Interface, a.Node.Transitions, a.Node.Since = s.addr.Interface, st.Transitions, &st.Since
	a.Node.Holder, a.Node.Lingering = v.holder(), st.Lingering
	return a
}

// VIP implements admin.VIP.
func (v *vip) VIP(ctx context.Context) (admin.VIPStatus, error) {
	own := v.answer()
	if own.Shared.Address == "" {
		return admin.VIPStatus{}, admin.ErrNoVIP
	}
	out := admin.VIPStatus{
		Address: own.Shared.Address, Port: int(own.Shared.Port), Mode: string(own.Shared.Mode), Holder: own.Node.Holder, Term: own.Node.Term,
	}
	own.Node.Self = true
	if v.n.cluster == nil {
		out.Nodes = []admin.VIPNode{own.Node}
		return out, nil
	}
	out.Nodes = v.ask(ctx, own.Node)
	for i := range out.Nodes {
		// The holder itself knows best.
		if n := &out.Nodes[i]; n.Holder == n.Name && n.Term >= out.Term {
			out.Holder, out.Term = n.Name, n.Term
		}
	}
	return out, nil
}

// ask asks all members that are known, at the same time.
func (v *vip) ask(ctx context.Context, own admin.VIPNode) []admin.VIPNode {
	view := v.n.cluster.View()
	nodes := make([]admin.VIPNode, len(view.Members))
	ctx, cancel := context.WithTimeout(ctx, vitalsTime)
	defer cancel()
	var wg sync.WaitGroup
	for i := range view.Members {
		m, to := &view.Members[i], &nodes[i]
		*to = admin.VIPNode{Name: m.Name, Priority: int(m.Priority)}
		switch {
		case m.ID == view.Self:
			*to = own
		case m.State.Up():
			wg.Go(func() {
				if a, err := peer.CallJSON[vipAnswer](ctx, v.n.cluster, m, pathVIP, struct{}{}); err == nil {
					*to = a.Node
				}
			})
		}
	}
	wg.Wait()
	return nodes
}

// MoveVIP implements admin.VIP.
func (v *vip) MoveVIP(ctx context.Context, name string) (admin.VIPStatus, error) {
	s := v.now.Load()
	if s == nil {
		return admin.VIPStatus{}, admin.ErrNoVIP
	}
	view := s.dir.View()
	to := ""
	if name != "" {
		m := view.ByName(name)
		if m == nil {
			return admin.VIPStatus{}, &admin.Error{Status: 404, Message: fmt.Sprintf("there is no node %q", name), Hint: "'cachenode members' lists the nodes"}
		}
		to = m.ID
	}
	holder := view.ByID(s.e.Status().Holder)
	if holder == nil { // not heard yet: the others may know
		if st, err := v.VIP(ctx); err == nil {
			holder = view.ByName(st.Holder)
		}
	}
	if holder == nil {
		return admin.VIPStatus{}, &admin.Error{Status: 409, Message: "nobody holds the virtual IP now, as far as this node knows", Hint: "see why with 'cachenode vip'"}
	}
	var err error
	if holder.ID == view.Self {
		err = s.e.Move(ctx, to)
	} else {
		_, err = peer.CallJSON[struct{}](ctx, v.n.cluster, holder, pathVIPMove, vipMove{To: to})
	}
	if err != nil {
		return admin.VIPStatus{}, explainMove(err)
	}
	return v.VIP(ctx)
}

// answerMove is asked of the holder by another member.
func (v *vip) answerMove(ctx context.Context, _ string, m vipMove) (struct{}, error) {
	s := v.now.Load()
	if s == nil {
		return struct{}{}, &peer.CallError{Status: 409, Message: election.ErrNotHolder.Error()}
	}
	if err := s.e.Move(ctx, m.To); err != nil {
		return struct{}{}, &peer.CallError{Status: 409, Message: err.Error()}
	}
	return struct{}{}, nil
}

func explainMove(err error) error {
	message := err.Error()
	if e, ok := errors.AsType[*peer.CallError](err); ok {
		message = e.Message
	}
	return &admin.Error{Status: 409, Message: message, Hint: "'cachenode vip' shows how each node stands"}
}
