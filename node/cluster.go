package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/cachenode/cachenode/acl"
	"github.com/cachenode/cachenode/admin"
	"github.com/cachenode/cachenode/peer"
)

// openCluster takes the node's place in its cluster, unless it shall stand
// alone.
func (n *Node) openCluster(ctx context.Context) error {
	if n.o.Standalone {
		return nil
	}
	c, err := peer.Open(ctx, n.o.Cluster, peer.Deps{Dir: n.o.Data, Log: n.log, Name: n.o.Name, Version: n.d.Version})
	if err != nil {
		return clusterFault(n.o.Data, err)
	}
	n.onStop("gossip", c.Close)
	n.cluster = c
	c.Tell(func(m *peer.Meta) {
		m.ProxyPort = n.sharedProxyPort(m.Addr)
		m.Capacity = uint64(max(n.o.Store.Disk, n.o.Store.Memory))
	})
	c.Handle(pathVitals, peer.HandleJSON(func(context.Context, string, struct{}) (vitals, error) { return n.vitals(), nil }))
	n.openInvalidation()
	return n.openPurges()
}

// sharedProxyPort is the port at which the others reach the proxy on this
// node's address; 0 when it listens elsewhere only.
func (n *Node) sharedProxyPort(own netip.Addr) uint16 {
	for _, ln := range n.listeners {
		at := addrPort(ln.Addr())
		if a := at.Addr().Unmap(); a.IsUnspecified() || a == own {
			return at.Port()
		}
	}
	return 0
}

// clusterFault says what to do about a cluster that cannot be opened.
func clusterFault(dir string, err error) error {
	b, ok := errors.AsType[*peer.BindError](err)
	if !ok {
		return &Fault{Err: err, Hint: "move the damaged file out of " + dir + " and join again with the token of a member, or run this node on its own with --standalone", Config: true}
	}
	f := &Fault{Err: fmt.Errorf("listen for gossip on %s: %w", b.Addr, cause(b.Err))}
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		f.Err = fmt.Errorf("listen for gossip on %s: the port is in use%s", b.Addr, by(b.Addr.String()))
		f.Hint = "give this node another address or port with --bind IP[:PORT], or run it on its own with --standalone"
	case errors.Is(err, unix.EADDRNOTAVAIL):
		f.Hint = "the address is not one of this machine's; see them with 'ip address', and name one with --bind IP"
	default:
		f.Hint = "name an address of this machine with --bind IP, or run the node on its own with --standalone"
	}
	return f
}

// place is where the node is in which cluster, for the log.
func (n *Node) place() string {
	if n.cluster == nil {
		return "none"
	}
	return fmt.Sprintf("%s at %s", n.cluster.View().Cluster, n.cluster.Addr())
}

// arrive waits until this node has met its cluster, or has found that it is
// alone, and has made up for the purges it missed. Nothing is served before.
func (n *Node) arrive(ctx context.Context) {
	if n.cluster == nil {
		return
	}
	n.cluster.Settled(ctx)
	n.catchUp(ctx)
}

// runCluster takes part in the cluster until ctx ends.
func (n *Node) runCluster(ctx context.Context) error {
	if n.cluster == nil {
		return nil
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return n.cluster.Run(ctx) })
	g.Go(func() error { n.keepInStep(ctx); return nil })
	g.Go(func() error { return n.invalid.teller.Run(ctx) })
	return g.Wait()
}

// Cluster is the node's part in its cluster; nil when it stands alone.
func (n *Node) Cluster() *peer.Cluster { return n.cluster }

// services are the addresses that nobody shall reach through the proxy: those
// of this node, and of the members of its cluster.
func (n *Node) services() []acl.Service {
	if n.cluster == nil {
		return n.ownServices
	}
	v, at := n.cluster.View(), n.front.at.Load()
	if s := n.allServices.Load(); s != nil && s.view == v && s.vip == at {
		return s.list
	}
	return n.gatherServices(v, at)
}

// gatherServices lists them for a view and a virtual IP, and keeps the list.
func (n *Node) gatherServices(v *peer.View, at *netip.AddrPort) []acl.Service {
	s := &serviceList{view: v, vip: at, list: slices.Clone(n.ownServices)}
	if at != nil {
		s.list = append(s.list, acl.Service{Addr: *at, Proxy: true})
	}
	for i := range v.Members {
		m := &v.Members[i]
		for _, at := range []acl.Service{
			{Addr: m.Gossip}, {Addr: m.ICP()}, {Addr: m.Proxy(), Proxy: true}, {Addr: m.Admin()},
		} {
			if at.Addr.IsValid() {
				s.list = append(s.list, at)
			}
		}
	}
	n.allServices.Store(s)
	return s.list
}

// serviceList is what services found for one view and virtual IP.
type serviceList struct {
	view *peer.View
	vip  *netip.AddrPort
	list []acl.Service
}

// clusterParts are the parts of a node that deal with its cluster.
type clusterParts struct {
	cluster     *peer.Cluster // nil: standalone
	purges      purgeLog
	invalid     invalidation
	ownServices []acl.Service // where this node listens; complete before Run
	allServices atomic.Pointer[serviceList]
}

// tellAdmin has the others hear where the admin interface is, if they can reach
// it.
func (n *Node) tellAdmin(a net.Addr) {
	if n.cluster == nil || a == nil {
		return
	}
	at := addrPort(a)
	n.cluster.Tell(func(m *peer.Meta) {
		if ip := at.Addr().Unmap(); ip.IsUnspecified() || ip == m.Addr {
			m.AdminPort = at.Port()
		}
	})
}

const (
	pathVitals = "/vitals"
	vitalsTime = time.Second
)

// vitals are what a member answers about itself when members are listed.
type vitals struct {
	Objects  int64   `json:"objects"`
	HitRatio float64 `json:"hit_ratio"` // of the last 5 minutes
	VIP      bool    `json:"vip"`

	Connections *int64       `json:"connections,omitempty"` // of clients, tunnels included; nil: an older version
	Tunnels     *int64       `json:"tunnels,omitempty"`
	Drain       *admin.Drain `json:"drain,omitempty"` // nil: it does not drain
}

func (n *Node) vitals() vitals {
	st := n.admin.Status()
	l := n.load()
	return vitals{
		Objects: st.Objects, HitRatio: st.Last5m.HitRatio, VIP: l.vip,
		Connections: &l.connections, Tunnels: &l.tunnels, Drain: n.drainer.shown(),
	}
}

// membership is the cluster as the admin interface sees it.
type membership struct{ n *Node }

// Members implements admin.Membership.
func (m membership) Members(ctx context.Context) (admin.Members, error) {
	return m.list(ctx, m.n.cluster.View()), nil
}

func (m membership) list(ctx context.Context, v *peer.View) admin.Members {
	out := admin.Members{Cluster: v.Cluster, Members: make([]admin.Member, len(v.Members))}
	ctx, cancel := context.WithTimeout(ctx, vitalsTime)
	defer cancel()
	var wg sync.WaitGroup
	for i := range v.Members {
		p, to := &v.Members[i], &out.Members[i]
		*to = describe(p)
		to.Self = p.ID == v.Self
		wg.Go(func() {
			if h, ok := m.ask(ctx, p, to.Self); ok {
				to.Objects, to.HitRatio, to.VIP = &h.Objects, &h.HitRatio, h.VIP
				to.Connections, to.Tunnels, to.Drain = h.Connections, h.Tunnels, h.Drain
			}
		})
	}
	wg.Wait()
	return out
}

// ask asks a member how it is.
func (m membership) ask(ctx context.Context, p *peer.Member, self bool) (vitals, bool) {
	if self {
		return m.n.vitals(), true
	}
	if !p.State.Up() {
		return vitals{}, false
	}
	h, err := peer.CallJSON[vitals](ctx, m.n.cluster, p, pathVitals, struct{}{})
	return h, err == nil
}

func describe(p *peer.Member) admin.Member {
	d := admin.Member{
		Name: p.Name, ID: p.ID, Address: p.Addr.String(), Gossip: p.Gossip.String(), State: p.State.String(),
		Since: p.Since, Version: p.Version, Priority: int(p.Priority), Capacity: p.Capacity,
	}
	if at := p.Proxy(); at.IsValid() {
		d.Address = at.String()
	}
	if at := p.ICP(); at.IsValid() {
		d.ICP = at.String()
	}
	if !p.Started.IsZero() {
		d.Started = &p.Started
	}
	return d
}

// Join implements admin.Membership.
func (m membership) Join(ctx context.Context, j admin.Join) (admin.Members, error) {
	tok, err := peer.ParseToken(j.Token)
	if err != nil {
		return admin.Members{}, &admin.Error{Status: 400, Message: err.Error(), Hint: tokenHint}
	}
	v, err := m.n.cluster.Join(ctx, j.Address, tok)
	if err != nil {
		return admin.Members{}, explainCluster(err)
	}
	m.n.catchUp(ctx)
	return m.list(ctx, v), nil
}

const tokenHint = "print it anew with 'cachenode token' on a member"

// Leave implements admin.Membership.
func (m membership) Leave(context.Context) error { return explainCluster(m.n.cluster.Leave()) }

// Forget implements admin.Membership.
func (m membership) Forget(ctx context.Context, name string) error {
	return explainCluster(m.n.cluster.Forget(ctx, name))
}

// Token implements admin.Secrets.
func (m membership) Token() admin.ClusterToken {
	id := m.n.cluster.Identity()
	return admin.ClusterToken{Token: id.Token().Encode(), Cluster: id.Name, Address: m.n.cluster.Addr().String()}
}

// Keys implements admin.Secrets.
func (m membership) Keys() (list []admin.ClusterKey) {
	for _, k := range m.n.cluster.Keys() {
		list = append(list, admin.ClusterKey(k))
	}
	return list
}

// Rotate implements admin.Secrets.
func (m membership) Rotate(ctx context.Context, force bool) (admin.ClusterKey, error) {
	k, err := m.n.cluster.Rotate(ctx, force)
	return admin.ClusterKey(k), explainCluster(err)
}

// explainCluster takes what package peer says against a call into the words of
// the API.
func explainCluster(err error) error {
	if e, ok := errors.AsType[*peer.JoinError](err); ok {
		return &admin.Error{Status: e.Status(), Message: e.Error(), Hint: e.Hint()}
	}
	if e, ok := errors.AsType[*peer.AwayError](err); ok {
		return &admin.Error{
			Status: 409, Message: e.Error(),
			Hint: "wait until they are back, or take those that will not return out with 'cachenode forget NODE'; --force locks them out",
		}
	}
	if errors.Is(err, peer.ErrAlone) {
		return &admin.Error{Status: 409, Message: err.Error(), Hint: "'cachenode members' lists who is in a cluster"}
	}
	if e, ok := errors.AsType[*peer.CallError](err); ok {
		return &admin.Error{Status: e.Status, Message: e.Message, Hint: "'cachenode members' lists the nodes and their states"}
	}
	return err
}

// clusterState is the cluster in the status; nil when there is none.
func (n *Node) clusterState() *admin.ClusterState {
	if n.cluster == nil {
		return nil
	}
	v := n.cluster.View()
	return &admin.ClusterState{Name: v.Cluster, Gossip: n.cluster.Addr().String(), Nodes: n.memberCounts()}
}

// memberCounts are the nodes that are known, by state.
func (n *Node) memberCounts() map[string]int {
	counts := map[string]int{}
	v := n.cluster.View()
	for _, s := range peer.States() {
		counts[s.String()] = v.Count(s)
	}
	return counts
}
