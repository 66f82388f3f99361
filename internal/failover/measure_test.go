package failover

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// document is where the table goes, between the two marks.
const (
	document  = "../../docs/failover.md"
	beginMark = "<!-- make failover: begin -->"
	endMark   = "<!-- make failover: end -->"
)

// row is an event with what came of each repetition.
type row struct {
	event
	all   []*outcome
	wrong []string
	load  string // average of the machine, before and after
}

// FAILOVER_MEASURE=5 repeats each scenario five times, one at a time, and writes
// what it took into docs/failover.md; rows that were not measured stay, so that
// -run Measure/Drain measures these again. A limit that was missed is in the
// table; it fails no test.
func TestMeasure(t *testing.T) {
	if measuring() == 0 {
		t.Skip("FAILOVER_MEASURE=5 measures")
	}
	var rows []*row
	for _, s := range scenarios() {
		t.Run(s.name, func(t *testing.T) {
			c := newCluster(t, s.nodes)
			before := load()
			of := make([]*row, len(s.events))
			for i, e := range s.events {
				of[i] = &row{event: e}
			}
			for i := range measuring() {
				if i > 0 {
					c.restore()
				}
				for k, e := range s.events {
					o := c.happen(&e)
					of[k].all = append(of[k].all, o)
					of[k].wrong = append(of[k].wrong, o.check(&e)...)
					t.Log(of[k].text())
					t.Log(o.failures(c.began))
				}
			}
			for _, r := range of {
				r.load = before + "–" + load()
				for _, w := range r.wrong {
					t.Logf("%s: %s", r.name, w)
				}
			}
			rows = append(rows, of...)
		})
	}
	must(t, write(rows, fmt.Sprintf("At %s, %d times each, on %d processors.", commit(), measuring(), runtime.NumCPU())))
}

// failures says which requests failed, and when.
func (o *outcome) failures(event time.Time) string {
	r := o.result
	var s strings.Builder
	fmt.Fprintf(&s, "on new connections %v, on kept ones %v", r.New.Errors, r.OnKept.Errors)
	for _, step := range r.Timeline {
		if step.Failed > 0 {
			at := r.Started.Add(time.Duration(step.AtSeconds * float64(time.Second))).Sub(event)
			fmt.Fprintf(&s, "; %d at %d ms", step.Failed, at.Milliseconds())
		}
	}
	return s.String()
}

func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if fields := strings.Fields(string(text)); err == nil && len(fields) > 0 {
		return fields[0]
	}
	return "unknown"
}

// commit is what was checked out, as far as git tells.
func commit() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty", "--tags").Output()
	if err != nil {
		return "an unknown commit"
	}
	return strings.TrimSpace(string(out))
}

const head = "| event | must reach | longest gap | last failure | failed | reset | VIP moved | downloads | load | reached |\n|---|---|---|---|---|---|---|---|---|---|\n"

// write puts the rows into the document, those that are new behind the others.
func write(rows []*row, how string) error {
	text, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	front, rest, ok := strings.Cut(string(text), beginMark)
	old, back, ended := strings.Cut(rest, endMark)
	if !ok || !ended {
		return fmt.Errorf("%s has no marks %s and %s", document, beginMark, endMark)
	}
	lines := map[string]string{}
	for line := range strings.Lines(old) {
		if name, _, ok := strings.Cut(strings.TrimPrefix(line, "| "), " |"); ok && strings.HasPrefix(line, "| ") {
			lines[name] = line
		}
	}
	for _, r := range rows {
		lines[r.name] = r.text() + "\n"
	}
	var table strings.Builder
	for _, s := range scenarios() {
		for _, e := range s.events {
			table.WriteString(lines[e.name])
		}
	}
	whole := front + beginMark + "\n\n" + how + "\n\n" + head + table.String() + "\n" + endMark + back
	return os.WriteFile(document, []byte(whole), 0o644)
}

// text is the row of the table: medians, and the worst behind them.
func (r *row) text() string {
	span := func(of func(o *outcome) time.Duration) string {
		median, worst := spread(r.all, of)
		if worst == 0 {
			return "–"
		}
		return fmt.Sprintf("%d, %d ms", median.Milliseconds(), worst.Milliseconds())
	}
	count := func(of func(o *outcome) int64) string {
		median, worst := spread(r.all, of)
		return fmt.Sprintf("%d, %d", median, worst)
	}
	whole, loads := 0, 0
	for _, o := range r.all {
		whole, loads = whole+o.whole, loads+o.loads
	}
	downloads := "–"
	if loads > 0 {
		downloads = fmt.Sprintf("%d of %d", whole, loads)
	}
	reached := "yes"
	missed := r.misses()
	for _, w := range r.wrong {
		short, _, _ := strings.Cut(w, ": [") // the log has the details
		missed = append(missed, short)
	}
	if len(missed) > 0 {
		reached = "**no**: " + strings.Join(missed, "; ")
	}
	cells := []string{
		r.name, r.must.text, span(func(o *outcome) time.Duration { return o.gap }), span(func(o *outcome) time.Duration { return o.last }),
		count(func(o *outcome) int64 { return o.failed }), count(func(o *outcome) int64 { return o.stale }),
		span(func(o *outcome) time.Duration { return o.holder }), downloads, r.load, reached,
	}
	return "| " + strings.Join(cells, " | ") + " |"
}

// spread is the median and the largest.
func spread[T cmp.Ordered](all []*outcome, of func(o *outcome) T) (median, worst T) {
	var values []T
	for _, o := range all {
		values = append(values, of(o))
	}
	slices.Sort(values)
	return values[len(values)/2], values[len(values)-1]
}

// misses says what was not reached.
func (r *row) misses() (missed []string) {
	within := func(what string, of func(o *outcome) time.Duration, median, worst time.Duration) {
		m, w := spread(r.all, of)
		if median > 0 && m > median || worst > 0 && w > worst {
			missed = append(missed, fmt.Sprintf("%s %d, at worst %d ms", what, m.Milliseconds(), w.Milliseconds()))
		}
	}
	l := &r.must
	within("gap", func(o *outcome) time.Duration { return o.gap }, l.gap, l.gapWorst)
	within("last failure", func(o *outcome) time.Duration { return o.last }, 0, l.last)
	within("last failure on a new connection", func(o *outcome) time.Duration { return o.lastNew }, 0, l.lastNew)
	within("holder", func(o *outcome) time.Duration { return o.holder }, 0, l.holder)
	return missed
}
