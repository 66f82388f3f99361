package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cachenode/cachenode/admin"
)

// drainFlags are those of drain.
type drainFlags struct {
	target     target
	deadline   time.Duration
	noDeadline bool
	force      bool
	detach     bool
	monitor    bool
	yes        bool
	message    string
}

func newDrain() *cobra.Command {
	var f drainFlags
	cmd := &cobra.Command{
		Use:   "drain [NODE]",
		Short: "Take a node out of service without breaking anything",
		Long: `drain takes a node out of service: this one, or any other of the cluster. It hands
the virtual IP over if it holds it, the front doors send it no new clients, its
answers tell clients to connect anew, and what is under way may end, tunnels and
downloads too. It waits for that and says how far it is.

What is left at the deadline is cut, and the exit code is then 4. Ctrl-C stops
watching only; the drain goes on. A drained node runs on and keeps its place in the
cluster: stop it, or take it back with 'cachenode undrain'. A node that is started
serves, whatever it did before.

For a node that drains already nothing changes but what is said by --deadline,
--no-deadline or --force.`,
		Example: `  cachenode drain && systemctl restart cachenode
  cachenode drain n2 --deadline 1h --message 'new disk'
  cachenode drain n2 --monitor
  cachenode undrain n2`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, strings.Join(args, "")) },
	}
	f.target.register(cmd)
	fl := cmd.Flags()
	fl.DurationVar(&f.deadline, "deadline", admin.DefaultDrain, "how long what is under way may take before it is cut")
	fl.BoolVar(&f.noDeadline, "no-deadline", false, "cut nothing, however long it takes")
	fl.BoolVar(&f.force, "force", false, "cut what is under way now")
	fl.BoolVar(&f.detach, "detach", false, "begin, and do not wait")
	fl.BoolVar(&f.monitor, "monitor", false, "change nothing, only watch a drain that is under way")
	fl.StringVar(&f.message, "message", "", "why, for those who look at the status of the node")
	fl.BoolVarP(&f.yes, "yes", "y", false, "do not ask")
	return cmd
}

func newUndrain() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use:   "undrain [NODE]",
		Short: "Take a node back into service",
		Long: `undrain takes a drain back, also one that is under way: the node serves again like
any other. The virtual IP stays where it is.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			ctx, cancel := within(cmd.Context())
			defer cancel()
			d, err := c.Undrain(ctx, strings.Join(args, ""))
			if err != nil {
				return ofNode(err)
			}
			if d.Already {
				fmt.Fprintf(cmd.OutOrStdout(), "%s is not draining\n", d.Node)
				return nil
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s serves again\n", d.Node)
			return nil
		},
	}
	t.register(cmd)
	return cmd
}

// ofNode is answered; a node that does not exist is a mistake on the command line.
func ofNode(err error) error {
	if e, ok := errors.AsType[*admin.Error](err); ok && e.Status == http.StatusNotFound {
		return &coded{err: e, code: exitUsage, hint: e.Hint}
	}
	return answered(err)
}

// order is what the flags want; the default deadline is the node's to add, so
// that a second drain does not change that of the first.
func (f *drainFlags) order(cmd *cobra.Command) (admin.DrainOrder, error) {
	timed := cmd.Flags().Changed("deadline")
	o := admin.DrainOrder{NoDeadline: f.noDeadline, Force: f.force, Message: f.message}
	if timed {
		o.Seconds = f.deadline.Seconds()
	}
	switch {
	case f.monitor && (o.Expressly() || f.detach || f.message != ""):
		return o, usage(cmd, errors.New("--monitor only watches: it goes with no other flag"))
	case timed && f.deadline <= 0:
		return o, usage(cmd, errors.New("--deadline must be more than 0; --force cuts at once"))
	case o.Validate() != nil:
		return o, usage(cmd, o.Validate())
	}
	return o, nil
}

func (f *drainFlags) run(cmd *cobra.Command, node string) error {
	o, err := f.order(cmd)
	if err != nil {
		return err
	}
	c, err := f.target.client(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	d, err := c.DrainStatus(cmd.Context(), node)
	if err != nil {
		return ofNode(err)
	}
	w := newDrainWatch(cmd, c, node, d.Node)
	if f.monitor {
		if d.State == "serving" {
			return &coded{err: fmt.Errorf("%s is not draining", d.Node), code: exitFailure, hint: "begin with 'cachenode drain " + d.Node + "'"}
		}
		return w.watch(cmd.Context())
	}
	if !f.yes && isTerminal(cmd.InOrStdin()) {
		if err := agreed(cmd, doubts(cmd.Context(), c, &d, o)); err != nil {
			return err
		}
	}
	if d, err = c.Drain(cmd.Context(), node, o); err != nil {
		return ofNode(err)
	}
	if d.Already {
		fmt.Fprintf(cmd.OutOrStdout(), "%s: already %s\n", d.Node, d.State)
	}
	switch {
	case f.detach && !d.Already:
		fmt.Fprintln(cmd.OutOrStdout(), drainLine(&d))
		return nil
	case f.detach || d.Already && !o.Expressly():
		return nil
	}
	return w.watch(cmd.Context())
}

// doubts are the reasons to ask before a node is drained.
func doubts(ctx context.Context, c *admin.Client, d *admin.Drain, o admin.DrainOrder) (why []string) {
	m, err := c.Members(ctx) // a node on its own has none
	others := 0
	for i := range m.Members {
		if p := &m.Members[i]; p.Name != d.Node && p.State == "alive" {
			others++
		}
	}
	if err == nil && others == 0 && d.State == "serving" {
		why = append(why, fmt.Sprintf("no other node is alive: nobody takes over from %s", d.Node))
	} else if err != nil && d.State == "serving" {
		why = append(why, fmt.Sprintf("%s is the only node: nobody takes over from it", d.Node))
	}
	if o.Force && d.Connections > 0 {
		why = append(why, fmt.Sprintf("--force cuts %s of %s", count(int(d.Connections), "connection"), d.Node))
	}
	return why
}

// agreed asks whether to go on in spite of doubts.
func agreed(cmd *cobra.Command, doubts []string) error {
	if len(doubts) == 0 {
		return nil
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s.\nDrain it? [y/N] ", strings.Join(doubts, ".\n"))
	line, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if said := strings.ToLower(strings.TrimSpace(line)); said != "y" && said != "yes" {
		return &coded{err: errors.New("not drained"), code: exitFailure, hint: "--yes does not ask"}
	}
	return nil
}

// drainLine is how a drain goes, in a line.
func drainLine(d *admin.Drain) string {
	parts := []string{count(int(d.Connections), "connection")}
	if d.Tunnels > 0 {
		parts[0] += fmt.Sprintf(" (%d CONNECT)", d.Tunnels)
	}
	switch d.VIP {
	case "":
	case "held":
		parts = append(parts, "VIP still here")
	case "nobody":
		parts = append(parts, "VIP given up")
	default:
		parts = append(parts, "VIP moved to "+d.VIP)
	}
	switch {
	case d.State != "draining":
	case d.SecondsLeft == nil:
		parts = append(parts, "no deadline")
	default:
		left := time.Duration(*d.SecondsLeft * float64(time.Second))
		parts = append(parts, left.Round(time.Second).String()+" to deadline")
	}
	return fmt.Sprintf("%s %s: %s", d.State, d.Node, strings.Join(parts, ", "))
}

// drainWatch shows how a drain goes: one line that changes on a terminal, else a
// line now and then.
type drainWatch struct {
	c        *admin.Client
	node     string // as asked for
	name     string
	out, err io.Writer
	terminal bool

	vip     string    // as shown last
	shown   time.Time // when a line was
	failing time.Time // since when the node does not answer; zero: it does
	last    admin.Drain
}

const (
	drainLook  = 250 * time.Millisecond
	drainLines = 5 * time.Second // from line to line where there is no terminal
	drainLost  = 10 * time.Second
)

func newDrainWatch(cmd *cobra.Command, c *admin.Client, node, name string) *drainWatch {
	return &drainWatch{
		c: c, node: node, name: name, out: cmd.OutOrStdout(), err: cmd.ErrOrStderr(), terminal: isTerminal(cmd.OutOrStdout()),
	}
}

// watch returns when the drain has ended, in whichever way, or when it is
// interrupted.
func (w *drainWatch) watch(ctx context.Context) error {
	ctx, stop := interruptible(ctx)
	defer stop()
	tick := time.NewTicker(drainLook)
	defer tick.Stop()
	for {
		asked, cancel := within(ctx)
		d, err := w.c.DrainStatus(asked, w.node)
		cancel()
		if ctx.Err() != nil {
			return w.interrupted()
		}
		if over, err := w.saw(&d, err); over {
			return err
		}
		select {
		case <-ctx.Done():
			return w.interrupted()
		case <-tick.C:
		}
	}
}

func (w *drainWatch) interrupted() error {
	w.endLine()
	fmt.Fprintf(w.err, "%s goes on draining; watch it with 'cachenode drain %[1]s --monitor', take it back with 'cachenode undrain %[1]s'\n", w.name)
	return &coded{code: exitFailure}
}

// saw shows an answer, and reports whether it was the last.
func (w *drainWatch) saw(d *admin.Drain, err error) (over bool, _ error) {
	now := time.Now()
	if err != nil {
		if w.failing.IsZero() {
			w.failing = now
		}
		if w.last.State == "stopping" {
			w.endLine()
			fmt.Fprintf(w.out, "%s has been stopped\n", w.name)
			return true, nil
		}
		if now.Sub(w.failing) < drainLost {
			return false, nil
		}
		w.endLine()
		return true, ofNode(err)
	}
	w.failing, w.last = time.Time{}, *d
	if d.State == "serving" || d.State == "starting" {
		w.endLine()
		return true, &coded{err: fmt.Errorf("%s is %s: the drain was taken back", w.name, d.State), code: exitFailure}
	}
	w.show(d, now)
	if d.State != "drained" {
		return false, nil
	}
	w.endLine()
	switch {
	case d.Cut > 0 && d.Forced:
		fmt.Fprintf(w.out, "cut %s\n", count(int(d.Cut), "connection"))
	case d.Cut > 0:
		return true, &coded{err: fmt.Errorf("the deadline has passed: %s cut on %s", were(int(d.Cut), "connection"), w.name), code: exitDeadline, hint: "give it longer with --deadline, or as long as it takes with --no-deadline"}
	}
	fmt.Fprintln(w.out, "ok")
	return true, nil
}

// were is a count as the subject of a sentence in the passive.
func were(n int, what string) string {
	if n == 1 {
		return "1 " + what + " was"
	}
	return fmt.Sprintf("%d %ss were", n, what)
}

func (w *drainWatch) show(d *admin.Drain, now time.Time) {
	switch {
	case w.terminal:
		fmt.Fprintf(w.out, "\r\033[K%s", drainLine(d))
	case w.shown.IsZero() || now.Sub(w.shown) >= drainLines || d.VIP != w.vip:
		fmt.Fprintln(w.out, drainLine(d))
	default:
		return
	}
	w.shown, w.vip = now, d.VIP
}

// endLine leaves the line that changes.
func (w *drainWatch) endLine() {
	if w.terminal && !w.shown.IsZero() {
		fmt.Fprintln(w.out)
	}
}
