// Command perfdoc measures what docs/performance.md tells: it runs 'cachenode
// bench compare' for each kind of work and writes the tables between two marks
// of that file. The text around them is kept by hand, and nothing is judged here.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/cachenode/cachenode/bench/compare"
)

// row is one kind of work.
type row struct {
	name  string
	args  string
	perGB bool // the figure is CPU per GB, not per request
}

// rows are the kinds of work. Caches of all proxies are of the same size and of
// the same kind: memory alone, or disk alone.
func rows() []row {
	const memory, disk, misses = "--memory 1GiB --disk 0 ", "--memory 0 --disk 6GiB ", "--hit-ratio 0 --warm none "
	return []row{
		{name: "memory hit 1 KB", args: memory + "--sizes fixed:1KiB --objects 1000 -c 64"},
		{name: "memory hit 10 KB", args: memory + "--sizes fixed:10KiB --objects 1000 -c 64"},
		{name: "memory hit 100 KB", args: memory + "--sizes fixed:100KiB --objects 300 -c 64"},
		{name: "memory hit 1 MB", args: memory + "--sizes fixed:1MiB --objects 100 -c 16"},
		{name: "miss 10 KB, stored on disk", args: disk + misses + "--sizes fixed:10KiB -c 64"},
		{name: "miss 100 KB, stored on disk", args: disk + misses + "--sizes fixed:100KiB -c 64"},
		{name: "disk hit 10 KB", args: disk + "--sizes fixed:10KiB --objects 5000 -c 64"},
		{name: "disk hit 1 MB", args: disk + "--sizes fixed:1MiB --objects 300 -c 16"},
		{name: "CONNECT, set-up", args: memory + "--warm none --tunnel --new-connections --sizes fixed:1KiB -c 16"},
		{name: "CONNECT, 16 tunnels", args: memory + "--warm none --tunnel --sizes fixed:1MiB --objects 100 -c 16", perGB: true},
	}
}

// against are the proxies of a row: nginx has no CONNECT.
func (r *row) against(all string) string {
	var names []string
	for name := range strings.SplitSeq(all, ",") {
		if name != "nginx" || !strings.Contains(r.args, "--tunnel") {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

// settings are the flags of this program.
type settings struct {
	program, doc, against, only string
	duration                    time.Duration
	rounds                      int
	pin                         bool
}

func main() {
	var s settings
	flag.StringVar(&s.program, "program", "bin/cachenode", "the cachenode to measure")
	flag.StringVar(&s.doc, "doc", "docs/performance.md", "the document; -: standard output")
	flag.StringVar(&s.against, "against", "squid,nginx,trafficserver", "compare with these")
	flag.StringVar(&s.only, "only", "", "only rows whose name contains this")
	flag.DurationVar(&s.duration, "duration", 4*time.Second, "of one run")
	flag.IntVar(&s.rounds, "rounds", 5, "of each row")
	flag.BoolVar(&s.pin, "pin", true, "one processor for the proxies, another for the load")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := s.run(ctx); err != nil {
		log.Fatal(err)
	}
}

// run measures all rows and then writes the document: a run that is stopped
// leaves it as it was.
func (s *settings) run(ctx context.Context) error {
	var measured []measurement
	for _, r := range rows() {
		if !strings.Contains(r.name, s.only) {
			continue
		}
		args := s.arguments(&r)
		fmt.Fprintf(os.Stderr, "== %s\n", r.name)
		report, err := s.measure(ctx, args)
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		if report.Interrupted {
			return fmt.Errorf("%s: interrupted", r.name)
		}
		measured = append(measured, measurement{row: r, command: "cachenode " + strings.Join(args, " "), report: report})
	}
	text := render(measured, commit(ctx))
	if s.doc == "-" {
		_, err := os.Stdout.WriteString(text)
		return err
	}
	old, err := os.ReadFile(s.doc)
	if err != nil {
		return err
	}
	whole, err := between(string(old), text)
	if err != nil {
		return fmt.Errorf("%s: %w", s.doc, err)
	}
	return os.WriteFile(s.doc, []byte(whole), 0o644)
}

func (s *settings) arguments(r *row) []string {
	args := []string{"bench", "compare", "--against", r.against(s.against), "--rounds", strconv.Itoa(s.rounds), "-d", s.duration.String(), "--urls", "uniform"}
	if s.pin {
		args = append(args, "--pin")
	}
	return append(args, strings.Fields(r.args)...)
}

func (s *settings) measure(ctx context.Context, args []string) (*compare.Report, error) {
	c := exec.CommandContext(ctx, s.program, append(args, "--json", "-")...)
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) } // it stops what it started
	c.WaitDelay = time.Minute
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err != nil {
		return nil, err
	}
	return compare.Read(strings.NewReader(string(out)))
}

// commit is what was checked out, as far as git tells.
func commit(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty", "--tags").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}
