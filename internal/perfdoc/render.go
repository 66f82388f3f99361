package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cachenode/cachenode/bench/compare"
)

// The marks between which the document is written.
const (
	beginMark = "<!-- make performance: begin -->"
	endMark   = "<!-- make performance: end -->"
)

// between puts text between the marks of a document.
func between(doc, text string) (string, error) {
	head, rest, ok := strings.Cut(doc, beginMark)
	_, tail, ended := strings.Cut(rest, endMark)
	if !ok || !ended {
		return "", errors.New("the marks " + beginMark + " and " + endMark + " are missing")
	}
	return head + beginMark + "\n\n" + strings.TrimSpace(text) + "\n\n" + endMark + tail, nil
}

// measurement is one row that was measured.
type measurement struct {
	row     row
	command string
	report  *compare.Report
}

func (m *measurement) target(name string) *compare.Target {
	for i := range m.report.Targets {
		if m.report.Targets[i].Name == name {
			return &m.report.Targets[i]
		}
	}
	return nil
}

// render writes all tables.
func render(all []measurement, commit string) string {
	if len(all) == 0 {
		return "Nothing was measured."
	}
	var b strings.Builder
	first := all[0].report
	ours, others := names(all)
	fmt.Fprintf(&b, "Measured %s at commit %s: %s. %s %s, %s, %d processors%s; %s.\n",
		first.Started.UTC().Format(time.DateOnly), commit, versions(all), first.Machine.OS, first.Machine.Kernel, first.Machine.CPU, first.Machine.CPUs, pinned(first), first.Machine.Go)
	fmt.Fprintf(&b, "%d rounds in turn, medians with minimum and maximum; ratios are of runs that followed each other.\n", first.Rounds)
	for _, missing := range first.Missing {
		fmt.Fprintf(&b, "%s.\n", missing)
	}
	b.WriteString("\nCPU, µs per request; of tunnels ms per GB:\n\n")
	table(&b, all, append(others, ours), others, func(m *measurement) (figure string, scale float64) {
		if m.row.perGB {
			return "cpu_seconds_per_gb", 1e3
		}
		return "cpu_seconds_per_request", 1e6
	})
	b.WriteString("\nRequests per second, here with the load and the origin on one processor:\n\n")
	table(&b, all, append(others, ours), nil, func(*measurement) (string, float64) { return "requests_per_second", 1 })
	b.WriteString("\nLatency in the same runs, p50 and p99 in ms:\n\n")
	latencies(&b, all, append(others, ours))
	notes(&b, all)
	b.WriteString("\nThe commands:\n\n")
	for i := range all {
		fmt.Fprintf(&b, "    %s\n", all[i].command)
	}
	return b.String()
}

func pinned(r *compare.Report) string {
	if r.Pinned {
		return ", proxies on one, load and origin on another"
	}
	return ""
}

// names are our target and the others, of all rows.
func names(all []measurement) (ours string, others []string) {
	for i := range all {
		for k, t := range all[i].report.Targets {
			switch {
			case k == 0:
				ours = t.Name
			case !slices.Contains(others, t.Name):
				others = append(others, t.Name)
			}
		}
	}
	return ours, others
}

func versions(all []measurement) string {
	var list []string
	for i := range all {
		for _, t := range all[i].report.Targets {
			if label := strings.TrimSpace(t.Name + " " + t.Version); !slices.Contains(list, label) {
				list = append(list, label)
			}
		}
	}
	return strings.Join(list, ", ")
}

// table is one figure of all rows: a column for each target, and the ratios of
// ours to those in ratios.
func table(b *strings.Builder, all []measurement, targets, ratios []string, of func(m *measurement) (figure string, scale float64)) {
	b.WriteString("| work | " + strings.Join(targets, " | "))
	for _, name := range ratios {
		b.WriteString(" | ÷ " + name)
	}
	b.WriteString(" |\n|---" + strings.Repeat("|---", len(targets)+len(ratios)) + "|\n")
	for i := range all {
		m := &all[i]
		figure, scale := of(m)
		b.WriteString("| " + m.row.name)
		for _, name := range targets {
			b.WriteString(" | " + m.cell(name, figure, scale))
		}
		for _, name := range ratios {
			b.WriteString(" | " + m.ratio(name, figure))
		}
		b.WriteString(" |\n")
	}
}

func (m *measurement) cell(name, figure string, scale float64) string {
	t := m.target(name)
	if t == nil {
		return "–"
	}
	s, ok := t.Figures[figure]
	if !ok {
		return "–"
	}
	return fmt.Sprintf("%s (%s–%s)", digits(s.Median*scale), digits(s.Min*scale), digits(s.Max*scale))
}

func (m *measurement) ratio(name, figure string) string {
	for _, r := range m.report.Ratios {
		if r.To == name && r.Figure == figure {
			return fmt.Sprintf("%.2f (%.2f–%.2f)", r.Median, r.Min, r.Max)
		}
	}
	return "–"
}

func latencies(b *strings.Builder, all []measurement, targets []string) {
	b.WriteString("| work | " + strings.Join(targets, " | ") + " |\n|---" + strings.Repeat("|---", len(targets)) + "|\n")
	for i := range all {
		b.WriteString("| " + all[i].row.name)
		for _, name := range targets {
			cell := "–"
			if t := all[i].target(name); t != nil {
				cell = digits(t.Figures["p50_seconds"].Median*1e3) + " · " + digits(t.Figures["p99_seconds"].Median*1e3)
			}
			b.WriteString(" | " + cell)
		}
		b.WriteString(" |\n")
	}
}

// notes are what a reader must know: failures, targets that fell out, noise.
func notes(b *strings.Builder, all []measurement) {
	noise := 0.0
	for i := range all {
		for _, t := range all[i].report.Targets {
			noise = max(noise, t.Figures["others_cpus"].Max)
		}
		for _, w := range all[i].report.Warnings {
			if !strings.Contains(w, "others used up to") { // told once below
				fmt.Fprintf(b, "\n- %s: %s", all[i].row.name, w)
			}
		}
	}
	fmt.Fprintf(b, "\n- Noise: what is not part of the runs used at most %.2f processors in one of them.\n", noise)
}

// digits shows three of them.
func digits(v float64) string {
	switch {
	case v < 9.95:
		return fmt.Sprintf("%.2f", v)
	case v < 99.5:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}
