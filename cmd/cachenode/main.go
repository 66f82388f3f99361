// Command cachenode is a caching forward proxy. This package is its command
// line: flags, the configuration file, signals and output. What a node does is
// decided in package node and below.
package main

import (
	"fmt"
	"io"
	"os"
)

func main() {
	hideToken()
	os.Exit(execute(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// execute runs one command line and returns its exit code.
func execute(args []string, in io.Reader, out, errOut io.Writer) int {
	root, began := newRoot()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	cmd, err := root.ExecuteC()
	if err == nil {
		return exitDone
	}
	if !*began { // the command line was not understood
		err = usageOf(cmd, err)
	}
	report(errOut, err)
	return exitCode(err)
}

// report prints what went wrong and what to do about it.
func report(w io.Writer, err error) {
	if text := err.Error(); text != "" {
		fmt.Fprintf(w, "error: %s\n", text)
	}
	if hint := hintOf(err); hint != "" {
		fmt.Fprintf(w, "hint: %s\n", hint)
	}
}
