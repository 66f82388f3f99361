package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/cachenode/cachenode/bench/failover"
	"github.com/cachenode/cachenode/internal/units"
)

// failoverFlags are the command line of bench failover.
type failoverFlags struct {
	outputs
	o                               failover.Options
	duration, timeout, slow, killAt units.Duration
	maxGap                          units.Duration
	kill, listen                    string
}

func newBenchFailover() *cobra.Command {
	d := failover.DefaultOptions()
	b := &failoverFlags{
		o: d, duration: units.Duration(d.Duration), timeout: units.Duration(d.Timeout),
		slow: units.Duration(d.Slow), killAt: units.Duration(d.KillAt),
	}
	cmd := &cobra.Command{
		Use:   "failover --vip ADDR:PORT [flags]",
		Short: "Probe a virtual address while something breaks, and say what clients notice",
		Long: `failover asks the same small object of a virtual address at a constant rate, each
time on a new connection and on one of some kept ones, while you (or the command
of --kill) break something behind it: power off the node that holds the address,
drain it, pull its cable.

It tells
  failed   probes without a right answer within --timeout,
  stale    probes whose kept connection had died; asked again on a new connection
           they were answered,
  slow     right answers that took longer than --slow from their intended start,
  the longest gap without a right answer, on new and on kept connections,
  the first and the last failure, and which node answered before and after.

Probes start at intended times whether or not those before have been answered,
so nothing is hidden by waiting. Without --url the tool brings an origin on the
address of this machine that faces the virtual one; nodes must be allowed to go
there (acl.allow_to). Ctrl-C ends the run and prints the result.
Exit codes: 0 done, 1 failure, 2 usage, 99 the gap was longer than --max-gap.`,
		Example: `  cachenode bench failover --vip 10.0.0.100:3128 -d 1m
  cachenode bench failover --vip 10.0.0.100:3128 --kill 'ssh n1 systemctl kill -s KILL cachenode' --kill-at 10s
  cachenode bench failover --vip 10.0.0.100:3128 --kill 'cachenode drain n1' --max-gap 100ms --html failover.html
  cachenode bench failover --vip 127.0.0.1:3128 --url http://example.com/ --rate 5`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return b.run(cmd) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&b.o.VIP, "vip", "", "`ADDR:PORT` to probe (required)")
	f.StringVar(&b.o.URL, "url", "", "ask for this `URL`, which must answer below 400; default: an object of the tool's own origin")
	f.StringVar(&b.listen, "origin-listen", "", "`ADDR:PORT` of that origin (default: the address that faces the virtual one, any port)")
	f.Float64VarP(&b.o.Rate, "rate", "R", b.o.Rate, "probes per second on new connections, and as many on kept ones")
	f.IntVar(&b.o.Kept, "kept", b.o.Kept, "how many kept connections take turns; 0: none")
	span(f, &b.duration, "duration", "d", "how long; 0: until Ctrl-C")
	span(f, &b.timeout, "timeout", "", "of one probe, from its intended start")
	span(f, &b.slow, "slow", "", "an answer that took longer is slow")
	f.StringVar(&b.kill, "kill", "", "shell `COMMAND` that breaks something")
	span(f, &b.killAt, "kill-at", "", "when it is run, after the start")
	span(f, &b.maxGap, "max-gap", "", "exit with 99 when the longest gap is longer; 0: do not judge")
	b.register(cmd)
	return cmd
}

func (b *failoverFlags) run(cmd *cobra.Command) (err error) {
	b.o.Duration, b.o.Timeout, b.o.Slow, b.o.KillAt = b.duration.D(), b.timeout.D(), b.slow.D(), b.killAt.D()
	if b.kill == "" {
		b.o.KillAt = 0
	}
	var h failover.Hooks
	if b.o.URL == "" && b.o.VIP != "" {
		own, failed := failover.StartOrigin(b.o.VIP, b.listen)
		if failed != nil {
			return usage(cmd, fmt.Errorf("--vip %s: %w", b.o.VIP, failed))
		}
		defer func() { err = errors.Join(err, own.Close()) }()
		b.o.URL, h.Check = own.URL, own.Check
	}
	if b.o.VIP == "" {
		return usage(cmd, errors.New("--vip ADDR:PORT says which address to probe"))
	}
	if err := b.o.Validate(); err != nil {
		return usage(cmd, err)
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	show, err := b.prepare(cmd.OutOrStdout())
	if err != nil {
		return err
	}
	if b.kill != "" {
		h.Kill = shell(b.kill, cmd.ErrOrStderr())
	}
	line := &probeLine{w: cmd.ErrOrStderr(), terminal: isTerminal(cmd.ErrOrStderr())}
	if !b.quiet {
		h.Progress = line.show
	}
	r, err := failover.Run(ctx, b.o, h)
	line.done()
	if err != nil {
		return errors.Join(err, b.close())
	}
	if err := show(r.Text, r.JSON, r.HTML); err != nil {
		return err
	}
	return b.judge(cmd, r)
}

func (b *failoverFlags) judge(cmd *cobra.Command, r *failover.Result) error {
	if gap := r.LongestGap(); b.maxGap > 0 && gap > b.maxGap.D() {
		fmt.Fprintf(cmd.ErrOrStderr(), "missed: --max-gap %v: the longest gap was %v\n", b.maxGap, gap.Round(time.Millisecond))
		return &coded{code: exitThreshold}
	}
	return nil
}

// shell is a hook that runs a command; what it says goes to w. All it started
// ends with ctx.
func shell(command string, w io.Writer) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		c := exec.CommandContext(ctx, "sh", "-c", command)
		c.Stdout, c.Stderr = w, w
		c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGTERM) }
		c.WaitDelay = 5 * time.Second
		return c.Run()
	}
}

// probeLine shows a run on standard error.
type probeLine struct {
	w        io.Writer
	terminal bool
	shown    bool
	n        int
}

func (l *probeLine) show(p failover.Progress) {
	left := ""
	if p.Left > 0 {
		left = fmt.Sprintf(", %v left", p.Left.Round(time.Second))
	}
	text := fmt.Sprintf("%v: %d probes, %d failed, %d stale, %d slow, last good answer %v ago from %s%s",
		p.Elapsed.Round(time.Second), p.Probes, p.Failed, p.Stale, p.Slow, p.SinceGood.Round(10*time.Millisecond), printable(p.Holder), left)
	l.n++
	switch {
	case l.terminal:
		fmt.Fprint(l.w, "\r\x1b[K"+text)
		l.shown = true
	case l.n%5 == 0:
		fmt.Fprintln(l.w, text)
	}
}

func (l *probeLine) done() {
	if l.shown {
		fmt.Fprint(l.w, "\r\x1b[K")
	}
}

func printable(name string) string {
	if name == "" {
		return "nobody with a name"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f {
			return '?'
		}
		return r
	}, name)
}
