package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/cachenode/cachenode/internal/suggest"
	"github.com/cachenode/cachenode/node"
)

// The exit codes.
const (
	exitDone     = 0
	exitFailure  = 1
	exitUsage    = 2 // also: a filter that matched nothing
	exitWarnings = 3 // under --strict
	exitDeadline = 4
	exitConfig   = 78 // EX_CONFIG of sysexits.h

	exitThreshold = 99 // of bench --fail-under
)

// coded is an error with its exit code and what to do next.
type coded struct {
	err  error // nil: everything has been said already
	code int
	hint string
}

func (e *coded) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *coded) Unwrap() error { return e.err }

func exitCode(err error) int {
	if c, ok := errors.AsType[*coded](err); ok {
		return c.code
	}
	if node.IsConfig(err) {
		return exitConfig
	}
	return exitFailure
}

func hintOf(err error) string {
	if c, ok := errors.AsType[*coded](err); ok && c.hint != "" {
		return c.hint
	}
	return node.HintOf(err)
}

// usage is an error of the command line, found by a command.
func usage(cmd *cobra.Command, err error) error {
	return &coded{err: err, code: exitUsage, hint: "see '" + cmd.CommandPath() + " --help'"}
}

var (
	unknownFlag    = regexp.MustCompile(`^unknown (?:shorthand )?flag: (?:--|')([^ ']+)`)
	unknownCommand = regexp.MustCompile(`^unknown command "([^"]*)"`)
)

// usageOf is an error of the command line, found by its parser, with the word
// that was probably meant.
func usageOf(cmd *cobra.Command, err error) error {
	text, _, _ := strings.Cut(err.Error(), "\n")
	meant := ""
	if m := unknownFlag.FindStringSubmatch(text); m != nil {
		if f := suggest.Nearest(m[1], flagNames(cmd)); f != "" {
			meant = "--" + f
		}
	}
	if m := unknownCommand.FindStringSubmatch(text); m != nil {
		meant = suggest.Nearest(m[1], commandNames(cmd))
	}
	if meant != "" {
		text += fmt.Sprintf("; did you mean %q?", meant)
	}
	return usage(cmd, errors.New(text))
}

func flagNames(cmd *cobra.Command) []string {
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	cmd.InheritedFlags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	return names
}

func commandNames(cmd *cobra.Command) []string {
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	return names
}
