package admin

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cachenode/cachenode/internal/metrics"
)

// busy is a node that has served something.
func busy(t *testing.T) *running {
	t.Helper()
	client := netip.MustParseAddrPort("10.0.0.5:4711")
	r := run(t, func(_ *Options, d *Deps) {
		d.Connections = func() []Connection {
			return []Connection{{ID: 7, Client: client, Local: netip.MustParseAddrPort("10.0.0.1:3128"), Requests: 2},
				{ID: 8, Client: client, Since: time.Now(), Tunnel: "example.com:443", BytesOut: 99}}
		}
		d.Requests = func() []Request {
			return []Request{{Connection: 7, Client: client, URL: "http://example.com/\nuri forged", BytesOut: 12, Since: time.Now().Add(-time.Second)}}
		}
		d.Neighbors = func() []Neighbor {
			return []Neighbor{{Name: "n2", Kind: "Sibling", Addr: netip.MustParseAddrPort("10.0.0.2:3128"), ICPPort: 3130, Up: true, Fetches: 5, RTT: 3 * time.Millisecond}}
		}
	})
	r.m.Attach(metrics.Sources{
		Cache: func() metrics.CacheStats {
			return metrics.CacheStats{Objects: 4, Bytes: 32 << 10, Capacity: 50 << 20, MemObjects: 2, MemBytes: 16 << 10, MemCapacity: 1 << 20, Writes: 6, Reads: 2}
		},
		ICP: func() metrics.ICPStats { return metrics.ICPStats{PktsSent: 11, BytesSent: 4096} },
	})
	for i := range 10 {
		s := &metrics.Sample{Client: client.Addr(), Method: "GET", Result: "TCP_MEM_HIT", Status: 200, Duration: 2 * time.Millisecond, BytesIn: 1024, BytesOut: 10 << 10}
		if i >= 4 {
			s.Result, s.Duration = "TCP_MISS", 100*time.Millisecond
			r.m.ObserveFetch(&metrics.Fetch{BytesIn: 10 << 10, BytesOut: 512})
		}
		r.m.Observe(s)
	}
	r.m.Observe(&metrics.Sample{Client: client.Addr(), Method: "GET", Result: "NONE_NONE", Status: 400, Failed: true})
	return r
}

func (r *running) page(t *testing.T, name string) string {
	t.Helper()
	a := r.get(t, managerPrefix+name)
	a.want(t, 200)
	if got := a.head.Get("Content-Type"); got != "text/plain;charset=utf-8" {
		t.Errorf("%s: type %s", name, got)
	}
	return a.body
}

func TestEveryPageIsThere(t *testing.T) {
	r := busy(t)
	menu := r.page(t, "menu")
	for name := range strings.FieldsSeq("menu info counters service_times 5min 60min client_list server_list storedir mem filedescriptors active_requests config") {
		if body := r.page(t, name); len(body) < 40 {
			t.Errorf("%s: %q", name, body)
		}
		if !regexp.MustCompile(`(?m)^ ` + name + ` +\t`).MatchString(menu) {
			t.Errorf("%s is not in the menu", name)
		}
	}
	r.get(t, managerPrefix+"shutdown").want(t, 404, "menu")
	r.do(t, "POST", managerPrefix+"info", "").want(t, 405)
	r.get(t, managerPrefix).want(t, 200, "counters")
}

// shape is a line without its values, and without what pads them.
func shape(line string) string {
	line = regexp.MustCompile(`\d+ ?(EB|GB|MB|KB)`).ReplaceAllString(line, "N KB")
	line = regexp.MustCompile(`(Mon|Tue|Wed|Thu|Fri|Sat|Sun), [0-9A-Za-z: ]+`).ReplaceAllString(line, "DATE")
	line = regexp.MustCompile(`-?\d+(\.\d+)?`).ReplaceAllString(line, "N")
	return regexp.MustCompile(` +`).ReplaceAllString(line, " ")
}

// TestLinesAreThoseOfSquid compares with pages of squid 5.7, line by line: the
// words, their order, units and the digits behind the point.
func TestLinesAreThoseOfSquid(t *testing.T) {
	own := map[string]bool{"Squid Object Cache": true, "Build Info": true, "Service Name": true}
	r := busy(t)
	for _, name := range []string{"info", "counters", "service_times", "5min"} {
		b, err := os.ReadFile("testdata/squid-5.7-" + name + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		want := strings.Split(strings.TrimSpace(string(b)), "\n")
		got := strings.Split(strings.TrimSpace(r.page(t, name)), "\n")
		if len(got) != len(want) {
			t.Errorf("%s has %d lines, squid's %d", name, len(got), len(want))
		}
		for i := range min(len(got), len(want)) {
			if key, _, _ := strings.Cut(want[i], ":"); own[key] {
				continue
			}
			if shape(got[i]) != shape(want[i]) || decimals(got[i]) != decimals(want[i]) {
				t.Errorf("%s line %d is %q, squid's %q", name, i+1, got[i], want[i])
			}
		}
	}
}

// decimals lists how many digits follow each point.
func decimals(line string) string {
	var out []int
	for _, m := range regexp.MustCompile(`\d\.(\d+)`).FindAllStringSubmatch(line, -1) {
		out = append(out, len(m[1]))
	}
	return fmt.Sprint(out)
}

func TestNumbersOfThePages(t *testing.T) {
	r := busy(t)
	tests := []struct {
		page string
		want []string
	}{
		{"counters", []string{
			"client_http.requests = 11\n", "client_http.hits = 4\n", "client_http.errors = 1\n", "client_http.kbytes_in = 10\n",
			"client_http.kbytes_out = 100\n", "client_http.hit_kbytes_out = 40\n",
			"server.all.requests = 6\n", "server.http.kbytes_in = 60\n", "server.http.kbytes_out = 3\n", "server.ftp.requests = 0\n",
			"icp.pkts_sent = 11\n", "icp.kbytes_sent = 4\n", "swap.outs = 6\n", "swap.ins = 2\n", "aborted_requests = 0\n",
		}},
		{"info", []string{
			"\tNumber of clients accessing cache:\t1\n", "\tNumber of HTTP requests received:\t11\n", "\tNumber of ICP messages sent:\t11\n",
			"\tHits as % of all requests:\t5min: 36.4%, 60min: 36.4%\n", "\tHits as % of bytes sent:\t5min: 40.0%, 60min: 40.0%\n",
			"\tMemory hits as % of hit requests:\t5min: 100.0%, 60min: 100.0%\n", "\tRequest failure ratio:\t 0.10\n",
			"\tStorage Swap size:\t32 KB\n", "\tStorage Swap capacity:\t 0.1% used, 99.9% free\n", "\tStorage Mem size:\t16 KB\n",
			"\tMean Object Size:\t8.00 KB\n", "\t     4 StoreEntries\n", "\t     2 StoreEntries with MemObjects\n",
		}},
		{"client_list", []string{
			"Address: 10.0.0.5\n", "Currently established connections: 2\n", "    HTTP Requests 11\n",
			"        TCP_MISS                   6  55%\n        TCP_MEM_HIT                4  36%\n        NONE_NONE                  1   9%\n",
			"HTTP: 11 Requests, 4 Hits ( 36%)\n",
		}},
		{"server_list", []string{"\nSibling    : n2\nHost       : 10.0.0.2/3128/3130\n", "Status     : Up\n", "AVG RTT    : 3 msec\n"}},
		{"active_requests", []string{
			"Connection: 0x7\n", "uri http://example.com/%0Auri%20forged\n", "out.offset 12, out.size 12\n", "seconds ago)\n", "username -\n",
			"Connection: 0x8\n", "uri example.com:443\nlogType TCP_TUNNEL\n",
		}},
		{"storedir", []string{"Store Entries          : 4\n", "Maximum Swap Size      : 51200 KB\n", "Percent Used: 0.06%\n"}},
		{"filedescriptors", []string{"Active file descriptors:\n", " Socket "}},
		{"config", []string{"token: REDACTED"}},
	}
	for _, tt := range tests {
		body := r.page(t, tt.page)
		for _, want := range tt.want {
			if !strings.Contains(body, want) {
				t.Errorf("%s: no %q in\n%s", tt.page, want, body)
			}
		}
	}
}

// TestServiceTimesAsExportersReadThem takes the page apart the way exporters
// do: the name before the colon, the percentile, the first number.
func TestServiceTimesAsExportersReadThem(t *testing.T) {
	r := busy(t)
	line := regexp.MustCompile(`^\t(.+): +(\d+)% +(\d+\.\d{5}) +(\d+\.\d{5})$`)
	got := make(map[string]float64)
	for l := range strings.Lines(r.page(t, "service_times")) {
		if m := line.FindStringSubmatch(strings.TrimSuffix(l, "\n")); m != nil {
			v, err := strconv.ParseFloat(m[3], 64)
			if err != nil {
				t.Fatal(err)
			}
			got[m[1]+" "+m[2]] = v
		}
	}
	if len(got) != 7*19 {
		t.Errorf("%d values", len(got))
	}
	if v := got["Cache Hits 50"]; v < 0.0018 || v > 0.0022 {
		t.Errorf("hits take %v s", v)
	}
	if v := got["Cache Misses 95"]; v < 0.09 || v > 0.11 {
		t.Errorf("misses take %v s", v)
	}
}

// TestManagerOnTheProxyPort asks as the proxy hands requests over.
func TestManagerOnTheProxyPort(t *testing.T) {
	r := busy(t)
	ask := func(target, remote, host string) *httptest.ResponseRecorder {
		req := httptest.NewRequest("GET", target, nil)
		req.RemoteAddr, req.Host = remote, host
		w := httptest.NewRecorder()
		r.Manager().ServeHTTP(w, req)
		return w
	}
	local := "127.0.0.1:5000"
	for target, want := range map[string]int{
		"/squid-internal-mgr/info":                      200,
		"http://localhost:3128/squid-internal-mgr/info": 200,
		"/squid-internal-mgr/nothing":                   404,
	} {
		if w := ask(target, local, "localhost:3128"); w.Code != want {
			t.Errorf("%s: %d", target, w.Code)
		}
	}
	for _, no := range []struct{ page, remote, host string }{
		{"info", "10.0.0.9:5000", "localhost:3128"},
		{"nothing", local, "evil.example:3128"},
		{"info", local, "evil.example:3128"},
		{"active_requests", "10.0.0.9:5000", "n1:3128"},
		{"info", "@", "localhost"},
	} {
		w := ask(managerPrefix+no.page, no.remote, no.host)
		if w.Code != http.StatusForbidden || !bytes.Contains(w.Body.Bytes(), []byte("403 forbidden: ")) {
			t.Errorf("%+v: %d %s", no, w.Code, w.Body)
		}
	}
}

func TestDescriptorsShowSockets(t *testing.T) {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skipf("no IPv6: %v", err)
	}
	defer l.Close()
	r := run(t, nil)
	if page := r.page(t, "filedescriptors"); !strings.Contains(page, "socket "+l.Addr().String()) || !strings.Contains(page, r.Addr().String()) {
		t.Errorf("no listener in\n%s", page)
	}
}
