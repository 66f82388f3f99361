package main

import (
	"strings"
	"testing"
	"time"

	"github.com/cachenode/cachenode/bench/compare"
)

func measured() []measurement {
	value := func(v float64) *float64 { return &v }
	round := func(cpu, rate float64) compare.Round {
		return compare.Round{Requests: 100, CPUPerRequest: value(cpu), CPUPerGB: value(cpu * 1000), Rate: value(rate), P50: value(0.001), P99: value(0.0025), Others: value(0.7)}
	}
	report := func(targets ...compare.Target) *compare.Report {
		r := &compare.Report{
			Started: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Rounds: 2, Pinned: true, Targets: targets,
			Machine: compare.Machine{OS: "linux", Kernel: "6.1", CPU: "a processor", CPUs: 2, Go: "go1.26.8"},
			Missing: []string{"trafficserver: not installed (apt-get install trafficserver)"},
		}
		r.Summarise()
		return r
	}
	ours := compare.Target{Name: "cachenode", Version: "v1", Rounds: []compare.Round{round(10e-6, 50_000), round(12e-6, 40_000)}}
	squid := compare.Target{Name: "squid", Version: "5.7", Rounds: []compare.Round{round(20e-6, 20_000), round(24e-6, 20_000)}}
	nginx := compare.Target{Name: "nginx", Version: "1.22.1", Rounds: []compare.Round{round(5e-6, 90_000), round(6e-6, 90_000)}}
	return []measurement{
		{row: row{name: "memory hit 1 KB"}, command: "cachenode bench compare --x", report: report(ours, squid, nginx)},
		{row: row{name: "CONNECT, 16 tunnels", perGB: true}, command: "cachenode bench compare --y", report: report(ours, squid)},
	}
}

func TestRender(t *testing.T) {
	text := render(measured(), "abc123")
	for _, want := range []string{
		"Measured 2026-01-02 at commit abc123: cachenode v1, squid 5.7, nginx 1.22.1. linux 6.1, a processor, 2 processors, proxies on one, load and origin on another; go1.26.8.",
		"trafficserver: not installed",
		"| work | squid | nginx | cachenode | ÷ squid | ÷ nginx |\n|---|---|---|---|---|---|\n" +
			"| memory hit 1 KB | 22.0 (20.0–24.0) | 5.50 (5.00–6.00) | 11.0 (10.0–12.0) | 0.50 (0.50–0.50) | 2.00 (2.00–2.00) |\n" +
			"| CONNECT, 16 tunnels | 22.0 (20.0–24.0) | – | 11.0 (10.0–12.0) | 0.50 (0.50–0.50) | – |\n",
		"| memory hit 1 KB | 20000 (20000–20000) | 90000 (90000–90000) | 45000 (40000–50000) |",
		"| memory hit 1 KB | 1.00 · 2.50 | 1.00 · 2.50 | 1.00 · 2.50 |",
		"    cachenode bench compare --x\n",
		"- Noise: what is not part of the runs used at most 0.70 processors in one of them.\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no\n%s\nin\n%s", want, text)
		}
	}
	if render(nil, "") != "Nothing was measured." {
		t.Error("nothing is not said")
	}
}

func TestBetween(t *testing.T) {
	doc := "# A\n\n" + beginMark + "\nold\n" + endMark + "\n\nkept\n"
	got, err := between(doc, "new\n")
	if err != nil || got != "# A\n\n"+beginMark+"\n\nnew\n\n"+endMark+"\n\nkept\n" {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range []string{"", beginMark, endMark + beginMark} {
		if _, err := between(bad, "x"); err == nil {
			t.Errorf("%q has marks", bad)
		}
	}
}

func TestRows(t *testing.T) {
	s := settings{against: "squid,nginx", duration: time.Second, rounds: 2, pin: true}
	for _, r := range rows() {
		line := strings.Join(s.arguments(&r), " ")
		if strings.Contains(line, "--tunnel") == strings.Contains(line, "nginx") || !strings.Contains(line, "--rounds 2 -d 1s") {
			t.Errorf("%s: %s", r.name, line)
		}
	}
}
