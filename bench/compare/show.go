package compare

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/cachenode/cachenode/bench/figure"
	"github.com/cachenode/cachenode/bench/plot"
)

// Format prints a value of this figure.
func (f *Figure) Format(v float64) string {
	switch f.Unit {
	case Seconds:
		return figure.Duration(v)
	case Bytes:
		return figure.Bytes(v)
	case Share:
		return figure.Percent(v)
	default:
		return figure.Rate(v)
	}
}

// Text writes the comparison for a terminal.
func (r *Report) Text(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s in turn, %s%s, %s on %d %s\n", figure.Count(int64(len(r.Targets)), "target"), figure.Count(int64(r.Rounds), "round"),
		cut(r.Interrupted), pinned(r.Pinned), r.Machine.CPUs, processors(r.Machine.CPUs))
	fmt.Fprintf(&b, "workload: %s\n", figure.Plain(r.workload()))
	for i := range r.Targets {
		t := &r.Targets[i]
		if t.Note != "" {
			fmt.Fprintf(&b, "%s: %s\n", figure.Plain(t.Name), t.Note)
		}
	}
	for _, f := range Figures() {
		r.figureText(&b, &f)
	}
	for _, m := range r.Missing {
		fmt.Fprintf(&b, "\n%s", m)
	}
	for _, warning := range r.Warnings {
		fmt.Fprintf(&b, "\nWarning: %s", figure.Plain(warning))
	}
	if len(r.Missing)+len(r.Warnings) > 0 {
		b.WriteString("\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func cut(interrupted bool) string {
	if interrupted {
		return " (interrupted)"
	}
	return ""
}

func pinned(yes bool) string {
	if yes {
		return "proxies pinned to processor 0, load and origin to 1"
	}
	return "not pinned"
}

func (r *Report) workload() string {
	var parts []string
	for _, s := range r.Workload {
		parts = append(parts, s.Name+" "+s.Value)
	}
	return strings.Join(parts, ", ")
}

// figureText is one figure of all targets, beside it how the first compares.
func (r *Report) figureText(b *strings.Builder, f *Figure) {
	head := false
	for i := range r.Targets {
		t := &r.Targets[i]
		s, ok := t.Figures[f.Name]
		if !ok {
			continue
		}
		if !head {
			fmt.Fprintf(b, "\n%s\n", f.Title)
			head = true
		}
		line := fmt.Sprintf("  %-24s%10s  %-22s", figure.Plain(t.label()), f.Format(s.Median), "("+f.Format(s.Min)+" – "+f.Format(s.Max)+")")
		if ratio, ok := r.ratio(f.Name, t.Name); ok {
			line += fmt.Sprintf("  %s ÷ %s  %.2f (%.2f – %.2f)", figure.Plain(r.Targets[0].Name), figure.Plain(t.Name), ratio.Median, ratio.Min, ratio.Max)
		}
		fmt.Fprintln(b, strings.TrimRight(line, " "))
	}
}

func (r *Report) ratio(figure, to string) (Ratio, bool) {
	for _, x := range r.Ratios {
		if x.Figure == figure && x.To == to {
			return x, true
		}
	}
	return Ratio{}, false
}

// HTML writes the comparison as one page.
func (r *Report) HTML(w io.Writer) error {
	p := plot.Page{
		Title: "cachenode bench compare", Warnings: append(append([]string{}, r.Missing...), r.Warnings...),
		Lead: fmt.Sprintf("%s in turn, %s%s, %s; %s. Medians with the least and the most.", figure.Count(int64(len(r.Targets)), "target"),
			figure.Count(int64(r.Rounds), "round"), cut(r.Interrupted), pinned(r.Pinned), r.Started.UTC().Format(time.RFC1123)),
		Footer: fmt.Sprintf("Made by cachenode %s on %s %s, %d processors %s.", r.Tool, r.Machine.OS, r.Machine.Kernel, r.Machine.CPUs, r.Machine.CPU),
	}
	for i, f := range Figures() {
		if s, ok := r.section(i, &f); ok {
			p.Sections = append(p.Sections, s)
		}
	}
	t := &plot.Table{Head: []string{"setting", "value"}}
	for _, s := range r.Workload {
		t.Rows = append(t.Rows, []string{s.Name, s.Value})
	}
	p.Sections = append(p.Sections, plot.Section{ID: "workload", Title: "Workload", Table: t, Open: true})
	return p.Write(w)
}

func (r *Report) section(i int, f *Figure) (plot.Section, bool) {
	bars := plot.Bars{ID: fmt.Sprintf("plot-%d", i), Title: f.Title, Format: f.Format}
	table := &plot.Table{Head: []string{"proxy", "median", "least", "most", r.first() + " ÷ it"}}
	for k := range r.Targets {
		t := &r.Targets[k]
		s, ok := t.Figures[f.Name]
		if !ok {
			continue
		}
		bars.Rows = append(bars.Rows, plot.Row{Name: t.label(), Values: []float64{s.Median}})
		ratio := ""
		if x, ok := r.ratio(f.Name, t.Name); ok {
			ratio = fmt.Sprintf("%.2f (%.2f – %.2f)", x.Median, x.Min, x.Max)
		}
		table.Rows = append(table.Rows, []string{t.label(), f.Format(s.Median), f.Format(s.Min), f.Format(s.Max), ratio})
	}
	return plot.Section{ID: fmt.Sprintf("figure-%d", i), Title: f.Title, Plot: bars.SVG(), Table: table, Open: true}, len(bars.Rows) > 0
}

func (r *Report) first() string {
	if len(r.Targets) == 0 {
		return "first"
	}
	return r.Targets[0].Name
}

func processors(n int) string {
	if n == 1 {
		return "processor"
	}
	return "processors"
}
