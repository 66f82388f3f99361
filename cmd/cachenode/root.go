package main

import (
	"github.com/spf13/cobra"
)

// newRoot builds the command tree. began becomes true when a command has been
// understood and starts.
func newRoot() (root *cobra.Command, began *bool) {
	began = new(bool)
	root = &cobra.Command{
		Use:   "cachenode",
		Short: "A caching forward proxy",
		Long: `cachenode is a caching forward proxy: clients ask it for web pages, it fetches
them once and answers from its store from then on (RFC 9111). Nodes that join
each other make a cluster.

  cachenode demo                     a cluster on this machine, to look at
  cachenode run                      start a node
  cachenode status                   how the node on this machine is
  cachenode purge URL                take something out of its store
  cachenode join HOST                make the node on this machine, or a new one, a member of
                                     the cluster that HOST is in
  cachenode members                  list the nodes of the cluster
  cachenode drain                    take a node out of service without breaking anything
  cachenode config example           a configuration file with every key
  cachenode bench                    load a proxy, and check what it answers

With no configuration at all a node serves this machine and private networks
on port 3128. Exit codes: 0 done, 1 failure, 2 usage or a filter that matched
nothing, 3 warnings under --strict, 4 deadline passed, 78 configuration, 99 a
bench threshold missed.`,
		SilenceErrors:      true,
		SilenceUsage:       true,
		DisableSuggestions: true, // exit.go has its own, for flags too
		Args:               cobra.NoArgs,
		RunE:               func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRun:   func(*cobra.Command, []string) { *began = true },
	}
	root.AddCommand(newRun(), newConfig(), newStatus(), newPurge(),
		newJoin(), newMembers(), newDrain(), newUndrain(), newVIP(), newFrontDoor(), newToken(), newLeave(), newForget(), newKey(), newDemo(), newBench(), newVersion(), newMan())
	return root, began
}
