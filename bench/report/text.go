package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/cachenode/cachenode/bench/figure"
)

// Text writes the report for a terminal.
func (d *Document) Text(w io.Writer) error {
	t := &texter{d: d}
	for _, part := range []func(){t.head, t.figures, t.latencies, t.distribution, t.costs, t.failures, t.warnings} {
		part()
	}
	_, err := io.WriteString(w, t.b.String())
	return err
}

type texter struct {
	d *Document
	b strings.Builder
}

// row is a line under a heading in the margin.
func (t *texter) row(heading, format string, args ...any) {
	fmt.Fprintf(&t.b, "%-13s%s\n", heading, fmt.Sprintf(format, args...))
}

func (t *texter) head() {
	d := t.d
	target := figure.Plain(d.Target)
	if d.Software != "" {
		target += " (" + figure.Plain(d.Software) + ")"
	}
	t.row("Target", "%s", target)
	t.row("Loop", "%s", loopLabel(d))
	if w := d.Warm; w != nil {
		t.row("Warm-up", "%s in %s, %s, %s", figure.Count(w.Requests, "request"), figure.Duration(w.Seconds), figure.Count(w.Hits, "hit"), figure.Count(w.Errors, "error"))
	}
}

// loopLabel says what the latencies mean.
func loopLabel(d *Document) string {
	if d.Loop == "open" {
		return "open: latency counts from the intended start of each request"
	}
	return "closed: each connection waits for its answer; a slow proxy is asked less"
}

func (t *texter) figures() {
	d := t.d
	cut := ""
	if d.Interrupted {
		cut = " (interrupted)"
	}
	t.row("Requests", "%d in %s%s, %s/s", d.Requests, figure.Duration(d.Seconds), cut, figure.Rate(d.Rate))
	t.row("Throughput", "%s/s, %s in all", figure.Bytes(d.BytesPerSecond), figure.Bytes(float64(d.Total.Bytes)))
	if d.HitRatio != nil {
		t.row("Hits", "%s of requests, %s of bytes", figure.Percent(*d.HitRatio), figure.Percent(*d.ByteHitRatio))
	} else {
		t.row("Hits", "no answer tells of a cache")
	}
	lies := ""
	if d.Lies > 0 {
		lies = fmt.Sprintf(", of them %s that passed for a good one", figure.Count(d.Lies, "answer"))
	}
	share := 0.0
	if d.Requests > 0 {
		share = float64(d.Errors) / float64(d.Requests)
	}
	t.row("Errors", "%d (%s)%s", d.Errors, figure.Percent(share), lies)
}

// latencies is the table of all distributions.
func (t *texter) latencies() {
	const names, columns = "%-19s", "%11v%10s%9s%9s%9s%9s%9s%9s\n"
	if t.d.Total.Latency == nil {
		return
	}
	fmt.Fprintf(&t.b, "\n"+names+columns, "Latency", "requests", "share", "p50", "p90", "p99", "p99.9", "max", "mean")
	line := func(name string, c *Class, l *Latency) {
		if l != nil {
			fmt.Fprintf(&t.b, names+columns, "  "+name, c.Requests, fmt.Sprintf("%.1f %%", 100*c.Share),
				figure.Duration(l.P50), figure.Duration(l.P90), figure.Duration(l.P99), figure.Duration(l.P999), figure.Duration(l.Max), figure.Duration(l.Mean))
		}
	}
	line("all", &t.d.Total, t.d.Total.Latency)
	for i := range t.d.Classes {
		c := &t.d.Classes[i]
		line(c.Class, c, c.Latency)
	}
	line("all, corrected", &t.d.Total, t.d.Total.Corrected)
	line("all, from sending", &t.d.Total, t.d.Total.Service)
	line("all, first byte", &t.d.Total, t.d.Total.TTFB)
	t.b.WriteString("\n")
}

func (t *texter) distribution() {
	var codes, nodes []string
	for _, s := range t.d.Statuses {
		codes = append(codes, fmt.Sprintf("%d: %d", s.Code, s.Requests))
	}
	if len(codes) > 0 {
		t.row("Status", "%s", strings.Join(codes, ", "))
	}
	for _, n := range t.d.Nodes {
		nodes = append(nodes, fmt.Sprintf("%s: %s, %.1f %% hits", figure.Plain(n.Node), figure.Count(n.Requests, "request"), 100*float64(n.Hits)/float64(max(n.Requests, 1))))
	}
	if len(nodes) > 0 {
		t.row("Nodes", "%s", strings.Join(nodes, "\n             "))
	}
	if o := t.d.Origin; o != nil {
		t.row("Origin", "%s, %d admitted by the answers; %d full, %d partial, %d not modified, %s",
			fetches(o.Requests), o.Claimed, o.Full, o.Partial, o.NotModified, figure.Bytes(float64(o.Bytes)))
	}
}

func (t *texter) costs() {
	if c := t.d.TargetCPU; c != nil {
		t.row("CPU, target", "%s per request (user %s, system %s; %s, %s)",
			figure.Duration(c.PerRequest), figure.Duration(c.User), figure.Duration(c.System), processes(c.Processes), figure.Bytes(float64(c.RSS)))
	} else {
		t.row("CPU, target", "not seen: the proxy is not on this machine, or not ours to see")
	}
	g := &t.d.Generator
	t.row("CPU, bench", "%s per request, %.0f %% of its %s", figure.Duration(g.CPU.PerRequest), 100*g.Busy, processors(g.Gomaxprocs))
	if g.Late != nil {
		t.row("Late", "requests left p50 %s, p99 %s, max %s after their time", figure.Duration(g.Late.P50), figure.Duration(g.Late.P99), figure.Duration(g.Late.Max))
	}
}

func processes(n int) string {
	if n == 1 {
		return "1 process"
	}
	return fmt.Sprintf("%d processes", n)
}

func processors(n int) string {
	if n == 1 {
		return "processor"
	}
	return fmt.Sprintf("%d processors", n)
}

func (t *texter) failures() {
	for i, f := range t.d.Failures {
		heading := ""
		if i == 0 {
			heading = "Failures"
		}
		lie := ""
		if f.Lie {
			lie = " (passed for a good answer)"
		}
		t.row(heading, "%d %s%s", f.Count, figure.Plain(f.Class), lie)
		if f.Example != "" {
			t.row("", "  first: %s", figure.Plain(f.Example))
		}
	}
}

func (t *texter) warnings() {
	for _, w := range t.d.Warnings {
		t.row("Warning", "%s", figure.Plain(w))
	}
}

func fetches(n int64) string {
	if n == 1 {
		return "1 fetch"
	}
	return fmt.Sprintf("%d fetches", n)
}
