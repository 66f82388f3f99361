package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/cachenode/cachenode/admin"
	"github.com/cachenode/cachenode/internal/units"
)

func newStatus() *cobra.Command {
	var (
		t      target
		format string
	)
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say how a node is",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if format != "text" && format != "json" {
				return usage(cmd, fmt.Errorf("--format must be text or json, not %q", format))
			}
			c, err := t.client(cmd)
			if err != nil {
				return err
			}
			st, err := c.Status(cmd.Context())
			if err != nil {
				return answered(err)
			}
			if format == "json" {
				return writeJSON(cmd.OutOrStdout(), st)
			}
			return showStatus(cmd.OutOrStdout(), &st)
		},
	}
	t.register(cmd)
	cmd.Flags().StringVar(&format, "format", "text", "output: text or json")
	return cmd
}

// showStatus prints a summary to read.
func showStatus(out io.Writer, st *admin.Status) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(w, name+"\t"+format+"\n", args...) }
	row("node", "%s, %s, %s for %s (process %d)", st.Name, st.Version, st.State, ago(st.UptimeSeconds), st.PID)
	if d := st.Drain; d != nil {
		row("drain", "%s", drainOf(d))
	}
	row("proxy", "%s", strings.Join(st.Listen, ", "))
	row("admin", "%s", orNone(st.Admin))
	row("data", "%s", st.DataDir)
	if c := st.Cluster; c != nil {
		row("cluster", "%s: %s; gossip at %s", c.Name, nodeCounts(c.Nodes), c.Gossip)
	}
	row("configuration", "%s", orNone(st.ConfigFile))
	row("memory", "%s", tier(st.Memory))
	row("disk", "%s", tier(st.Disk))
	row("objects", "%d", st.Objects)
	row("now", "%s, %s, %s; %s so far", count(int(st.Connections), "connection"),
		count(int(st.Active), "request"), count(int(st.Tunnels), "tunnel"), count(st.Clients, "client"))
	row("5 minutes", "%s", traffic(&st.Last5m))
	row("60 minutes", "%s", traffic(&st.Last60m))
	row("in all", "%s", traffic(&st.Total))
	if r := st.LastReload; r != nil {
		row("last reload", "%s", reloaded(r))
	}
	for _, warning := range st.Warnings {
		row("warning", "%s", warning)
	}
	return w.Flush()
}

// drainOf is a drain under way, or behind the node.
func drainOf(d *admin.Drain) string {
	text := drainLine(d)
	if d.Began != nil {
		text += ", since " + d.Began.Local().Format(time.DateTime)
	}
	if d.Cut > 0 {
		text += fmt.Sprintf("; at the deadline %s cut", were(int(d.Cut), "connection"))
	}
	if d.Message != "" {
		text += "; " + shownText(d.Message)
	}
	return text
}

// shownText keeps what somebody wrote from doing something to the terminal.
func shownText(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// nodeCounts names the states that there are nodes in.
func nodeCounts(nodes map[string]int) string {
	var parts []string
	for _, state := range []string{"alive", "draining", "left", "failed"} {
		if n := nodes[state]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, state))
		}
	}
	return strings.Join(parts, ", ")
}

func reloaded(r *admin.ReloadStatus) string {
	when := r.Time.Local().Format(time.DateTime)
	if r.Error != "" {
		first, _, _ := strings.Cut(r.Error, "\n")
		return when + ", refused: " + first
	}
	return when + ", in force"
}

func tier(t admin.Tier) string {
	if t.Capacity == 0 {
		return "off"
	}
	return fmt.Sprintf("%s of %s (%.0f %%)", size(t.Bytes), size(t.Capacity), 100*float64(t.Bytes)/float64(t.Capacity))
}

func traffic(t *admin.Traffic) string {
	if t.Requests == 0 {
		return "no requests"
	}
	return fmt.Sprintf("%s (%.1f a second), %.1f %% hits, %.1f %% of bytes, %s out, median %s",
		count(int(t.Requests), "request"), t.RequestsPerSecond, 100*t.HitRatio, 100*t.ByteHitRatio,
		size(t.BytesOut), time.Duration(t.MedianSeconds*float64(time.Second)).Round(10*time.Microsecond))
}

// size rounds to three digits.
func size(n int64) string {
	for _, u := range []struct {
		n    units.Size
		name string
	}{{units.TiB, "TiB"}, {units.GiB, "GiB"}, {units.MiB, "MiB"}, {units.KiB, "KiB"}} {
		if n >= int64(u.n) {
			return fmt.Sprintf("%.3g %s", float64(n)/float64(u.n), u.name)
		}
	}
	return fmt.Sprintf("%d B", n)
}

func ago(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	if d >= 48*time.Hour {
		return fmt.Sprintf("%d days", int(d.Hours()/24))
	}
	return d.Round(time.Second).String()
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
