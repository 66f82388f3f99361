package accesslog

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Log analysers read what we write: each is run on a log with every kind of
// line and must count every request. GoAccess needs --no-strict-status for
// requests that were not answered, and its %m knows only registered methods, so
// it refuses the one request that never was understood (squid's such lines too).
const goAccessRefuses = 1

// mixedLog writes a log with hits, misses, tunnels, refusals and hostile text,
// and returns its path and the number of its lines.
func mixedLog(t *testing.T, f Format) (path string, n int) {
	t.Helper()
	var buf []byte
	add := func(edit func(*Entry)) {
		e := sample()
		e.Time = e.Time.Add(time.Duration(n) * time.Second)
		e.Client = netip.AddrFrom4([4]byte{10, 0, 0, byte(1 + n%5)})
		edit(e)
		buf = Append(buf, f, e, "n1")
		n++
	}
	for i := range 20 {
		add(func(e *Entry) { e.URL = fmt.Sprintf("http://example.com/%d", i) })
		add(func(e *Entry) { e.Result, e.Hier, e.Peer = Result{Tag: TagMemHit}, HierNone, "" })
		add(func(e *Entry) { e.Result, e.Hier, e.Peer = Result{Tag: TagHit}, HierNone, "" })
	}
	add(func(e *Entry) { e.Result, e.Hier, e.Peer = Result{Tag: TagMiss}, HierSiblingHit, "10.0.0.12" })
	add(func(e *Entry) { e.Result, e.Hier, e.Peer = Result{Tag: TagMiss, Collapsed: true}, HierCARP, "n3" })
	add(func(e *Entry) { e.Result = Result{Tag: TagMiss, Collapsed: true, Aborted: true} })
	add(func(e *Entry) { e.Result, e.Status = Result{Tag: TagRefreshUnmodified}, 304 })
	add(func(e *Entry) { e.Method, e.URL, e.Result = "CONNECT", "example.com:443", Result{Tag: TagTunnel} })
	add(func(e *Entry) { e.Result, e.Status, e.Hier, e.Peer = Result{Tag: TagDenied}, 403, HierNone, "" })
	add(func(e *Entry) { e.Result.Aborted, e.Status, e.BytesOut = true, 0, 0 })
	add(func(e *Entry) {
		*e = Entry{Time: e.Time, Client: e.Client, Status: 400, BytesOut: 300, Result: Result{None: true}}
	})
	add(func(e *Entry) { e.User, e.Client = `a lice"\`, netip.MustParseAddr("2001:db8::1") })
	add(func(e *Entry) { e.URL = "http://user:secret@example.com/\r\n\x1b[31m \"'\\é%20?q=a b" })
	add(func(e *Entry) { e.UserAgent, e.Referer = "Mozilla \"5.0\" (\\; é\n)", "http://r/\" x" })
	path = filepath.Join(t.TempDir(), "access.log")
	if err := os.WriteFile(path, buf, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, n
}

// tool runs an installed program and returns what it prints.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "TZ=UTC", "LC_ALL=C", "HOME="+cmd.Dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return string(out)
}

// goaccess returns its counts of good and bad lines.
func goaccess(t *testing.T, path string, args ...string) (valid, failed int) {
	t.Helper()
	report := filepath.Join(t.TempDir(), "report.json")
	tool(t, "goaccess", append([]string{path, "--no-global-config", "--no-progress", "-o", report}, args...)...)
	b, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	var r struct {
		General struct {
			Valid  int `json:"valid_requests"`
			Failed int `json:"failed_requests"`
		}
	}
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	return r.General.Valid, r.General.Failed
}

func TestGoAccessReadsSquidFormat(t *testing.T) {
	path, n := mixedLog(t, FormatSquid)
	valid, failed := goaccess(t, path, `--log-format=%x.%^ %~%L %h %^/%s %b %m %U %e %^ %^`, "--datetime-format=%s", "--no-strict-status")
	if valid != n-goAccessRefuses || failed != goAccessRefuses {
		t.Errorf("%d of %d requests, %d failed", valid, n, failed)
	}
}

func TestGoAccessReadsCombinedFormat(t *testing.T) {
	path, n := mixedLog(t, FormatCombined)
	valid, failed := goaccess(t, path, `--log-format=%h %^ %e [%d:%t %^] "%r" %s %b "%R" "%u" %^`, "--date-format=%d/%b/%Y", "--time-format=%T", "--no-strict-status")
	if valid != n || failed != 0 {
		t.Errorf("%d of %d requests, %d failed", valid, n, failed)
	}
}

func TestCalamarisReadsSquidFormat(t *testing.T) {
	path, n := mixedLog(t, FormatSquid)
	out := tool(t, "calamaris", "-a", path)
	for _, c := range []struct {
		line string
		want int
	}{{`lines parsed:\s+lines\s+(\d+)`, n}, {`invalid lines:\s+lines\s+(\d+)`, 0}, {`Total amount:\s+requests\s+(\d+)`, n}, {`Total amount cached:\s+requests\s+(\d+)`, 41}} {
		m := regexp.MustCompile(c.line).FindStringSubmatch(out)
		if m == nil || m[1] != strconv.Itoa(c.want) {
			t.Errorf("%s: %v, want %d", c.line, m, c.want)
		}
	}
	if t.Failed() {
		t.Log(out)
	}
}

func TestSargReadsSquidFormat(t *testing.T) {
	path, n := mixedLog(t, FormatSquid)
	dir := t.TempDir()
	conf := filepath.Join(dir, "sarg.conf")
	if err := errors.Join(os.WriteFile(conf, nil, 0o600), os.Mkdir(dir+"/tmp", 0o700)); err != nil {
		t.Fatal(err)
	}
	out := tool(t, "sarg", "-x", "-f", conf, "-l", path, "-o", dir+"/out", "-w", dir+"/tmp")
	m := regexp.MustCompile(`Records read: (\d+), written: (\d+), excluded: (\d+)`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("no count of records:\n%s", out)
	}
	// sarg takes no refused requests as records to report on, but reads them.
	if m[1] != strconv.Itoa(n) || strings.Contains(out, "corrupted") {
		t.Errorf("%s of %d records read:\n%s", m[1], n, out)
	}
}
