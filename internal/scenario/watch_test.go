package scenario

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// fetch asks an address itself, not through a proxy.
func fetch(t testing.TB, target string, lines ...string) *reply {
	t.Helper()
	tr := &http.Transport{DisableCompression: true}
	defer tr.CloseIdleConnections()
	q := request(t, http.MethodGet, target, nil, lines...)
	for _, l := range lines {
		if host, ok := strings.CutPrefix(l, "Host: "); ok {
			q.Host = host
		}
	}
	r, err := ask(&http.Client{Transport: tr, Timeout: patience}, q)
	must(t, err)
	return r
}

var sampleLine = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\]|\\.)*",?)*\})? (NaN|[+-]Inf|[-+0-9.eE]+)$`)

// samples are all lines of /metrics, name and labels as they stand there.
func (n *node) samples() map[string]float64 {
	n.t.Helper()
	r := fetch(n.t, "http://"+n.admin+"/metrics")
	if r.StatusCode != http.StatusOK {
		n.t.Fatalf("/metrics answers %s", r.Status)
	}
	all := map[string]float64{}
	for line := range strings.Lines(r.text) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "# ") {
			continue
		}
		m := sampleLine.FindStringSubmatch(line)
		if m == nil {
			n.t.Fatalf("a line of /metrics is no sample: %q", line)
		}
		v, err := strconv.ParseFloat(m[3], 64)
		must(n.t, err)
		all[m[1]+m[2]] = v
	}
	return all
}

// metrics is the sum of all series of a name that have all the labels, each
// given as `label="value"`.
func (n *node) metrics(name string, labels ...string) float64 {
	n.t.Helper()
	sum := 0.0
next:
	for series, v := range n.samples() {
		if own, _, _ := strings.Cut(series, "{"); own != name {
			continue
		}
		for _, l := range labels {
			if !strings.Contains(series, l) {
				continue next
			}
		}
		sum += v
	}
	return sum
}

// api asks the admin address with the token of the node.
func (n *node) api(path string) *reply {
	n.t.Helper()
	token, err := os.ReadFile(filepath.Join(n.data, "admin.token"))
	must(n.t, err)
	return fetch(n.t, "http://"+n.admin+path, "Authorization: Bearer "+strings.TrimSpace(string(token)))
}

// goroutines counts those of the node.
func (n *node) goroutines() int {
	n.t.Helper()
	r := n.api("/debug/pprof/goroutine?debug=1")
	var count int
	if _, err := fmt.Sscanf(r.text, "goroutine profile: total %d", &count); err != nil {
		n.t.Fatalf("%v in %s", err, clip(r.text, 200))
	}
	return count
}

// descriptors counts the open files of the node.
func (n *node) descriptors() int {
	n.t.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", n.pid()))
	must(n.t, err)
	return len(list)
}

// memory is what the process holds that is no file, in bytes.
func (n *node) memory() int64 {
	n.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.pid()))
	must(n.t, err)
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			must(n.t, err)
			return kb << 10
		}
	}
	n.t.Fatalf("no RssAnon in\n%s", b)
	return 0
}

// entry is a line of the access log in squid's format.
type entry struct {
	elapsed                                        int // ms
	client, result, method, url, user, hier, ctype string
	status                                         string
	bytes                                          int64
}

// log waits until the access log has at least count lines and returns all.
func (n *node) log(count int) []entry {
	n.t.Helper()
	var lines []string
	eventually(n.t, fmt.Sprintf("%d lines in the access log", count), func() bool {
		lines = n.logLines()
		return len(lines) >= count
	})
	all := make([]entry, len(lines))
	for i, l := range lines {
		all[i] = parseEntry(n.t, l)
	}
	return all
}

func (n *node) logLines() []string {
	n.t.Helper()
	f, err := os.Open(n.logs)
	must(n.t, err)
	defer f.Close()
	b, err := io.ReadAll(f)
	must(n.t, err)
	text := string(b)
	return strings.Split(text, "\n")[:strings.Count(text, "\n")]
}

func parseEntry(t testing.TB, line string) entry {
	t.Helper()
	f := strings.Fields(line)
	if len(f) != 10 {
		t.Fatalf("a log line has %d fields, not 10: %q", len(f), line)
	}
	var e entry
	var err error
	e.elapsed, err = strconv.Atoi(f[1])
	must(t, err)
	e.bytes, err = strconv.ParseInt(f[4], 10, 64)
	must(t, err)
	e.client, e.method, e.url, e.user, e.hier, e.ctype = f[2], f[5], f[6], f[7], f[8], f[9]
	e.result, e.status, _ = strings.Cut(f[3], "/")
	return e
}
