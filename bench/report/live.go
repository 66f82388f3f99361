package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/cachenode/cachenode/bench"
	"github.com/cachenode/cachenode/bench/figure"
)

// Live shows a run in progress: on a terminal one line that is rewritten, else
// a plain line now and then. It is used by one goroutine.
type Live struct {
	w        io.Writer
	terminal bool
	every    time.Duration // between plain lines
	last     time.Duration // of the phase, when a plain line was written
	phase    string
	width    int // of what stands on the line
}

// NewLive writes to w; terminal says that it is one.
func NewLive(w io.Writer, terminal bool) *Live {
	return &Live{w: w, terminal: terminal, every: 5 * time.Second}
}

// Show writes where the run is.
func (l *Live) Show(s bench.Snapshot) {
	if s.Phase != l.phase {
		l.phase, l.last = s.Phase, -l.every
	}
	line := lineOf(&s)
	if l.terminal {
		pad := max(l.width-len([]rune(line)), 0)
		l.width = len([]rune(line))
		fmt.Fprint(l.w, "\r"+line+strings.Repeat(" ", pad))
		return
	}
	if s.Elapsed-l.last >= l.every {
		l.last = s.Elapsed
		fmt.Fprintln(l.w, line)
	}
}

// Done leaves the terminal's line empty, for the report.
func (l *Live) Done() {
	if l.terminal && l.width > 0 {
		fmt.Fprint(l.w, "\r"+strings.Repeat(" ", l.width)+"\r")
		l.width = 0
	}
}

func lineOf(s *bench.Snapshot) string {
	phase := ""
	if s.Phase == "warm" {
		phase = "warming, "
	}
	left := ""
	if s.Left >= 0 {
		left = ", " + s.Left.Round(time.Second).String() + " left"
	}
	hits := ""
	if s.Cached > 0 {
		hits = fmt.Sprintf(", %.1f %% hits", 100*s.HitRatio())
	}
	lies := ""
	if s.Lies > 0 {
		lies = fmt.Sprintf(" (%d wrong answers)", s.Lies)
	}
	return fmt.Sprintf("%3.0f %%  %s%d requests, %s/s%s, %s%s, p99 %s%s", 100*min(s.Progress, 1), phase, s.Requests, figure.Rate(s.Last.Rate()),
		hits, figure.Count(s.Errors, "error"), lies, figure.Duration(s.Last.P99.Seconds()), left)
}
