package admin

import (
	"net/netip"
	"time"

	"github.com/cachenode/cachenode/internal/metrics"
)

// Status is the state of a node. The node fills in the first part, this package
// the traffic and the store.
type Status struct {
	Name       string        `json:"name"`
	Version    string        `json:"version"`
	Revision   string        `json:"revision,omitempty"`
	PID        int           `json:"pid"`
	Started    time.Time     `json:"started"`
	State      string        `json:"state"`       // starting, serving, draining, drained, stopping
	Listen     []string      `json:"listen"`      // proxy addresses
	Admin      string        `json:"admin"`       // TCP address, empty: none
	DataDir    string        `json:"data_dir"`    // where the store is
	ConfigFile string        `json:"config_file"` // empty: defaults
	LastReload *ReloadStatus `json:"last_reload"` // null: never reloaded
	Cluster    *ClusterState `json:"cluster"`     // null: standalone
	Drain      *Drain        `json:"drain"`       // null: it does not drain
	Warnings   []string      `json:"warnings"`    // what the operator should know, for example why the store is read-only

	UptimeSeconds float64 `json:"uptime_seconds"`
	Connections   int64   `json:"connections"` // open client connections
	Active        int64   `json:"active_requests"`
	Tunnels       int64   `json:"tunnels"`
	Clients       int     `json:"clients"` // addresses seen

	Objects  int64 `json:"objects"`
	Memory   Tier  `json:"memory"`
	Disk     Tier  `json:"disk"`
	ReadOnly bool  `json:"readonly"`

	Total   Traffic `json:"total"`
	Last5m  Traffic `json:"last_5m"`
	Last60m Traffic `json:"last_60m"`
}

// ClusterState is the cluster in short.
type ClusterState struct {
	Name   string         `json:"name"`
	Gossip string         `json:"gossip"` // where this node is in it
	Nodes  map[string]int `json:"nodes"`  // by state
}

// ReloadStatus is how the last reload went.
type ReloadStatus struct {
	Time  time.Time `json:"time"`
	Error string    `json:"error,omitempty"`
}

// Tier is how full one tier of the store is.
type Tier struct {
	Objects  int64 `json:"objects,omitempty"`
	Bytes    int64 `json:"bytes"`
	Capacity int64 `json:"capacity_bytes"` // 0: the tier is off
}

// Traffic is what happened in a window of time. Ratios are between 0 and 1.
type Traffic struct {
	Seconds           float64 `json:"seconds"`
	Requests          int64   `json:"requests"`
	RequestsPerSecond float64 `json:"requests_per_second"`
	Errors            int64   `json:"errors"`
	HitRatio          float64 `json:"hit_ratio"`
	ByteHitRatio      float64 `json:"byte_hit_ratio"`
	BytesIn           int64   `json:"bytes_in"`
	BytesOut          int64   `json:"bytes_out"`
	MedianSeconds     float64 `json:"median_seconds"`
	MedianHitSeconds  float64 `json:"median_hit_seconds"`
	MedianMissSeconds float64 `json:"median_miss_seconds"`
}

// Connection is an open client connection or tunnel.
type Connection struct {
	ID       uint64         `json:"id"`
	Client   netip.AddrPort `json:"client"`
	Local    netip.AddrPort `json:"local"`
	Since    time.Time      `json:"since"`
	State    string         `json:"state,omitempty"` // idle, head, body, response or closing
	Requests int64          `json:"requests"`
	Tunnel   string         `json:"tunnel,omitempty"` // host:port, empty: no tunnel
	BytesIn  int64          `json:"bytes_in"`
	BytesOut int64          `json:"bytes_out"`
}

// Request is a request that is being served.
type Request struct {
	ID         string         `json:"id"`
	Client     netip.AddrPort `json:"client"`
	Local      netip.AddrPort `json:"local"`
	Connection uint64         `json:"connection"`
	Since      time.Time      `json:"since"`
	Method     string         `json:"method"`
	URL        string         `json:"url"` // without userinfo
	User       string         `json:"user,omitempty"`
	Result     string         `json:"result,omitempty"` // squid's result code as far as it is known
	BytesIn    int64          `json:"bytes_in"`
	BytesOut   int64          `json:"bytes_out"`
}

// Neighbor is a parent proxy or a peer, for the manager page server_list.
type Neighbor struct {
	Name      string
	Kind      string // Parent, Sibling
	Addr      netip.AddrPort
	ICPPort   uint16 // 0: not asked by ICP
	Flags     string
	Up        bool
	Fetches   int64
	OpenConns int64
	RTT       time.Duration
	LastFail  time.Time // zero: never
}

// Status is what a call for it answers now.
func (s *Server) Status() Status { return s.fullStatus(time.Now()) }

// fullStatus adds to the node's words what the metrics know.
func (s *Server) fullStatus(now time.Time) Status {
	st := s.deps.Node.Status()
	m := s.deps.Metrics
	p := m.Proxy()
	st.Listen, st.Warnings = list(st.Listen), list(st.Warnings)
	st.UptimeSeconds = now.Sub(m.Start()).Seconds()
	st.Connections, st.Active, st.Tunnels = p.Connections, p.Requests, p.Tunnels
	st.Clients = m.ClientCount()
	total := m.Total(now)
	c := total.End.Cache
	st.Objects, st.ReadOnly = c.Objects, c.ReadOnly
	st.Memory = Tier{Objects: c.MemObjects, Bytes: c.MemBytes, Capacity: c.MemCapacity}
	st.Disk = Tier{Bytes: c.Bytes, Capacity: c.Capacity}
	st.Total = traffic(total)
	st.Last5m = traffic(m.Window(5, now))
	st.Last60m = traffic(m.Window(60, now))
	return st
}

// list is v, [] in JSON when it is empty, not null.
func list[T any](v []T) []T {
	if v == nil {
		return []T{}
	}
	return v
}

func traffic(w metrics.Window) Traffic {
	return Traffic{
		Seconds:           w.Seconds(),
		Requests:          w.Delta(metrics.Requests),
		RequestsPerSecond: w.Rate(metrics.Requests),
		Errors:            w.Delta(metrics.Errors),
		HitRatio:          w.Percent(metrics.Hits, metrics.Requests) / 100,
		ByteHitRatio:      w.Percent(metrics.HitBytesOut, metrics.BytesOut) / 100,
		BytesIn:           w.Delta(metrics.BytesIn),
		BytesOut:          w.Delta(metrics.BytesOut),
		MedianSeconds:     w.Quantile(metrics.AllRequests, 0.5).Seconds(),
		MedianHitSeconds:  w.Quantile(metrics.CacheHits, 0.5).Seconds(),
		MedianMissSeconds: w.Quantile(metrics.CacheMisses, 0.5).Seconds(),
	}
}
