package main

import (
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// newMan is for packagers: it writes the man pages from the commands' help.
func newMan() *cobra.Command {
	return &cobra.Command{
		Use:    "man DIR",
		Short:  "Write the man pages into a directory",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			root := cmd.Root()
			root.DisableAutoGenTag = true
			epoch := time.Unix(0, 0) // the same pages for the same source
			return doc.GenManTree(root, &doc.GenManHeader{Title: "CACHENODE", Section: "1", Source: "cachenode", Date: &epoch}, args[0])
		},
	}
}
