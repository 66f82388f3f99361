package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cachenode/cachenode/bench/compare"
	results "github.com/cachenode/cachenode/bench/report"
	"github.com/cachenode/cachenode/bench/rival"
	"github.com/cachenode/cachenode/internal/units"
)

// proxy is this program as a node, in a process of its own.
func proxy(t *testing.T) *rival.Proxy {
	t.Helper()
	t.Setenv(asCommand, "1")
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p, err := rival.Start(t.Context(), rival.Options{Name: rival.Cachenode, Dir: t.TempDir(), Binary: own, Memory: 32 * units.MiB, Disk: 64 * units.MiB, CPU: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// One run gives all reports, and a missed threshold its exit code.
func TestBenchReports(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	p := proxy(t)
	code, out, errOut := cli("bench", p.Addr, "-n", "300", "-c", "4", "--objects", "20", "--sizes", "fixed:2KiB", "--warm", "all",
		"--json", at("r.json"), "--html", at("r.html"), "--hgrm", at("r.hgrm"), "--fail-under", "hit>0.5,errors=0,p99<1ns,rate>1")
	if code != exitThreshold || !strings.Contains(errOut, "missed: p99<1ns: is ") || strings.Count(errOut, "missed: ") != 1 {
		t.Errorf("exit %d\n%s%s", code, out, errOut)
	}
	if !strings.Contains(out, "Requests     300 in ") || !strings.Contains(out, "Hits         100.00 %") {
		t.Errorf("the report is\n%s", out)
	}
	f, err := os.Open(at("r.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d, err := results.Read(f)
	if err != nil || d.Requests != 300 || d.Errors != 0 || d.Total.Latency == nil || len(d.Statuses) == 0 {
		t.Errorf("%v, %+v", err, d)
	}
	for name, want := range map[string]string{"r.html": "</html>", "r.hgrm": "#[Max"} {
		if b, err := os.ReadFile(at(name)); err != nil || !strings.Contains(string(b), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Ours beside those of the system that are there, the least that is a run.
func TestBenchCompare(t *testing.T) {
	t.Setenv(asCommand, "1")
	code, out, errOut := cli("bench", "compare", "--against", "squid,nginx,haproxy,trafficserver", "--rounds", "2", "-n", "200", "-c", "4",
		"--objects", "20", "--sizes", "fixed:2KiB", "--memory", "32MiB", "--disk", "0", "--json", "-", "--quiet")
	if code != exitDone {
		t.Fatalf("exit %d\n%s%s", code, out, errOut)
	}
	r, err := compare.Read(strings.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	if r.Rounds != 2 || len(r.Targets)+len(r.Missing) != 5 || r.Targets[0].Name != rival.Cachenode {
		t.Errorf("%d rounds of %d targets, missing %q", r.Rounds, len(r.Targets), r.Missing)
	}
	for _, target := range r.Targets {
		hits := target.Figures["hit_ratio"].Median
		if told := target.Name != rival.TrafficServer; target.Error != "" || told && hits != 1 {
			t.Errorf("%s: hit ratio %v, error %q", target.Name, hits, target.Error)
		}
		for _, round := range target.Rounds {
			if round.Errors > 0 || round.Requests != 200 {
				t.Errorf("%s: %+v", target.Name, round)
			}
		}
	}
	for _, m := range r.Missing {
		t.Log(m)
	}
}

// The holder is killed by the tool's own hook and never comes back.
func TestBenchFailover(t *testing.T) {
	p := proxy(t)
	page := filepath.Join(t.TempDir(), "f.html")
	code, out, errOut := cli("bench", "failover", "--vip", p.Addr, "-R", "50", "--kept", "3", "-d", "2s", "--timeout", "1s",
		"--kill", fmt.Sprintf("kill -9 %d; echo done", p.PID()), "--kill-at", "1s", "--max-gap", "100ms", "--json", "-", "--html", page, "--quiet")
	if code != exitThreshold || !strings.Contains(errOut, "done\n") || !strings.Contains(errOut, "missed: --max-gap 100ms") {
		t.Errorf("exit %d\n%s", code, errOut)
	}
	var r struct {
		EventSeconds float64 `json:"event_seconds"`
		New, Kept    struct {
			OK, Failed int64
			Recovered  bool
		}
		Nodes []struct{ Name string }
	}
	if err := json.NewDecoder(bytes.NewBufferString(out)).Decode(&r); err != nil {
		t.Fatal(err)
	}
	if r.EventSeconds < 1 || r.New.OK == 0 || r.New.Failed == 0 || r.Kept.Failed == 0 || r.New.Recovered || len(r.Nodes) == 0 || r.Nodes[0].Name != "bench" {
		t.Errorf("%+v", r)
	}
	if b, err := os.ReadFile(page); err != nil || !strings.Contains(string(b), "</html>") {
		t.Error(err)
	}
}

// Ctrl-C ends a comparison, and what it started, and leaves nothing behind.
func TestBenchCompareInterrupted(t *testing.T) {
	dir := t.TempDir()
	c := exec.Command(os.Args[0], "bench", "compare", "--against", "haproxy", "--rounds", "1000", "-d", "1s", "--objects", "10", "--memory", "32MiB", "--disk", "0")
	c.Env = append(os.Environ(), asCommand+"=1", "TMPDIR="+dir)
	said, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	running := false
	for s := bufio.NewScanner(said); s.Scan(); {
		if !running && strings.Contains(s.Text(), "round 2 of 1000") {
			running = true
			if left, _ := filepath.Glob(filepath.Join(dir, "cachenode-bench-*")); len(left) == 0 {
				t.Error("nothing was started")
			}
			if err := c.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := c.Wait(); err != nil || !running {
		t.Errorf("it ends with %v, running %v", err, running)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "cachenode-bench-*")); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}
