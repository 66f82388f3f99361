package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/cachenode/cachenode/admin"
)

func newVIP() *cobra.Command {
	var (
		t      target
		format string
	)
	cmd := &cobra.Command{
		Use:   "vip",
		Short: "Show who holds the virtual IP",
		Long: `vip shows the virtual IP of the cluster, who holds it, and how each node stands
to it and why.

  idle        it does not hold it
  probing     it asks the others and the network whether it may
  announcing  it has just taken it, and tells the network
  holding     it holds it
  yielding    it holds it, and hands it over
  lingering   it has handed it over, and has connections at it still`,
		Example: `  cachenode vip
  cachenode vip move n2`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return present(cmd, &t, format, (*admin.Client).VIP, showVIP)
		},
	}
	t.register(cmd)
	cmd.Flags().StringVar(&format, "format", "table", "output: table or json")
	cmd.AddCommand(newVIPMove())
	return cmd
}

// present asks the node for something and shows it, as a table or as JSON.
func present[T any](cmd *cobra.Command, t *target, format string, ask func(*admin.Client, context.Context) (T, error), show func(io.Writer, *T) error) error {
	if format != "table" && format != "json" {
		return usage(cmd, fmt.Errorf("--format must be table or json, not %q", format))
	}
	c, err := t.client(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	answer, err := ask(c, cmd.Context())
	if err != nil {
		return answered(err)
	}
	if format == "json" {
		return writeJSON(cmd.OutOrStdout(), answer)
	}
	return show(cmd.OutOrStdout(), &answer)
}

func newVIPMove() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use:   "move [NODE]",
		Short: "Hand the virtual IP to another node",
		Long: `move has the holder of the virtual IP hand it to NODE, or to the first node that
is willing. It may be asked of any node. NODE must be alive.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			to := strings.Join(args, "")
			c, err := t.client(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			ctx, cancel := within(cmd.Context())
			defer cancel()
			st, err := c.MoveVIP(ctx, to)
			if err != nil {
				return answered(err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s is held by %s\n", st.Address, orNone(st.Holder))
			return nil
		},
	}
	t.register(cmd)
	return cmd
}

func showVIP(out io.Writer, st *admin.VIPStatus) error {
	fmt.Fprintf(out, "%s port %d (%s), held by %s, term %d\n\n", st.Address, st.Port, st.Mode, orNone(st.Holder), st.Term)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NODE\tSTATE\tFOR\tTERM\tPRIORITY\tINTERFACE\tREASON")
	for i := range st.Nodes {
		n := &st.Nodes[i]
		if !n.Answers {
			fmt.Fprintf(w, "%s\t-\t-\t-\t%d\t-\tdoes not answer\n", n.Name, n.Priority)
			continue
		}
		since := "-"
		if n.Since != nil {
			since = ago(time.Since(*n.Since).Seconds())
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%s\t%s\n", n.Name, vipState(n), since, n.Term, n.Priority, dash(n.Interface), n.Reason)
	}
	return w.Flush()
}

// vipState is how a node stands to the address, for people: one that lingers may be
// about to take it back.
func vipState(n *admin.VIPNode) string {
	switch {
	case !n.Lingering:
		return n.State
	case n.State == "idle":
		return "lingering"
	}
	return n.State + ", lingering"
}
