package scenario

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// mixedLoad makes requests of every kind, several clients at a time, and
// returns how often each URL was asked for.
func mixedLoad(t *testing.T, n *node) (asked map[string]int) {
	t.Helper()
	o := newOrigin(t)
	library(o)
	o.page("/up", sums)
	o.page("/404", fields(404, "none"))
	o.page("/big", endless(20<<20, "Cache-Control: no-store"))
	o.page("/tagged", fresh("tagged", `ETag: "t"`))
	echo := server(t, func(c net.Conn) { _, _ = io.Copy(c, c) })
	dead := freePort(t)

	asked = map[string]int{}
	var mu sync.Mutex // guards asked
	count := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		asked[what]++
	}
	var clients sync.WaitGroup
	for k := range 4 {
		clients.Go(func() {
			c := n.client()
			defer c.CloseIdleConnections()
			do := func(method, target, body string, lines ...string) {
				count(method + " " + target)
				if _, err := ask(c, request(t, method, target, strings.NewReader(body), lines...)); err != nil {
					t.Error(err)
				}
			}
			for i := range 50 {
				do("GET", o.url(fmt.Sprintf("/%d", i)), "")
				do("GET", o.url(fmt.Sprintf("/own/%d/%d", k, i)), "")
				do("HEAD", o.url(fmt.Sprintf("/%d", i)), "")
			}
			for range 5 {
				do("POST", o.url("/up"), "some body")
				do("GET", o.url("/404"), "")
				do("GET", o.url("/tagged"), "", `If-None-Match: "t"`)
				do("GET", "http://"+dead+"/", "")
				do("GET", "http://169.254.169.254/", "")
				n.raw("GET ftp://127.0.0.1/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
				count("GET ftp://127.0.0.1/")
				do("GET", o.url("/q?a=%20b&c=%22"), "")

				tunnel, br := n.tunnel(echo)
				count("CONNECT " + echo)
				fmt.Fprint(tunnel, "ping")
				_, _ = io.ReadFull(br, make([]byte, 4)) // what matters is the log
				tunnel.Close()

				abort := n.dial()
				count("GET " + o.url("/big"))
				fmt.Fprintf(abort, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", o.url("/big"))
				_, _ = io.ReadFull(abort, make([]byte, 100))
				abort.Close()
			}
		})
	}
	clients.Wait()
	return asked
}

func total(asked map[string]int) (n int) {
	for _, k := range asked {
		n += k
	}
	return n
}

// Each request is one line of the log, and the metrics have the same sums.
func TestEachRequestIsLoggedOnce(t *testing.T) {
	t.Parallel()
	n := start(t)
	asked := mixedLoad(t, n)
	sum := total(asked)
	log := n.log(sum)
	eventually(t, "end of all requests", func() bool { return n.metrics("cachenode_active_requests") == 0 })

	logged, results, bytes := map[string]int{}, map[string]int{}, int64(0)
	for _, e := range log {
		logged[e.method+" "+e.url]++
		results[e.result]++
		bytes += e.bytes
		if e.client != "127.0.0.1" || e.elapsed < 0 {
			t.Errorf("log %+v", e)
		}
	}
	if len(log) != sum {
		t.Errorf("%d lines for %d requests", len(log), sum)
	}
	for what, times := range asked {
		if logged[what] != times {
			t.Errorf("%s was asked for %d times and logged %d times", what, times, logged[what])
		}
	}
	if got := n.metrics("cachenode_requests_total"); int(got) != sum {
		t.Errorf("cachenode_requests_total is %v, the log has %d", got, sum)
	}
	if got := n.metrics("cachenode_request_duration_seconds_count"); int(got) != sum {
		t.Errorf("cachenode_request_duration_seconds_count is %v, the log has %d", got, sum)
	}
	for result, lines := range results {
		if got := n.metrics("cachenode_requests_total", `result="`+result+`"`); int(got) != lines {
			t.Errorf("%s: metrics say %v, the log %d", result, got, lines)
		}
	}
	if got := n.metrics("cachenode_client_bytes_total", `direction="out"`); int64(got) != bytes {
		t.Errorf("cachenode_client_bytes_total is %v, the log has %d", got, bytes)
	}
	if denied := n.metrics("cachenode_denied_total"); int(denied) != results["TCP_DENIED"] {
		t.Errorf("cachenode_denied_total is %v, the log has %d", denied, results["TCP_DENIED"])
	}

	n.stop()
	if lines := len(n.logLines()); lines != sum {
		t.Errorf("after the stop %d lines for %d requests", lines, sum)
	}
	readByTools(t, n.logs, sum)
}

// readByTools has log analysers count the lines.
func readByTools(t *testing.T, logs string, lines int) {
	run := func(t *testing.T, program string, args ...string) string {
		t.Helper()
		c := exec.Command(wants(t, program), args...)
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", program, err, clip(string(out), 2000))
		}
		return string(out)
	}
	t.Run("goaccess", func(t *testing.T) {
		report := filepath.Join(t.TempDir(), "report.json")
		run(t, "goaccess", logs, "--no-global-config", "--no-progress", "-o", report,
			"--log-format=%x.%^ %~%L %h %^/%s %b %m %U %e %^ %^", "--datetime-format=%s", "--no-strict-status")
		b, err := os.ReadFile(report)
		must(t, err)
		var r struct {
			General struct {
				Valid  int `json:"valid_requests"`
				Failed int `json:"failed_requests"`
			} `json:"general"`
		}
		must(t, json.Unmarshal(b, &r))
		if r.General.Valid != lines || r.General.Failed != 0 {
			t.Errorf("it takes %d of %d lines and fails at %d", r.General.Valid, lines, r.General.Failed)
		}
	})
	t.Run("calamaris", func(t *testing.T) {
		out := run(t, "calamaris", "-a", logs)
		for re, want := range map[string]int{`lines parsed:\s+lines\s+(\d+)`: lines, `invalid lines:\s+lines\s+(\d+)`: 0} {
			if m := regexp.MustCompile(re).FindStringSubmatch(out); m == nil || m[1] != strconv.Itoa(want) {
				t.Errorf("%s: %v, want %d", re, m, want)
			}
		}
	})
	t.Run("sarg", func(t *testing.T) {
		dir := t.TempDir()
		must(t, os.WriteFile(dir+"/sarg.conf", nil, 0o600))
		must(t, os.Mkdir(dir+"/tmp", 0o700))
		out := run(t, "sarg", "-x", "-f", dir+"/sarg.conf", "-l", logs, "-o", dir+"/out", "-w", dir+"/tmp")
		m := regexp.MustCompile(`Records read: (\d+)`).FindStringSubmatch(out)
		if m == nil || m[1] != strconv.Itoa(lines) || strings.Contains(out, "corrupted") {
			t.Errorf("it reads %v of %d lines", m, lines)
		}
	})
}

// Squid's manager pages answer on the proxy port, where squid's tools ask.
func TestManagerPages(t *testing.T) {
	t.Parallel()
	n, o := start(t), newOrigin(t)
	library(o)
	n.fill(o, 20)
	n.fill(o, 20)
	page := func(name string) string {
		t.Helper()
		out, code := curl(t, "http://"+n.proxy+"/squid-internal-mgr/"+name)
		if code != 0 {
			t.Errorf("%s: curl ends with %d", name, code)
		}
		return out
	}
	wantIn(t, page("menu"), "info", "counters", "service_times")
	info := page("info")
	for _, want := range []string{`Number of HTTP requests received:\t4\d\n`, `\tHits as % of all requests:\t5min: (50\.0|4\d\.\d)%, 60min: `, `\tMean Object Size:`, `UP Time:`} {
		if !regexp.MustCompile(want).MatchString(info) {
			t.Errorf("no %s in\n%s", want, info)
		}
	}
	counters := page("counters")
	wantIn(t, counters, "client_http.requests = 4", "client_http.hits = 20\n", "server.http.requests = 20\n", "aborted_requests = 0\n")
	for line := range strings.Lines(counters) {
		if !regexp.MustCompile(`^[a-z0-9_.]+ = -?[0-9.]+( \(.*\))?\n$`).MatchString(line) && !strings.HasPrefix(line, "sample_time") {
			t.Errorf("counters has the line %q", line)
		}
	}
	wantIn(t, page("service_times"), "HTTP Requests (All):", "50%")
	for _, name := range []string{"5min", "60min", "client_list", "storedir", "mem", "filedescriptors", "active_requests", "config"} {
		if out := page(name); out == "" || strings.Contains(out, "404 Not Found") {
			t.Errorf("%s answers %q", name, clip(out, 200))
		}
	}
	for _, e := range n.log(40) {
		if strings.Contains(e.url, "squid-internal-mgr") && e.hier != "HIER_NONE/-" {
			t.Errorf("log %+v", e)
		}
	}
}

// The admin address answers programs of this machine, not pages of other sites.
func TestAdminGuard(t *testing.T) {
	t.Parallel()
	n := start(t)
	base := "http://" + n.admin
	for _, c := range []struct {
		name, path string
		status     int
		lines      []string
	}{
		{"probe", "/readyz", 200, nil},
		{"metrics", "/metrics", 200, nil},
		{"foreign host", "/metrics", 403, []string{"Host: evil.test"}},
		{"foreign host with its port", "/livez", 403, []string{"Host: rebound.test:3180"}},
		{"other site by metadata", "/metrics", 403, []string{"Sec-Fetch-Site: cross-site"}},
		{"other site by origin", "/metrics", 403, []string{"Origin: http://evil.test"}},
		{"api without token", "/api/v1/status", 403, nil},
		{"api with a wrong token", "/api/v1/status", 403, []string{"Authorization: Bearer wrong-token-wrong-token"}},
		{"profile without token", "/debug/pprof/heap", 403, nil},
	} {
		if r := fetch(t, base+c.path, c.lines...); r.StatusCode != c.status {
			t.Errorf("%s: %s, want %d", c.name, r.Status, c.status)
		}
	}
	r, err := http.PostForm(base+"/api/v1/purge", url.Values{"all": {"true"}})
	must(t, err)
	r.Body.Close()
	if r.StatusCode != http.StatusForbidden {
		t.Errorf("a form of another page purges: %s", r.Status)
	}
	if r := n.api("/api/v1/status"); r.StatusCode != http.StatusOK {
		t.Errorf("api with the token: %s", r.Status)
	}
	if code, out := n.command("status"); code != 0 || !strings.Contains(out, "serving") {
		t.Errorf("status over the socket: %d %s", code, out)
	}
}
