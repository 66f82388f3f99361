package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/cachenode/cachenode/admin"
)

func newPurge() *cobra.Command {
	var (
		t target
		p admin.Purge
	)
	cmd := &cobra.Command{
		Use:   "purge URL | --host HOST | --prefix URL | --all",
		Short: "Take objects out of the stores of all nodes",
		Long: `purge takes objects out of the stores of all nodes of the cluster, at once and
for good: one URL with all its variants, all of a host, all whose URL begins like
the one given, or everything. It waits for each node and prints what that did; a
node that is away purges when it returns, before it serves. It exits with 2 when
nothing matched.`,
		Example: `  cachenode purge http://example.com/logo.png
  cachenode purge --host example.com
  cachenode purge --prefix http://example.com/images/`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				p.URL = args[0]
			}
			if err := p.Validate(); err != nil {
				return usage(cmd, fmt.Errorf("purge: %w", err))
			}
			c, err := t.client(cmd)
			if err != nil {
				return err
			}
			res, err := c.Purge(cmd.Context(), p)
			if err != nil {
				return answered(err)
			}
			if len(res.Nodes) > 1 {
				return purgedNodes(cmd.OutOrStdout(), res.Nodes)
			}
			if res.Objects == 0 {
				return &coded{err: errors.New("nothing in the store matches"), code: exitUsage}
			}
			fmt.Fprintf(cmd.OutOrStdout(), "purged %s\n", count(int(res.Objects), "object"))
			return nil
		},
	}
	t.register(cmd)
	cmd.Flags().StringVar(&p.Host, "host", "", "every object of this `HOST`")
	cmd.Flags().StringVar(&p.Prefix, "prefix", "", "every object whose URL begins with this `URL`")
	cmd.Flags().BoolVar(&p.All, "all", false, "everything")
	return cmd
}

// purgedNodes prints the answer of each node.
func purgedNodes(w io.Writer, nodes []admin.NodePurge) error {
	matched := false
	for _, n := range nodes {
		switch {
		case n.Later:
			matched = true
			fmt.Fprintf(w, "%s no answer: will purge when it returns\n", n.Node)
		default:
			matched = matched || n.Objects > 0
			fmt.Fprintf(w, "%s %s\n", n.Node, count(int(n.Objects), "object"))
		}
	}
	if !matched {
		return &coded{err: errors.New("nothing in the stores matches"), code: exitUsage}
	}
	return nil
}
