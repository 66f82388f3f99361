package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/cachenode/cachenode/admin"
	"github.com/cachenode/cachenode/peer"
)

func newMembers() *cobra.Command {
	var (
		t      target
		format string
		watch  bool
		every  time.Duration
	)
	cmd := &cobra.Command{
		Use:   "members",
		Short: "List the nodes of the cluster",
		Long: `members lists the nodes of the cluster as the node on this machine sees them.

  alive     it answers and takes requests
  draining  it answers, but takes no new requests
  left      it said good-bye: it was stopped, or left for good
  failed    it does not answer: dead, or cut off

Objects and hit ratio (of the last 5 minutes) are asked of each node; - is one
that did not answer.`,
		Example: `  cachenode members
  cachenode members --watch
  cachenode members --format json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			show, err := membersFormat(cmd, format)
			if err != nil {
				return err
			}
			c, err := t.client(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			if watch {
				return watchMembers(cmd, c, every, show)
			}
			m, err := c.Members(cmd.Context())
			if err != nil {
				return answered(err)
			}
			if err := show(cmd.OutOrStdout(), &m); err != nil || format == "json" {
				return err
			}
			for i := range m.Members { // beside the table, which programs read
				if d := m.Members[i].Drain; d != nil {
					fmt.Fprintln(cmd.ErrOrStderr(), drainOf(d))
				}
			}
			return nil
		},
	}
	t.register(cmd)
	cmd.Flags().StringVar(&format, "format", "table", "output: table, wide or json")
	cmd.Flags().BoolVar(&watch, "watch", false, "list them again whenever something changes, until Ctrl-C")
	cmd.Flags().DurationVar(&every, "interval", time.Second, "with --watch, how often to look")
	return cmd
}

type showMembers func(io.Writer, *admin.Members) error

func membersFormat(cmd *cobra.Command, format string) (showMembers, error) {
	switch format {
	case "table":
		return func(w io.Writer, m *admin.Members) error { return tableOfMembers(w, m, false) }, nil
	case "wide":
		return func(w io.Writer, m *admin.Members) error { return tableOfMembers(w, m, true) }, nil
	case "json":
		return func(w io.Writer, m *admin.Members) error { return writeJSON(w, m) }, nil
	}
	return nil, usage(cmd, fmt.Errorf("--format must be table, wide or json, not %q", format))
}

// tableOfMembers prints the members to read.
func tableOfMembers(out io.Writer, m *admin.Members, wide bool) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	head := "NODE\tADDRESS\tSTATE\tVIP\tVERSION\tUPTIME\tOBJECTS\tHIT%"
	if wide {
		head += "\tCONNECTIONS\tGOSSIP\tICP\tPRIORITY\tCAPACITY\tSINCE\tID"
	}
	fmt.Fprintln(w, head)
	for i := range m.Members {
		p := &m.Members[i]
		row := []string{p.Name, p.Address, p.State, vip(p), dash(p.Version), uptime(p), objects(p), hits(p)}
		if wide {
			row = append(row, connections(p), p.Gossip, dash(p.ICP), fmt.Sprint(p.Priority), size(int64(p.Capacity)),
				p.Since.Local().Format(time.DateTime), p.ID)
		}
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func vip(p *admin.Member) string {
	if p.VIP {
		return "yes"
	}
	return "-"
}

func uptime(p *admin.Member) string {
	if p.Started == nil || p.State != "alive" && p.State != "draining" {
		return "-"
	}
	return ago(max(0, time.Since(*p.Started).Truncate(time.Second).Seconds()))
}

func connections(p *admin.Member) string {
	if p.Connections == nil {
		return "-"
	}
	return fmt.Sprint(*p.Connections)
}

func objects(p *admin.Member) string {
	if p.Objects == nil {
		return "-"
	}
	return fmt.Sprint(*p.Objects)
}

func hits(p *admin.Member) string {
	if p.HitRatio == nil {
		return "-"
	}
	return fmt.Sprintf("%.1f", 100**p.HitRatio)
}

// watchMembers prints the members whenever their states have changed.
func watchMembers(cmd *cobra.Command, c *admin.Client, every time.Duration, show showMembers) error {
	if every < 100*time.Millisecond {
		return usage(cmd, errors.New("--interval must be at least 100ms"))
	}
	ctx, stop := interruptible(cmd.Context())
	defer stop()
	tick := time.NewTicker(every)
	defer tick.Stop()
	last := ""
	for {
		m, err := c.Members(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return answered(err)
		}
		if now := statesOf(&m); now != last {
			last = now
			fmt.Fprintf(cmd.ErrOrStderr(), "%s\n", time.Now().Format(time.TimeOnly))
			if err := show(cmd.OutOrStdout(), &m); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func statesOf(m *admin.Members) string {
	var b strings.Builder
	for i := range m.Members {
		p := &m.Members[i]
		fmt.Fprintln(&b, p.ID, p.Name, p.Address, p.State, p.VIP, p.Version)
	}
	return b.String()
}

func newLeave() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use:   "leave",
		Short: "Take this node out of its cluster for good",
		Long: `leave takes the node on this machine out of its cluster for good. It runs on,
keeps its cache, and is then the only member of a new cluster. A node that is
only stopped stays a member and rejoins by itself when it starts again.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := t.client(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			if err := c.Leave(cmd.Context()); err != nil {
				return answered(err)
			}
			fmt.Fprintln(cmd.OutOrStdout(), "left the cluster; this node is now on its own")
			return nil
		},
	}
	t.register(cmd)
	return cmd
}

func newForget() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use:   "forget NODE",
		Short: "Take a node that will not return off the list",
		Long: `forget takes a node that has failed or left off the list of members, on all of
them: they stop looking for it. It does not lock the node out, for it has the
key; if it was stolen, replace that with 'cachenode key rotate' after.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			if err := c.Forget(cmd.Context(), args[0]); err != nil {
				return answered(err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s is forgotten\n", args[0])
			return nil
		},
	}
	t.register(cmd)
	return cmd
}

func newToken() *cobra.Command {
	var (
		t           target
		line, fresh bool
	)
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Print the token that lets another node join",
		Long: `token prints the join token of the cluster. Who has it can be a member, which
means: see and change everything in the cluster. Treat it as a password.
It changes when the key is replaced with 'cachenode key rotate'.

--new makes up a cluster that has no nodes yet. Nodes that find its token in
cluster.token_file, and each other under cluster.join, become that cluster in
whatever order they start.`,
		Example: `  cachenode token
  cachenode token --line
  cachenode token --new > token
  cachenode token | ssh n2 'cachenode join 10.0.0.11 --token-file -'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if fresh && (line || t != target{}) {
				return usage(cmd, errors.New("--new asks no node: give it without --line, --data and --admin"))
			}
			if fresh {
				fmt.Fprintln(cmd.OutOrStdout(), peer.NewIdentity("", time.Now()).Token().Encode())
				return nil
			}
			c, err := t.client(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			tok, err := c.JoinToken(cmd.Context())
			if err != nil {
				return answered(err)
			}
			if line {
				fmt.Fprintln(cmd.OutOrStdout(), joinLine(tok.Address, tok.Token))
				return nil
			}
			fmt.Fprintln(cmd.OutOrStdout(), tok.Token)
			return nil
		},
	}
	t.register(cmd)
	cmd.Flags().BoolVar(&line, "line", false, "print the whole line to join with")
	cmd.Flags().BoolVar(&fresh, "new", false, "print the token of a cluster that is yet to be")
	return cmd
}

// joinLine is what another node joins with.
func joinLine(addr, token string) string {
	return fmt.Sprintf("cachenode join %s --token %s", addr, token)
}

func newKey() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Show or replace the key of the cluster",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newKeyShow(), newKeyRotate())
	return cmd
}

func newKeyShow() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Show which keys the cluster accepts, and the token with the one in use",
		Long: `show prints the fingerprints of the keys that this node accepts, the one in use
first, and the join token, which carries that one. Compare the fingerprints of
two nodes that do not find each other.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := t.client(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			keys, err := c.Keys(cmd.Context())
			if err != nil {
				return answered(err)
			}
			tok, err := c.JoinToken(cmd.Context())
			if err != nil {
				return answered(err)
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintf(w, "cluster\t%s\n", tok.Cluster)
			for _, k := range keys {
				what := "accepted"
				if k.Used {
					what = "in use"
				}
				fmt.Fprintf(w, "key\t%s, %s\n", k.Fingerprint, what)
			}
			fmt.Fprintf(w, "token\t%s\n", tok.Token)
			return w.Flush()
		},
	}
	t.register(cmd)
	return cmd
}

func newKeyRotate() *cobra.Command {
	var (
		t     target
		force bool
	)
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Replace the key of the cluster on all nodes",
		Long: `rotate makes a new key and brings it to all nodes, which stay in touch all the
time: first all accept it, then all use it, then nobody accepts the old one. It
refuses while members are away, for they would be locked out; after --force
those join again with the new token.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := t.client(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			k, err := c.Rotate(cmd.Context(), force)
			if err != nil {
				return answered(err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "all members use key %s now; tokens printed before are void\n", k.Fingerprint)
			return nil
		},
	}
	t.register(cmd)
	cmd.Flags().BoolVar(&force, "force", false, "lock out the members that are away")
	return cmd
}

// ask bounds a call that a person waits for.
const ask = 30 * time.Second

func within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, ask)
}
