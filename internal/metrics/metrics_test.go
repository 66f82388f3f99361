package metrics

import (
	"fmt"
	"math"
	"net/http/httptest"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func hit() *Sample {
	return &Sample{
		Client: netip.MustParseAddr("10.0.0.5"), Method: "GET", Result: "TCP_MEM_HIT", Status: 200,
		Duration: 800 * time.Microsecond, BytesIn: 100, BytesOut: 2000,
	}
}

func miss() *Sample {
	s := hit()
	s.Result, s.Duration, s.BytesOut = "TCP_MISS", 120*time.Millisecond, 6000
	return s
}

func TestPrometheusNames(t *testing.T) {
	m := New(Build{Version: "1.2.3", Revision: "abc"}, start)
	m.Attach(Sources{
		Cache:      func() CacheStats { return CacheStats{Objects: 7, Bytes: 700, Capacity: 1000, ReadOnly: true} },
		Proxy:      func() ProxyStats { return ProxyStats{Tunnels: 3} },
		Draining:   func() bool { return true },
		LogDropped: func() uint64 { return 4 },
	})
	m.Observe(hit())
	odd := miss()
	odd.Method, odd.Status, odd.Denied = "BREW", 0, "port"
	m.Observe(odd)
	m.ObserveFetch(&Fetch{BytesIn: 5000, BytesOut: 50})
	m.ObserveFetch(&Fetch{Tunnel: true, BytesIn: 10, Failed: true})

	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	body := w.Body.String()
	for _, want := range []string{
		`cachenode_build_info{goversion="go`,
		`cachenode_requests_total{code_class="2xx",method="GET",result="TCP_MEM_HIT"} 1`,
		`cachenode_requests_total{code_class="none",method="other",result="TCP_MISS"} 1`,
		`cachenode_request_duration_seconds_bucket{result="TCP_MEM_HIT",le="0.0005"} 0`,
		`cachenode_request_duration_seconds_bucket{result="TCP_MEM_HIT",le="0.001"} 1`,
		`cachenode_request_duration_seconds_sum{result="TCP_MISS"} 0.12`,
		`cachenode_client_bytes_total{direction="in"} 200`,
		`cachenode_client_bytes_total{direction="out"} 8000`,
		"cachenode_origin_bytes_total 5010",
		`cachenode_origin_errors_total{kind="tunnel"} 1`,
		`cachenode_denied_total{reason="port"} 1`,
		"cachenode_cache_objects 7", "cachenode_cache_bytes 700", "cachenode_cache_capacity_bytes 1000",
		"cachenode_cache_evictions_total 0", "cachenode_cache_corrupt_total 0", "cachenode_cache_missing_total 0", "cachenode_cache_readonly 1",
		"cachenode_draining 1", "cachenode_tunnels 3", "cachenode_access_log_dropped_total 4",
		"go_goroutines", "process_open_fds",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s", want)
		}
	}
}

// TestDocumentedNamesExist keeps docs/monitoring.md true.
func TestDocumentedNamesExist(t *testing.T) {
	doc, err := os.ReadFile("../../docs/monitoring.md")
	if err != nil {
		t.Fatal(err)
	}
	m := New(Build{}, start)
	m.Attach(Sources{
		LogDropped: func() uint64 { return 0 },
		Proxy: func() ProxyStats {
			return ProxyStats{Refused: map[string]uint64{"no-host": 1}, Closed: map[string]uint64{"idle": 1}}
		},
		ICP: func() ICPStats {
			return ICPStats{Sent: map[string]uint64{"HIT": 1}, Dropped: map[string]uint64{"stranger": 1}}
		},
		Peers: func() []PeerStats {
			return []PeerStats{{Name: "n2", RTT: time.Millisecond, Requests: map[string]uint64{"hit": 1}}}
		},
		Members:        func() map[string]int { return map[string]int{"alive": 1} },
		GossipRejected: func() map[string]uint64 { return map[string]uint64{"key": 1} },
		Invalidations:  func() map[string]uint64 { return map[string]uint64{"told": 1} },
		VIP:            func() VIPStats { return VIPStats{} },
	})
	s := hit()
	s.Denied = "rule"
	m.Observe(s)
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	have, documented := make(map[string]bool), make(map[string]bool)
	for _, f := range families {
		have[f.GetName()] = true
	}
	for _, row := range regexp.MustCompile("(?m)^\\| (`cachenode_.*?) \\|").FindAllStringSubmatch(string(doc), -1) {
		for _, name := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[1], -1) {
			full := strings.Replace(name[1], "…", "cachenode_cache", 1)
			documented[full] = true
			if !have[full] {
				t.Errorf("%s is documented, and not there", full)
			}
		}
	}
	for name := range have {
		if strings.HasPrefix(name, "cachenode_") && !documented[name] {
			t.Errorf("%s is not documented", name)
		}
	}
}

// collected counts the series of c.
func collected(c prometheus.Collector) int {
	ch := make(chan prometheus.Metric, 2*maxResults)
	c.Collect(ch)
	return len(ch)
}

func TestLabelsAreBounded(t *testing.T) {
	m := New(Build{}, start)
	for i := range maxResults + 100 {
		s := hit()
		s.Result, s.Denied = fmt.Sprintf("TCP_%d", i), fmt.Sprintf("reason%d", i)
		m.Observe(s)
	}
	if n := collected(m.requests); n != maxResults+1 {
		t.Errorf("%d results", n)
	}
	if n := collected(m.denied); n != maxDenied+1 {
		t.Errorf("%d reasons", n)
	}
}

func TestClassify(t *testing.T) {
	for result, want := range map[string]class{
		"TCP_MEM_HIT":               {hit: true, memHit: true, times: CacheHits},
		"TCP_HIT_ABORTED":           {hit: true, diskHit: true, aborted: true, times: CacheHits},
		"TCP_CF_MISS":               {times: CacheMisses},
		"TCP_MISS_TIMEDOUT":         {times: CacheMisses},
		"TCP_CF_HIT":                {hit: true, diskHit: true, times: CacheHits},
		"TCP_REFRESH_UNMODIFIED":    {hit: true, times: NearHits},
		"TCP_REFRESH_MODIFIED":      {times: CacheMisses},
		"TCP_REFRESH_FAIL_OLD":      {hit: true},
		"TCP_INM_HIT":               {hit: true, times: NotModified},
		"TCP_TUNNEL":                {},
		"TCP_DENIED":                {},
		"NONE_NONE":                 {},
		"":                          {},
		"TCP_MISS_TIMEDOUT_ABORTED": {aborted: true, times: CacheMisses},
	} {
		if got := classify(result); got != want {
			t.Errorf("%s: %+v, want %+v", result, got, want)
		}
	}
}

func TestWindowsRoll(t *testing.T) {
	m := New(Build{}, start)
	now := start
	for range 10 {
		m.Observe(hit())
		m.Observe(miss())
	}
	if w := m.Window(5, now.Add(10*time.Second)); w.Delta(Requests) != 20 || w.Rate(Requests) != 2 ||
		w.Percent(Hits, Requests) != 50 || w.Percent(HitBytesOut, BytesOut) != 25 || w.Percent(MemHits, Hits) != 100 {
		t.Errorf("first seconds: %d %v %v", w.Delta(Requests), w.Rate(Requests), w.Percent(Hits, Requests))
	}
	for range 6 {
		now = now.Add(time.Minute)
		m.Tick(now)
	}
	if w := m.Window(5, now); w.Delta(Requests) != 0 || w.Percent(Hits, Requests) != 0 || w.Quantile(AllRequests, 0.5) != 0 {
		t.Errorf("5 minutes later: %d", w.Delta(Requests))
	}
	if w := m.Window(60, now); w.Delta(Requests) != 20 || w.Start.Time != start {
		t.Errorf("the hour: %d since %s", w.Delta(Requests), w.Start.Time)
	}
	for range history {
		now = now.Add(time.Minute)
		m.Tick(now)
	}
	if w := m.Window(60, now); w.Delta(Requests) != 0 || w.Seconds() < 59*60 {
		t.Errorf("an hour later: %d in %v s", w.Delta(Requests), w.Seconds())
	}
	if w := m.Total(now); w.Delta(Requests) != 20 || w.Start.Time != start {
		t.Errorf("total: %d", w.Delta(Requests))
	}
}

func TestMedians(t *testing.T) {
	m := New(Build{}, start)
	for range 101 {
		m.Observe(hit())
		m.Observe(miss())
		m.Observe(miss())
	}
	m.ObserveTime(DNSLookups, 20*time.Millisecond)
	w := m.Window(5, start.Add(time.Second))
	near := func(st ServiceTime, want time.Duration) {
		t.Helper()
		if got := w.Quantile(st, 0.5); math.Abs(got.Seconds()/want.Seconds()-1) > 0.1 {
			t.Errorf("median %v, want about %v", got, want)
		}
	}
	near(AllRequests, 120*time.Millisecond)
	near(CacheHits, 800*time.Microsecond)
	near(CacheMisses, 120*time.Millisecond)
	near(DNSLookups, 20*time.Millisecond)
	if got := w.Quantile(NearHits, 0.5); got != 0 {
		t.Errorf("near hits %v", got)
	}
}

func TestGrid(t *testing.T) {
	for i, end := range cells.bounds {
		if got := cells.cell(time.Duration(end)); got != i {
			t.Fatalf("the end %d of cell %d is in cell %d", end, i, got)
		}
		if i+1 < len(cells.bounds) && cells.cell(time.Duration(end+1)) != i+1 {
			t.Fatalf("%d is not in cell %d", end+1, i+1)
		}
	}
	if got := cells.cell(math.MaxInt64); got != len(cells.bounds)-1 {
		t.Errorf("the longest is in cell %d", got)
	}
}

func TestNativeHistogram(t *testing.T) {
	h := newHistogram()
	durations := []time.Duration{-1, 0, time.Microsecond / 2, time.Second, time.Second, time.Second + 1, 5 * time.Minute, 1000 * time.Hour}
	for _, d := range durations {
		h.observe(d)
	}
	var out dto.Metric
	if err := (exported{h: h}).Write(&out); err != nil {
		t.Fatal(err)
	}
	got := make(map[int]int64)
	next, delta, n := 0, 0, int64(0)
	for _, span := range out.Histogram.GetPositiveSpan() {
		next += int(span.GetOffset())
		for range span.GetLength() {
			n += out.Histogram.GetPositiveDelta()[delta]
			got[next] = n
			next, delta = next+1, delta+1
		}
	}
	want := map[int]int64{0: 2, 1: 1, 66: 1, lastBucket: 1} // (2^-1/8, 1], (1, 2^1/8], …
	if fmt.Sprint(got) != fmt.Sprint(want) || out.Histogram.GetZeroCount() != 3 || out.Histogram.GetSampleCount() != 8 {
		t.Errorf("buckets %v, want %v; zero %d; count %d", got, want, out.Histogram.GetZeroCount(), out.Histogram.GetSampleCount())
	}
	for _, b := range out.Histogram.GetBucket() {
		if b.GetUpperBound() == 1 && b.GetCumulativeCount() != 5 || b.GetUpperBound() == 300 && b.GetCumulativeCount() != 7 {
			t.Errorf("le %v: %d", b.GetUpperBound(), b.GetCumulativeCount())
		}
	}
}

func TestClientTableIsBounded(t *testing.T) {
	m := New(Build{}, start)
	loyal := hit()
	loyal.Client = netip.MustParseAddr("::ffff:192.0.2.1")
	for i := range 40_000 {
		s := miss()
		s.Client = netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		m.Observe(s)
		if i%1000 == 0 {
			m.Tick(start)
			m.Observe(loyal)
		}
	}
	if n := m.ClientCount(); n > clientShards*clientsInShard || n < 1000 {
		t.Errorf("%d clients", n)
	}
	for _, c := range m.Clients() {
		if c.Addr == netip.MustParseAddr("192.0.2.1") {
			if c.Requests != 40 || c.Hits != 40 || len(c.Results) != 1 || c.Results[0] != (ResultCount{"TCP_MEM_HIT", 40}) {
				t.Errorf("%+v", c)
			}
			return
		}
	}
	t.Error("the client that kept asking was forgotten")
}

func TestConcurrentUse(t *testing.T) {
	m := New(Build{}, start)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 500 {
				s := hit()
				s.Result = []string{"TCP_MISS", "TCP_HIT", "TCP_MEM_HIT"}[(i+g)%3]
				s.Status = 100 * (i%6 + 1)
				m.Observe(s)
				if i%100 == 0 {
					m.Tick(start)
					m.Clients()
					_, _ = m.registry.Gather()
				}
			}
		})
	}
	wg.Wait()
	if n := m.Total(start).Delta(Requests); n != 2000 {
		t.Errorf("%d requests", n)
	}
}

func TestObserveDoesNotAllocate(t *testing.T) {
	m := New(Build{}, start)
	s := hit()
	m.Observe(s)
	if n := testing.AllocsPerRun(100, func() { m.Observe(s) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkObserve(b *testing.B) {
	m := New(Build{}, start)
	s := hit()
	b.ReportAllocs()
	for b.Loop() {
		m.Observe(s)
	}
}

func BenchmarkObserveParallel(b *testing.B) {
	m := New(Build{}, start)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		s := hit()
		for pb.Next() {
			m.Observe(s)
		}
	})
}
