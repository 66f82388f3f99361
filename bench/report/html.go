package report

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"github.com/cachenode/cachenode/bench/figure"
	"github.com/cachenode/cachenode/bench/plot"
)

// HTML writes the report as one page that needs nothing but itself.
func (d *Document) HTML(w io.Writer) error {
	p := plot.Page{
		Title:    "cachenode bench: " + d.Target,
		Lead:     d.lead(),
		Facts:    d.facts(),
		Warnings: d.Warnings,
		Footer:   fmt.Sprintf("Made by cachenode %s. Latencies are the time until the last byte.", d.Tool),
	}
	for _, section := range []func() plot.Section{
		d.latencySection, d.throughputSection, d.hitsSection, d.latencyOverTime, d.errorsSection, d.failuresSection,
		d.nodesSection, d.classesSection, d.costSection, d.configSection,
	} {
		if s := section(); s.Plot != "" || s.Table != nil {
			p.Sections = append(p.Sections, s)
		}
	}
	return p.Write(w)
}

func (d *Document) lead() string {
	software := ""
	if d.Software != "" {
		software = " (" + d.Software + ")"
	}
	cut := ""
	if d.Interrupted {
		cut = "; interrupted"
	}
	return fmt.Sprintf("%s%s, %s for %s%s. Loop %s.", d.Target, software, d.Started.UTC().Format(time.RFC1123), figure.Duration(d.Seconds), cut, loopLabel(d))
}

func (d *Document) facts() []plot.Fact {
	facts := []plot.Fact{
		{Name: "requests", Value: strconv.FormatInt(d.Requests, 10)},
		{Name: "requests per second", Value: figure.Rate(d.Rate)},
		{Name: "throughput", Value: figure.Bytes(d.BytesPerSecond) + "/s"},
	}
	if d.HitRatio != nil {
		facts = append(facts, plot.Fact{Name: "hits", Value: figure.Percent(*d.HitRatio)})
	}
	if l := d.Total.Latency; l != nil {
		facts = append(facts, plot.Fact{Name: "p50", Value: figure.Duration(l.P50)}, plot.Fact{Name: "p99", Value: figure.Duration(l.P99)}, plot.Fact{Name: "longest", Value: figure.Duration(l.Max)})
	}
	facts = append(facts, plot.Fact{Name: "errors", Value: strconv.FormatInt(d.Errors, 10), Bad: d.Errors > 0})
	if d.Lies > 0 {
		facts = append(facts, plot.Fact{Name: "wrong answers that passed for good", Value: strconv.FormatInt(d.Lies, 10), Bad: true})
	}
	if c := d.TargetCPU; c != nil {
		facts = append(facts, plot.Fact{Name: "CPU per request", Value: figure.Duration(c.PerRequest)})
	}
	return facts
}

func (d *Document) latencySection() plot.Section {
	line := plot.Line{
		ID: "plot-percentiles", Title: "Latency by percentile, for each class of answers",
		X: plot.Axis{Label: "percentile", Scale: plot.Percentile, Format: percentileName},
		Y: plot.Axis{Label: "latency", Scale: plot.Log, Format: figure.Duration},
	}
	table := &plot.Table{Head: []string{"class", "requests", "p50", "p90", "p99", "p99.9", "max", "mean"}}
	add := func(name string, c *Class, l *Latency) {
		if l == nil {
			return
		}
		s := plot.Series{Name: name}
		for _, q := range l.Curve {
			s.Points = append(s.Points, plot.Point{X: q.Quantile, Y: q.Seconds})
		}
		line.Series = append(line.Series, s)
		table.Rows = append(table.Rows, []string{name, strconv.FormatInt(c.Requests, 10),
			figure.Duration(l.P50), figure.Duration(l.P90), figure.Duration(l.P99), figure.Duration(l.P999), figure.Duration(l.Max), figure.Duration(l.Mean)})
	}
	add("all", &d.Total, d.Total.Latency)
	for i := range d.Classes {
		add(d.Classes[i].Class, &d.Classes[i], d.Classes[i].Latency)
	}
	add("all, corrected", &d.Total, d.Total.Corrected)
	if len(line.Series) == 0 {
		return plot.Section{}
	}
	note := "Open loop: latency counts from the intended start of each request, so waiting behind a slow answer is in it."
	if d.Loop != "open" {
		note = "Closed loop: each connection waited for its answer. The corrected line adds the requests that were not sent meanwhile."
	}
	return plot.Section{ID: "latency", Title: "Latency by percentile", Note: note, Plot: line.SVG(), Table: table, Open: true}
}

func percentileName(q float64) string {
	return strconv.FormatFloat(math.Round(q*1e9)/1e7, 'f', -1, 64) + " %"
}

// overTime is a plot of the series; NaN where a step has no such value.
func (d *Document) overTime(id, title string, y plot.Axis, series []plot.Series, value func(p *Point, i int) float64) plot.Section {
	if len(d.Series.Points) == 0 {
		return plot.Section{}
	}
	head := []string{"from"}
	for i := range series {
		head = append(head, series[i].Name)
	}
	table := &plot.Table{Head: head}
	for k := range d.Series.Points {
		p := &d.Series.Points[k]
		row := []string{figure.Duration(p.At)}
		for i := range series {
			v := value(p, i)
			series[i].Points = append(series[i].Points, plot.Point{X: p.At, Y: v})
			cell := "-"
			if !math.IsNaN(v) {
				cell = y.Format(v)
			}
			row = append(row, cell)
		}
		table.Rows = append(table.Rows, row)
	}
	line := plot.Line{ID: "plot-" + id, Title: title, X: plot.Axis{Label: "time", Format: figure.Duration}, Y: y, Series: series}
	return plot.Section{ID: id, Title: title, Plot: line.SVG(), Table: table}
}

func perSecond(n int64, span float64) float64 {
	if span <= 0 {
		return math.NaN()
	}
	return float64(n) / span
}

func (d *Document) throughputSection() plot.Section {
	return d.overTime("throughput", "Requests per second", plot.Axis{Label: "requests per second", Format: figure.Rate},
		[]plot.Series{{Name: "requests"}}, func(p *Point, _ int) float64 { return perSecond(p.Requests, p.Span) })
}

func (d *Document) hitsSection() plot.Section {
	if d.HitRatio == nil {
		return plot.Section{}
	}
	return d.overTime("hits", "Hit ratio", plot.Axis{Label: "hits", Max: 1, Format: figure.Percent},
		[]plot.Series{{Name: "hit ratio"}}, func(p *Point, _ int) float64 {
			if p.Cached == 0 {
				return math.NaN()
			}
			return float64(p.Hits) / float64(p.Cached)
		})
}

func (d *Document) latencyOverTime() plot.Section {
	return d.overTime("latency-time", "Latency over time", plot.Axis{Label: "latency", Scale: plot.Log, Format: figure.Duration},
		[]plot.Series{{Name: "p50"}, {Name: "p99"}, {Name: "max"}}, func(p *Point, i int) float64 {
			if v := []float64{p.P50, p.P99, p.Max}[i]; v > 0 {
				return v
			}
			return math.NaN()
		})
}

func (d *Document) errorsSection() plot.Section {
	if d.Errors == 0 {
		return plot.Section{}
	}
	return d.overTime("errors", "Errors per second", plot.Axis{Label: "errors per second", Format: figure.Rate},
		[]plot.Series{{Name: "errors", Bars: true}}, func(p *Point, _ int) float64 { return perSecond(p.Errors, p.Span) })
}

func (d *Document) failuresSection() plot.Section {
	if len(d.Failures) == 0 {
		return plot.Section{}
	}
	t := &plot.Table{Head: []string{"failure", "count", "passed for good", "first example"}}
	for _, f := range d.Failures {
		t.Rows = append(t.Rows, []string{f.Class, strconv.FormatInt(f.Count, 10), yesNo(f.Lie), f.Example})
	}
	return plot.Section{ID: "failures", Title: "Failures", Table: t, Open: true}
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func (d *Document) nodesSection() plot.Section {
	if len(d.Nodes) == 0 {
		return plot.Section{}
	}
	bars := plot.Bars{ID: "plot-nodes", Title: "Requests per node", Parts: []string{"hits", "others"}}
	t := &plot.Table{Head: []string{"node", "requests", "hits", "share"}}
	for _, n := range d.Nodes {
		bars.Rows = append(bars.Rows, plot.Row{Name: n.Node, Values: []float64{float64(n.Hits), float64(max(n.Requests-n.Hits, 0))}})
		t.Rows = append(t.Rows, []string{n.Node, strconv.FormatInt(n.Requests, 10), strconv.FormatInt(n.Hits, 10),
			figure.Percent(float64(n.Requests) / float64(max(d.Requests, 1)))})
	}
	return plot.Section{ID: "nodes", Title: "Nodes", Note: "By the name that each answer has in Cache-Status.", Plot: bars.SVG(), Table: t}
}

func (d *Document) classesSection() plot.Section {
	if len(d.Classes) == 0 {
		return plot.Section{}
	}
	bars := plot.Bars{ID: "plot-classes", Title: "Requests by class of answer"}
	t := &plot.Table{Head: []string{"class", "requests", "share", "bytes", "mean size"}}
	for _, c := range d.Classes {
		bars.Rows = append(bars.Rows, plot.Row{Name: c.Class, Values: []float64{float64(c.Requests)}})
		t.Rows = append(t.Rows, []string{c.Class, strconv.FormatInt(c.Requests, 10), figure.Percent(c.Share), figure.Bytes(float64(c.Bytes)),
			figure.Bytes(float64(c.Bytes) / float64(max(c.Requests, 1)))})
	}
	for _, s := range d.Statuses {
		t.Rows = append(t.Rows, []string{"status " + strconv.Itoa(s.Code), strconv.FormatInt(s.Requests, 10), figure.Percent(float64(s.Requests) / float64(max(d.Requests, 1))), "", ""})
	}
	return plot.Section{ID: "classes", Title: "Classes of answers", Plot: bars.SVG(), Table: t, Open: true}
}

func (d *Document) costSection() plot.Section {
	t := &plot.Table{Head: []string{"process", "per request", "user", "system", "memory"}}
	row := func(name string, c *CPU) {
		t.Rows = append(t.Rows, []string{name, figure.Duration(c.PerRequest), figure.Duration(c.User), figure.Duration(c.System), figure.Bytes(float64(c.RSS))})
	}
	if d.TargetCPU != nil {
		row("target", d.TargetCPU)
	}
	row(fmt.Sprintf("generator, %.0f %% busy", 100*d.Generator.Busy), &d.Generator.CPU)
	return plot.Section{ID: "cost", Title: "Processor time", Table: t, Open: true}
}

func (d *Document) configSection() plot.Section {
	t := &plot.Table{Head: []string{"setting", "value"}}
	for _, s := range d.Config {
		t.Rows = append(t.Rows, []string{s.Name, s.Value})
	}
	g := &d.Generator
	t.Rows = append(t.Rows, []string{"generator", fmt.Sprintf("%s, GOMAXPROCS %d of %d", g.Go, g.Gomaxprocs, g.CPUs)})
	return plot.Section{ID: "config", Title: "Configuration", Table: t, Open: true}
}
