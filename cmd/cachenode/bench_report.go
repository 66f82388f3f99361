package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cachenode/cachenode/bench"
	results "github.com/cachenode/cachenode/bench/report" // report is what main does with errors
	"github.com/cachenode/cachenode/bench/threshold"
)

// writer is one form in which a result can be written.
type writer func(w io.Writer) error

// outputs are the files a result goes to, beside the text on standard output.
type outputs struct {
	json, html string
	quiet      bool
	files      []*os.File
}

func (o *outputs) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.json, "json", "", "write the result as JSON to `FILE`; -: to standard output, in place of the text")
	f.StringVar(&o.html, "html", "", "write one self-contained page with plots to `FILE`")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "no progress, only the result")
	_ = cmd.MarkFlagFilename("json", "json") // completion only
	_ = cmd.MarkFlagFilename("html", "html") // completion only
}

// open creates a file before the run, so that a name that cannot be written to
// is an error at once. It is nil for an empty name.
func (o *outputs) open(name string) (*os.File, error) {
	if name == "" {
		return nil, nil
	}
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	o.files = append(o.files, f)
	return f, nil
}

// prepare opens the files of the common forms and returns what writes a result
// to all of them.
func (o *outputs) prepare(out io.Writer) (func(text, json, html writer) error, error) {
	var page, data *os.File
	page, err := o.open(o.html)
	if err == nil && o.json != "-" {
		data, err = o.open(o.json)
	}
	if err != nil {
		return nil, errors.Join(err, o.close())
	}
	return func(text, json, html writer) error {
		errs := []error{to(page, html), to(data, json)}
		if o.json == "-" {
			errs = append(errs, json(out))
		} else {
			errs = append(errs, text(out))
		}
		return errors.Join(append(errs, o.close())...)
	}, nil
}

func to(f *os.File, write writer) error {
	if f == nil {
		return nil
	}
	if err := write(f); err != nil {
		return fmt.Errorf("write %s: %w", f.Name(), err)
	}
	return nil
}

func (o *outputs) close() error {
	var errs []error
	for _, f := range o.files {
		errs = append(errs, f.Close())
	}
	o.files = nil
	return errors.Join(errs...)
}

// benchReport is how the result of a load is shown and judged.
type benchReport struct {
	outputs
	hgrm      string
	failUnder string
}

func (b *benchReport) register(cmd *cobra.Command) {
	b.outputs.register(cmd)
	f := cmd.Flags()
	f.StringVar(&b.hgrm, "hgrm", "", "write the latencies of all requests to `FILE` in HdrHistogram's percentile format")
	f.StringVar(&b.failUnder, "fail-under", "", "exit with 99 when one of these `CONDITIONS` is not met: p99<20ms,hit>0.8,errors=0")
	_ = cmd.MarkFlagFilename("hgrm", "hgrm") // completion only
}

// shower is made before the run and shows its result afterwards.
func (b *benchReport) shower(cmd *cobra.Command) (func(r *bench.Result) error, error) {
	var conditions []threshold.Condition
	if cmd.Flags().Changed("fail-under") {
		var err error
		if conditions, err = threshold.Parse(b.failUnder); err != nil {
			return nil, usage(cmd, fmt.Errorf("--fail-under: %w", err))
		}
	}
	percentiles, err := b.open(b.hgrm)
	if err != nil {
		return nil, errors.Join(err, b.close())
	}
	show, err := b.prepare(cmd.OutOrStdout())
	if err != nil {
		return nil, err
	}
	return func(r *bench.Result) error {
		d := results.Of(r, version())
		err := to(percentiles, func(w io.Writer) error { return results.HGRM(w, r.Total.Latency) })
		if err := errors.Join(err, show(d.Text, d.JSON, d.HTML)); err != nil {
			return err
		}
		return missed(cmd.ErrOrStderr(), threshold.Check(conditions, threshold.ValuesOf(r)))
	}, nil
}

// missed says which conditions were not met.
func missed(w io.Writer, all []threshold.Miss) error {
	for _, m := range all {
		fmt.Fprintf(w, "missed: %s\n", m)
	}
	if len(all) > 0 {
		return &coded{code: exitThreshold}
	}
	return nil
}

// live shows a run on standard error, unless it is to be quiet.
func (o *outputs) live(cmd *cobra.Command) (progress func(bench.Snapshot), done func()) {
	if o.quiet {
		return nil, func() {}
	}
	w := cmd.ErrOrStderr()
	l := results.NewLive(w, isTerminal(w))
	return l.Show, l.Done
}

// metricsHelp lists the metrics of --fail-under.
func metricsHelp() string {
	var b strings.Builder
	for _, m := range threshold.Metrics() {
		fmt.Fprintf(&b, "  %-10s%s\n", m.Name, m.Doc)
	}
	return b.String()
}
