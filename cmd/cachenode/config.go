package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/cachenode/cachenode/internal/strictyaml"
	"github.com/cachenode/cachenode/node"
)

func newConfig() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check, show or begin a configuration",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newConfigCheck(), newConfigShow(), newConfigExample())
	return cmd
}

func newConfigCheck() *cobra.Command {
	var (
		s               settings
		format          string
		strict, verbose bool
	)
	cmd := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Look for errors in a configuration, all at once",
		Long: `check reads a configuration as run would, and names everything that is wrong
with it: file:line:col, the line with a caret under the place, and what was
probably meant. It says nothing when all is well. Exit codes: 0 no errors,
3 warnings (with --strict), 78 errors.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if format != "text" && format != "json" {
				return usage(cmd, fmt.Errorf("--format must be text or json, not %q", format))
			}
			if len(args) == 1 {
				s.config = args[0]
			}
			_, problems, err := s.read()
			if err != nil {
				return err
			}
			return showProblems(cmd.OutOrStdout(), problems, format, strict, verbose)
		},
	}
	cmd.Flags().StringVar(&s.config, "config", "", "configuration `FILE`; "+systemConfig+" is read when it exists")
	cmd.Flags().StringVar(&format, "format", "text", "output: text or json")
	cmd.Flags().BoolVar(&strict, "strict", false, "exit with 3 when there are warnings")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "say so when all is well")
	return cmd
}

func showProblems(w io.Writer, problems strictyaml.Problems, format string, strict, verbose bool) error {
	switch {
	case format == "json":
		if problems == nil {
			problems = strictyaml.Problems{}
		}
		if err := writeJSON(w, problems); err != nil {
			return err
		}
	case len(problems) > 0:
		fmt.Fprintln(w, problems.Error())
	case verbose:
		fmt.Fprintln(w, "the configuration is correct")
	}
	switch {
	case problems.Errors() > 0:
		return &coded{code: exitConfig}
	case strict && len(problems) > 0:
		return &coded{code: exitWarnings}
	}
	return nil
}

func newConfigShow() *cobra.Command {
	var s settings
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Print the configuration in force: defaults, file and flags",
		Long: `show prints the configuration that run would use with the same file and flags,
every key with its value, and then the effective access rules in their order.
Secrets are left out.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := s.mustLoad(cmd)
			if err != nil {
				return err
			}
			o.Resolve()
			rules, err := node.AccessRules(o)
			if err != nil {
				return err
			}
			w := cmd.OutOrStdout()
			fmt.Fprint(w, strictyaml.Print(o, strictyaml.Style{}))
			fmt.Fprintln(w, "\n# Access rules, of which the first that matches decides:")
			for i, rule := range rules {
				fmt.Fprintf(w, "# %2d  %s\n", i+1, rule)
			}
			return nil
		},
	}
	s.register(cmd)
	return cmd
}

func newConfigExample() *cobra.Command {
	return &cobra.Command{
		Use:   "example",
		Short: "Print a configuration file with every key, its meaning and its default",
		Long: `example prints a complete configuration file. Every key is switched off by a #
in front of it and shows its default; remove the # to change one.`,
		Example: "  cachenode config example > cachenode.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprint(cmd.OutOrStdout(), node.Example())
			return err
		},
	}
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
