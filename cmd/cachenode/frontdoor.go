package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/cachenode/cachenode/admin"
)

func newFrontDoor() *cobra.Command {
	var (
		t      target
		format string
	)
	cmd := &cobra.Command{
		Use:   "frontdoor",
		Short: "Show how clients are spread over the nodes",
		Long: `frontdoor shows the balancer behind the virtual IP as the node on this machine
runs it: the nodes it sends clients to, and how it finds them. Each node has one;
that of the holder of the virtual IP is in use.

  UP     gets new connections
  DRAIN  gets none while another node is up
  DOWN   gets none: it does not answer
  NOLB   answers, and is not ready

The same is at /stats of the admin address, and at /stats;csv with the columns of
HAProxy.`,
		Example: `  cachenode frontdoor
  cachenode frontdoor --format json
  curl 'http://127.0.0.1:3180/stats;csv'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return present(cmd, &t, format, (*admin.Client).FrontDoor, showFrontDoor)
		},
	}
	t.register(cmd)
	cmd.Flags().StringVar(&format, "format", "table", "output: table or json")
	return cmd
}

func showFrontDoor(out io.Writer, fd *admin.FrontDoor) error {
	fmt.Fprintf(out, "%s: %d connections now, %d in all, %d refused; balance %s\n\n",
		frontDoorPlace(fd), fd.Front.Sessions, fd.Front.TotalSessions, fd.Front.Denied, fd.Balance)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NODE\tADDRESS\tSTATUS\tFOR\tWEIGHT\tCONNECTIONS\tQUEUED\tIN ALL\tCONNECT ERRORS\tCHECK")
	for i := range fd.Nodes {
		l := &fd.Nodes[i]
		weight := fmt.Sprint(l.Weight)
		if l.Throttle > 0 {
			weight += fmt.Sprintf(" (%d %%)", l.Throttle)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%s\n", l.Name, dash(l.Address), l.Status, l.LastChange.Round(time.Second),
			weight, l.Sessions, l.Queued, l.TotalSessions, l.ConnectErrors, dash(l.CheckStatus))
	}
	return w.Flush()
}

func frontDoorPlace(fd *admin.FrontDoor) string {
	switch {
	case fd.Address == "":
		return "no virtual IP"
	case fd.Holder:
		return fd.Address + ", held by this node"
	}
	return fd.Address + ", held by another node"
}
