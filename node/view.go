package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/cachenode/cachenode/accesslog"
	"github.com/cachenode/cachenode/admin"
	"github.com/cachenode/cachenode/internal/metrics"
	"github.com/cachenode/cachenode/internal/strictyaml"
)

// view is the node as the admin interface sees it.
type view struct{ n *Node }

func (v view) Status() admin.Status {
	n := v.n
	o := n.Options()
	st := admin.Status{
		Name: o.Name, Version: n.d.Version, PID: os.Getpid(), Started: n.started,
		State: n.stateName(), DataDir: o.Data, ConfigFile: n.d.ConfigFile,
		LastReload: n.lastReload.Load(), Warnings: o.Warnings(), Cluster: n.clusterState(),
		Drain: n.drainer.shown(),
	}
	if n.cluster != nil {
		st.Warnings = append(st.Warnings, n.cluster.Warnings()...)
	}
	for _, a := range n.Addrs() {
		st.Listen = append(st.Listen, a.String())
	}
	if a := n.admin.Addr(); a != nil {
		st.Admin = a.String()
	}
	stats := n.cacheStats()
	if stats.ReadOnly {
		st.Warnings = append(st.Warnings, "the store is read-only: its file system is full or failing; requests are served without storing")
	}
	if stats.Missing > 0 {
		st.Warnings = append(st.Warnings, fmt.Sprintf("%d stored objects were lost: their files are missing or cut off; they are fetched again", stats.Missing))
	}
	if lost := n.records.dropped(); lost > 0 {
		st.Warnings = append(st.Warnings, "lines of the access log were lost: its file system is full, failing or too slow")
	}
	return st
}

func (n *Node) stateName() string {
	switch {
	case n.Stopping():
		return "stopping"
	case n.drainer.now.Load().phase == draining:
		return "draining"
	case n.drainer.now.Load().phase == drained:
		return "drained"
	case n.serving.Load():
		return "serving"
	}
	return "starting"
}

// ready says why the node should get no new clients; nil: it should.
func (n *Node) ready() error {
	if state := n.stateName(); state != "serving" {
		return errors.New("the node is " + state)
	}
	return nil
}

func (v view) Config() []byte {
	return []byte(strictyaml.Print(v.n.Options(), strictyaml.Style{}))
}

func (v view) Reload(context.Context) (admin.ReloadResult, error) { return v.n.Reload() }

// record takes the entry of a finished request to the log and the numbers.
func (n *Node) record(e *accesslog.Entry) {
	n.records.write(e)
	result := e.Result.String()
	n.metrics.Observe(&metrics.Sample{
		Client: e.Client, Method: e.Method, Result: result, Status: e.Status, Duration: e.Duration,
		BytesIn: e.BytesIn, BytesOut: e.BytesOut, Denied: e.Denied, Failed: e.ProxyError != "",
	})
	if e.Hier != accesslog.HierNone && !e.Result.Collapsed {
		n.metrics.ObserveFetch(&metrics.Fetch{
			Tunnel:  e.Result.Tag == accesslog.TagTunnel,
			BytesIn: e.BytesOut, BytesOut: e.BytesIn, Failed: e.ProxyError != "",
		})
	}
}

func (n *Node) sources() metrics.Sources {
	s := metrics.Sources{
		Cache:      n.cacheStats,
		Proxy:      n.proxyStats,
		ICP:        n.siblings.icpStats,
		Peers:      n.siblings.peerStats,
		Draining:   n.Draining,
		LogDropped: func() uint64 { return n.records.dropped() },
	}
	if n.cluster != nil {
		s.Members, s.GossipRejected = n.memberCounts, n.cluster.Rejected
		s.Invalidations = n.invalidations
	}
	s.VIP = n.vip.stats
	return s
}

func (n *Node) proxyStats() metrics.ProxyStats {
	s := n.proxy.Stats()
	tunnels := int64(s.Tunnels.Active)
	c := n.server.Stats()
	return metrics.ProxyStats{
		Connections: c.Open, Requests: int64(s.Active) - tunnels, Tunnels: tunnels,
		Accepted: uint64(c.Accepted), Refused: c.Refused,
		Closed: map[string]uint64{
			"turned_away": uint64(c.TurnedAway), "idle": uint64(c.IdleClosed), "stuck": uint64(c.WriteStuck), "slow_body": uint64(c.BodySlow),
		},
	}
}

// requests lists what is being answered.
func (n *Node) requests() []admin.Request {
	active := n.proxy.ActiveRequests()
	list := make([]admin.Request, 0, len(active))
	for _, r := range active {
		list = append(list, admin.Request{ID: r.ID, Client: r.Client, Since: r.Started, Method: r.Method, URL: r.URL})
	}
	return list
}

// checks are what the probes of the admin interface ask.
func (n *Node) checks() []admin.Check {
	return []admin.Check{
		{Name: "proxy", Live: true, Run: func(ctx context.Context) error { return n.check(ctx, time.Second) }},
	}
}
