package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// scrape is the collector of everything that is read when asked for.
type scrape struct {
	m     *Metrics
	descs descs

	siblings siblingDescs
}

// descs are the metrics without labels of their own, and those by direction or
// kind.
type descs struct {
	clientBytes, originBytes, originRequests, originErrors *prometheus.Desc
	objects, bytes, capacity                               *prometheus.Desc
	memObjects, memBytes, memCapacity                      *prometheus.Desc
	evictions, corrupt, missing, readOnly                  *prometheus.Desc
	connections, active, tunnels                           *prometheus.Desc
	accepted, refused, closed                              *prometheus.Desc
	draining, logDropped, lookups                          *prometheus.Desc
	members, gossipRejected, invalidations                 *prometheus.Desc
	vipHolder, vipTransitions                              *prometheus.Desc
}

func newDescs() descs {
	d := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("cachenode_"+name, help, labels, nil)
	}
	return descs{
		clientBytes:    d("client_bytes_total", "Bytes exchanged with clients, heads included.", "direction"),
		originBytes:    d("origin_bytes_total", "Bytes received from origins, parents and through tunnels, heads included."),
		originRequests: d("origin_requests_total", "Requests sent to origins and parents, and tunnels opened.", "kind"),
		originErrors:   d("origin_errors_total", "Requests to origins and parents, and tunnels, that failed.", "kind"),
		objects:        d("cache_objects", "Objects in the store."),
		bytes:          d("cache_bytes", "Bytes in the store: on disk, or in memory when there is no disk tier."),
		capacity:       d("cache_capacity_bytes", "Bytes that the store may hold."),
		memObjects:     d("cache_memory_objects", "Objects in the memory tier."),
		memBytes:       d("cache_memory_bytes", "Bytes in the memory tier."),
		memCapacity:    d("cache_memory_capacity_bytes", "Bytes that the memory tier may hold."),
		evictions:      d("cache_evictions_total", "Objects dropped to make room."),
		corrupt:        d("cache_corrupt_total", "Objects dropped because their stored bytes were damaged."),
		missing:        d("cache_missing_total", "Objects dropped because the file of their body was missing or cut off."),
		readOnly:       d("cache_readonly", "1 while nothing can be stored (disk full or failing)."),
		connections:    d("client_connections", "Open client connections."),
		accepted:       d("client_connections_total", "Connections of clients that were accepted."),
		refused:        d("client_refused_total", "Requests that were refused before anybody looked at what they ask for.", "reason"),
		closed:         d("client_closed_total", "Connections of clients that a limit has ended.", "reason"),
		active:         d("active_requests", "Requests being served, tunnels not included."),
		tunnels:        d("tunnels", "Open CONNECT and upgrade tunnels."),
		draining:       d("draining", "1 while the node drains."),
		logDropped:     d("access_log_dropped_total", "Access log lines lost because the log could not be written."),
		members:        d("members", "Nodes of the cluster that this one knows, itself included.", "state"),
		gossipRejected: d("gossip_rejected_total", "Datagrams and streams that the port of gossip turned away.", "reason"),
		invalidations:  d("invalidations_total", "URLs that unsafe requests made invalid, by what became of the news of it: told, heard, dropped; failed counts batches that a member did not take.", "kind"),
		vipHolder:      d("vip_holder", "1 while this node holds the virtual IP."),
		vipTransitions: d("vip_transitions_total", "Times this node took the virtual IP."),
		lookups:        d("lookup_duration_seconds", "Time of look-ups the node waited for, by kind: dns, icp.", "kind"),
	}
}

// Describe implements prometheus.Collector. Nothing is described ahead: which
// results there are shows only in operation.
func (c *scrape) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c *scrape) Collect(ch chan<- prometheus.Metric) {
	c.collectTraffic(ch)
	c.collectLatency(ch)
	src := c.m.sources.Load()
	c.collectCache(ch, src.cache())
	p := src.proxy()
	c.collectSiblings(ch, src)
	c.collectClients(ch, &p)
	gauge(ch, c.descs.draining, truth(src.Draining != nil && src.Draining()))
	if src.LogDropped != nil {
		counter(ch, c.descs.logDropped, float64(src.LogDropped()))
	}
	c.collectCluster(ch, src)
}

func (c *scrape) collectClients(ch chan<- prometheus.Metric, p *ProxyStats) {
	gauge(ch, c.descs.connections, float64(p.Connections))
	gauge(ch, c.descs.active, float64(p.Requests))
	gauge(ch, c.descs.tunnels, float64(p.Tunnels))
	counter(ch, c.descs.accepted, float64(p.Accepted))
	for reason, n := range p.Refused {
		counter(ch, c.descs.refused, float64(n), reason)
	}
	for reason, n := range p.Closed {
		counter(ch, c.descs.closed, float64(n), reason)
	}
}

func (c *scrape) collectCluster(ch chan<- prometheus.Metric, src *Sources) {
	if src.VIP != nil {
		v := src.VIP()
		gauge(ch, c.descs.vipHolder, truth(v.Holder))
		counter(ch, c.descs.vipTransitions, float64(v.Transitions))
	}
	if src.Members != nil {
		for state, n := range src.Members() {
			gauge(ch, c.descs.members, float64(n), state)
		}
	}
	if src.Invalidations != nil {
		for kind, n := range src.Invalidations() {
			counter(ch, c.descs.invalidations, float64(n), kind)
		}
	}
	if src.GossipRejected != nil {
		for reason, n := range src.GossipRejected() {
			counter(ch, c.descs.gossipRejected, float64(n), reason)
		}
	}
}

func (c *scrape) collectTraffic(ch chan<- prometheus.Metric) {
	get := func(n Counter) float64 { return float64(c.m.totals[n].Load()) }
	counter(ch, c.descs.clientBytes, get(BytesIn), "in")
	counter(ch, c.descs.clientBytes, get(BytesOut), "out")
	counter(ch, c.descs.originBytes, get(HTTPBytesIn)+get(OtherBytesIn))
	counter(ch, c.descs.originRequests, get(HTTPRequests), "http")
	counter(ch, c.descs.originRequests, get(OtherRequests), "tunnel")
	counter(ch, c.descs.originErrors, get(HTTPErrors), "http")
	counter(ch, c.descs.originErrors, get(OtherErrors), "tunnel")
}

func (c *scrape) collectLatency(ch chan<- prometheus.Metric) {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	for name, r := range c.m.results {
		ch <- exported{desc: c.m.latency, h: r.latency, labels: label("result", name)}
	}
	ch <- exported{desc: c.descs.lookups, h: c.m.times[DNSLookups], labels: label("kind", "dns")}
	ch <- exported{desc: c.descs.lookups, h: c.m.times[ICPQueries], labels: label("kind", "icp")}
}

func (c *scrape) collectCache(ch chan<- prometheus.Metric, s CacheStats) {
	bytes, capacity := s.Bytes, s.Capacity
	if capacity == 0 {
		bytes, capacity = s.MemBytes, s.MemCapacity
	}
	gauge(ch, c.descs.objects, float64(s.Objects))
	gauge(ch, c.descs.bytes, float64(bytes))
	gauge(ch, c.descs.capacity, float64(capacity))
	gauge(ch, c.descs.memObjects, float64(s.MemObjects))
	gauge(ch, c.descs.memBytes, float64(s.MemBytes))
	gauge(ch, c.descs.memCapacity, float64(s.MemCapacity))
	counter(ch, c.descs.evictions, float64(s.Evictions))
	counter(ch, c.descs.corrupt, float64(s.Corrupt))
	counter(ch, c.descs.missing, float64(s.Missing))
	gauge(ch, c.descs.readOnly, truth(s.ReadOnly))
}

func gauge(ch chan<- prometheus.Metric, d *prometheus.Desc, v float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func counter(ch chan<- prometheus.Metric, d *prometheus.Desc, v float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
}

func label(name, value string) []*dto.LabelPair {
	return []*dto.LabelPair{{Name: &name, Value: &value}}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
