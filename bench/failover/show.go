package failover

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cachenode/cachenode/bench/figure"
	"github.com/cachenode/cachenode/bench/plot"
)

// JSON writes the result.
func (r *Result) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// Text writes the result for a terminal.
func (r *Result) Text(w io.Writer) error {
	var b strings.Builder
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-14s%s\n", name, fmt.Sprintf(format, args...))
	}
	row("Probed", "%s for %s, %s/s on new connections and as many on %d kept ones", figure.Plain(r.VIP), figure.Duration(r.Seconds), figure.Rate(r.Rate), r.Kept)
	row("Asked for", "%s", figure.Plain(r.URL))
	if r.EventSeconds != nil {
		row("Event", "at %s%s", at(*r.EventSeconds), orError(r.EventError))
	}
	row("Failures", "%s", r.failureSpan())
	const columns = "%-14s%8v%8v%8v%8v%8v%12v%10v%10v%10v\n"
	fmt.Fprintf(&b, "\n"+columns, "Connections", "probes", "ok", "slow", "stale", "failed", "longest gap", "p50", "p99", "max")
	for _, k := range r.kinds() {
		p := k.probes
		fmt.Fprintf(&b, columns, "  "+k.name, p.Probes, p.OK, p.Slow, p.Stale, p.Failed, figure.Duration(p.LongestGap),
			figure.Duration(p.P50), figure.Duration(p.P99), figure.Duration(p.Max))
	}
	b.WriteString("\n")
	for _, k := range r.kinds() {
		if !k.probes.Recovered {
			row("Not over", "%s connections failed until the end", k.name)
		}
		for _, class := range slices.SortedFunc(maps.Keys(k.probes.Errors), byCount(k.probes.Errors)) {
			row("Errors", "%d %s on %s connections", k.probes.Errors[class], figure.Plain(class), k.name)
		}
	}
	if r.IdleEnd > 0 {
		row("Closed idle", "%s between requests, which harms none", figure.Count(r.IdleEnd, "kept connection"))
	}
	for _, n := range r.Nodes {
		row("Node", "%s: %s", nodeName(n.Name), r.share(n))
	}
	for i, e := range r.Examples {
		if i == 5 {
			break
		}
		row("Example", "%s", e.describe())
	}
	_, err := io.WriteString(w, b.String())
	return err
}

type namedProbes struct {
	name   string
	probes *Probes
}

func (r *Result) kinds() []namedProbes {
	kinds := []namedProbes{{"new", &r.New}}
	if r.Kept > 0 {
		kinds = append(kinds, namedProbes{"kept", &r.OnKept})
	}
	return kinds
}

func byCount(n map[string]int64) func(a, b string) int {
	return func(a, b string) int { return cmp.Or(cmp.Compare(n[b], n[a]), cmp.Compare(a, b)) }
}

func at(seconds float64) string { return fmt.Sprintf("%.2fs", seconds) }

func orError(text string) string {
	if text == "" {
		return ""
	}
	return "; the command: " + figure.Plain(text)
}

func (r *Result) failureSpan() string {
	if r.FirstFailure == nil {
		return "none"
	}
	since := "the first"
	if r.EventSeconds != nil {
		since = "the event"
	}
	return fmt.Sprintf("first at %s, last at %s: %s after %s", at(*r.FirstFailure), at(*r.LastFailure), at(*r.Outage), since)
}

func nodeName(name string) string {
	if name == "" {
		return "(no name)"
	}
	return figure.Plain(name)
}

func (r *Result) share(n Node) string {
	if r.EventSeconds == nil {
		return figure.Count(n.Before, "answer")
	}
	return fmt.Sprintf("%s before the event, %d after", figure.Count(n.Before, "answer"), n.After)
}

func (e *Example) describe() string {
	text := fmt.Sprintf("%s, %s connection: %s", at(e.AtSeconds), e.Connection, e.Outcome)
	if e.Class != "" {
		text += " (" + figure.Plain(e.Class) + ")"
	}
	text += " after " + figure.Duration(e.TookSeconds)
	if e.Error != "" {
		text += ": " + figure.Plain(e.Error)
	}
	return text
}

// HTML writes the result as one page.
func (r *Result) HTML(w io.Writer) error {
	p := plot.Page{
		Title: "cachenode bench failover: " + r.VIP,
		Lead: fmt.Sprintf("%s, %s for %s: %s/s on new connections and as many on %d kept ones.", r.VIP, r.Started.UTC().Format(time.RFC1123),
			figure.Duration(r.Seconds), figure.Rate(r.Rate), r.Kept),
		Footer: "A stale probe found its kept connection dead and was answered on a new one; a slow one took longer than " + figure.Duration(r.SlowSeconds) + ".",
	}
	if r.EventError != "" {
		p.Warnings = append(p.Warnings, "the command: "+r.EventError)
	}
	for _, k := range r.kinds() {
		p.Facts = append(p.Facts,
			plot.Fact{Name: "longest gap, " + k.name, Value: figure.Duration(k.probes.LongestGap), Bad: !k.probes.Recovered},
			plot.Fact{Name: "failed, " + k.name, Value: strconv.FormatInt(k.probes.Failed, 10), Bad: k.probes.Failed > 0})
	}
	p.Facts = append(p.Facts, plot.Fact{Name: "stale connections", Value: strconv.FormatInt(r.OnKept.Stale, 10)},
		plot.Fact{Name: "slow", Value: strconv.FormatInt(r.New.Slow+r.OnKept.Slow, 10)},
		plot.Fact{Name: "failures", Value: r.failureSpan(), Bad: r.FirstFailure != nil})
	p.Sections = []plot.Section{r.outcomes(), r.slowest(), r.holders(), r.kindTable(), r.exampleTable()}
	return p.Write(w)
}

func (r *Result) marks() []plot.Mark {
	if r.EventSeconds == nil {
		return nil
	}
	return []plot.Mark{{X: *r.EventSeconds, Name: "event"}}
}

func (r *Result) timeline(id, title string, y plot.Axis, series []plot.Series, value func(s *Step, i int) float64) plot.Section {
	for i := range series {
		for k := range r.Timeline {
			s := &r.Timeline[k]
			series[i].Points = append(series[i].Points, plot.Point{X: s.AtSeconds, Y: value(s, i)})
		}
	}
	line := plot.Line{ID: "plot-" + id, Title: title, X: plot.Axis{Label: "time", Format: figure.Duration}, Y: y, Series: series, Marks: r.marks()}
	return plot.Section{ID: id, Title: title, Plot: line.SVG()}
}

func (r *Result) outcomes() plot.Section {
	return r.timeline("outcomes", "Probes by outcome, each "+figure.Duration(r.StepSize), plot.Axis{Label: "probes", Format: figure.Rate},
		[]plot.Series{{Name: "ok"}, {Name: "slow"}, {Name: "stale"}, {Name: "failed"}},
		func(s *Step, i int) float64 { return float64([]int64{s.OK, s.Slow, s.Stale, s.Failed}[i]) })
}

func (r *Result) slowest() plot.Section {
	return r.timeline("slowest", "Slowest probe, each "+figure.Duration(r.StepSize), plot.Axis{Label: "time", Scale: plot.Log, Format: figure.Duration},
		[]plot.Series{{Name: "slowest"}}, func(s *Step, _ int) float64 { return s.MaxSeconds })
}

func (r *Result) holders() plot.Section {
	series := make([]plot.Series, len(r.Nodes))
	table := &plot.Table{Head: []string{"node", "before", "after"}}
	for i, n := range r.Nodes {
		series[i].Name = nodeName(n.Name)
		table.Rows = append(table.Rows, []string{nodeName(n.Name), strconv.FormatInt(n.Before, 10), strconv.FormatInt(n.After, 10)})
	}
	s := r.timeline("nodes", "Answers by node, each "+figure.Duration(r.StepSize), plot.Axis{Label: "answers", Format: figure.Rate}, series,
		func(s *Step, i int) float64 { return float64(s.Nodes[r.Nodes[i].Name]) })
	s.Table, s.Open = table, true
	return s
}

func (r *Result) kindTable() plot.Section {
	t := &plot.Table{Head: []string{"connections", "probes", "ok", "slow", "stale", "failed", "longest gap", "p50", "p99", "max", "errors"}}
	for _, k := range r.kinds() {
		p := k.probes
		var errs []string
		for _, class := range slices.SortedFunc(maps.Keys(p.Errors), byCount(p.Errors)) {
			errs = append(errs, fmt.Sprintf("%d %s", p.Errors[class], class))
		}
		row := []string{k.name}
		for _, n := range []int64{p.Probes, p.OK, p.Slow, p.Stale, p.Failed} {
			row = append(row, strconv.FormatInt(n, 10))
		}
		t.Rows = append(t.Rows, append(row, figure.Duration(p.LongestGap)+" from "+at(p.GapAt), figure.Duration(p.P50), figure.Duration(p.P99),
			figure.Duration(p.Max), orNone(errs)))
	}
	return plot.Section{ID: "connections", Title: "Connections", Table: t, Open: true}
}

// orNone lists words in a cell that is text even if it begins with a number.
func orNone(words []string) string {
	if len(words) == 0 {
		return "none"
	}
	return "(" + strings.Join(words, ", ") + ")"
}

func (r *Result) exampleTable() plot.Section {
	t := &plot.Table{Head: []string{"at", "connection", "outcome", "class", "after", "error", "node"}}
	for _, e := range r.Examples {
		t.Rows = append(t.Rows, []string{at(e.AtSeconds), e.Connection, e.Outcome, e.Class, figure.Duration(e.TookSeconds), e.Error, e.Node})
	}
	return plot.Section{ID: "examples", Title: "First probes that were not plainly good", Table: t, Open: true}
}
