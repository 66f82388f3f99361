// Package metrics counts what the node does and shows it: to Prometheus, and as
// totals and rolling windows for the manager pages. It knows nothing of how a
// request is served, nor of the log; it is told once per finished request.
package metrics

import (
	"context"
	"maps"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Build says what is running.
type Build struct {
	Version  string
	Revision string
}

// maxResults bounds the result labels; squid's codes are far fewer.
const maxResults = 512

// maxDenied bounds the reason labels.
const maxDenied = 64

// Metrics is the set of all numbers of one node. All methods may be called from
// many goroutines.
type Metrics struct {
	start    time.Time
	registry *prometheus.Registry
	sources  atomic.Pointer[Sources]

	requests *prometheus.CounterVec
	denied   *prometheus.CounterVec
	latency  *prometheus.Desc

	series  atomic.Pointer[map[seriesKey]*series] // replaced, never changed
	mu      sync.Mutex                            // guards the growing of series, results and reasons
	results map[string]*result
	reasons map[string]bool

	totals  totals
	times   [numTimes]*histogram
	ring    ring
	clients *clientTable
}

// seriesKey selects the counters of one kind of request.
type seriesKey struct {
	result       string
	method, code uint8
}

// series are the counters of one kind of request, found once.
type series struct {
	requests prometheus.Counter
	result   *result
}

// result is what requests with one result code share.
type result struct {
	name    string
	class   class
	latency *histogram
}

// New returns metrics that count from now on.
func New(b Build, now time.Time) *Metrics {
	m := &Metrics{
		start:    now,
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "cachenode_requests_total",
			Help: "Requests answered, by squid result code, method and class of the status code.",
		}, []string{"result", "method", "code_class"}),
		denied: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "cachenode_denied_total",
			Help: "Requests refused by the rules, by reason.",
		}, []string{"reason"}),
		latency: prometheus.NewDesc("cachenode_request_duration_seconds",
			"Time from a request's first byte to the last byte of its answer.", []string{"result"}, nil),
		results: make(map[string]*result),
		reasons: make(map[string]bool),
		clients: newClientTable(),
	}
	m.sources.Store(&Sources{})
	m.series.Store(&map[seriesKey]*series{})
	for t := range m.times {
		m.times[t] = newHistogram()
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "cachenode_build_info", Help: "Always 1; the labels say what is running.",
		ConstLabels: prometheus.Labels{"version": b.Version, "revision": b.Revision, "goversion": runtime.Version()},
	})
	build.Set(1)
	m.registry.MustRegister(build, m.requests, m.denied, &scrape{m: m, descs: newDescs(), siblings: newSiblingDescs()},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.ring.put(m.Snapshot(now))
	return m
}

// Attach sets where the numbers of other parts are read.
func (m *Metrics) Attach(s Sources) { m.sources.Store(&s) }

// Register adds collectors of other parts.
func (m *Metrics) Register(c ...prometheus.Collector) error {
	for _, one := range c {
		if err := m.registry.Register(one); err != nil {
			return err
		}
	}
	return nil
}

// Handler serves the metrics to Prometheus.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		Registry: m.registry, MaxRequestsInFlight: 8, Timeout: 30 * time.Second,
	})
}

// Observe counts a finished request. It does not keep s and, once a kind of
// request has been seen, allocates nothing.
func (m *Metrics) Observe(s *Sample) {
	key := seriesKey{result: s.Result, method: methodIndex(s.Method), code: codeIndex(s.Status)}
	one, ok := (*m.series.Load())[key]
	if !ok {
		one = m.addSeries(key)
	}
	one.requests.Inc()
	cell, c := cells.cell(s.Duration), one.result.class
	one.result.latency.observeIn(cell, s.Duration)
	m.times[AllRequests].observeIn(cell, s.Duration)
	if c.times != AllRequests {
		m.times[c.times].observeIn(cell, s.Duration)
	}
	m.totals.countSample(s, c)
	if s.Denied != "" {
		m.countDenied(s.Denied)
	}
	m.clients.count(s, one.result)
}

// ObserveFetch counts a finished exchange with a server.
func (m *Metrics) ObserveFetch(f *Fetch) { m.totals.countFetch(f) }

// ObserveTime counts a duration that is not a request's: DNSLookups or
// ICPQueries.
func (m *Metrics) ObserveTime(t ServiceTime, d time.Duration) { m.times[t].observe(d) }

// addSeries finds or makes the counters of key and publishes them.
func (m *Metrics) addSeries(key seriesKey) *series {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := *m.series.Load()
	if one, ok := old[key]; ok {
		return one
	}
	if m.results[key.result] == nil && len(m.results) >= maxResults {
		key.result = "other"
		if one, ok := old[key]; ok {
			return one
		}
	}
	r := m.results[key.result]
	if r == nil {
		r = &result{name: key.result, class: classify(key.result), latency: newHistogram()}
		m.results[key.result] = r
	}
	one := &series{
		requests: m.requests.WithLabelValues(key.result, methods[key.method], codeClasses[key.code]),
		result:   r,
	}
	grown := maps.Clone(old)
	grown[key] = one
	m.series.Store(&grown)
	return one
}

// countDenied is off the hot path: a refusal is rare, or an attack that costs
// us little.
func (m *Metrics) countDenied(reason string) {
	m.mu.Lock()
	if !m.reasons[reason] && len(m.reasons) >= maxDenied {
		reason = "other"
	}
	m.reasons[reason] = true
	m.mu.Unlock()
	m.denied.WithLabelValues(reason).Inc()
}

// Start is when the counting began.
func (m *Metrics) Start() time.Time { return m.start }

// Proxy returns the proxy's numbers of this moment.
func (m *Metrics) Proxy() ProxyStats { return m.sources.Load().proxy() }

// Snapshot reads all totals.
func (m *Metrics) Snapshot(now time.Time) *Snapshot {
	src := m.sources.Load()
	s := &Snapshot{Time: now, Cache: src.cache(), ICP: src.icp(), Usage: ReadUsage()}
	for i := range s.Counters {
		s.Counters[i] = m.totals[i].Load()
	}
	room := make(tally, int(numTimes)*len(cells.bounds))
	for i, h := range m.times {
		s.times[i] = room[i*len(cells.bounds):][:len(cells.bounds):len(cells.bounds)]
		s.times[i].add(h)
	}
	return s
}

// Window returns the last minutes (up to 60), as far back as counting goes.
func (m *Metrics) Window(minutes int, now time.Time) Window {
	return Window{Start: m.ring.back(minutes), End: m.Snapshot(now)}
}

// Total returns the window since the start.
func (m *Metrics) Total(now time.Time) Window {
	return Window{Start: m.zero(), End: m.Snapshot(now)}
}

func (m *Metrics) zero() *Snapshot {
	s := &Snapshot{Time: m.start}
	for i := range s.times {
		s.times[i] = make(tally, len(cells.bounds))
	}
	return s
}

// Tick closes a minute of the windows. Run calls it.
func (m *Metrics) Tick(now time.Time) {
	m.ring.put(m.Snapshot(now))
	m.clients.tick()
}

// Run keeps the windows rolling until ctx ends.
func (m *Metrics) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			m.Tick(now)
		}
	}
}
