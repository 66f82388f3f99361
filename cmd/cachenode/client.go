package main

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/cachenode/cachenode/admin"
	"github.com/cachenode/cachenode/node"
)

// target says which node a client command talks to.
type target struct{ data, admin string }

func (t *target) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&t.data, "data", "", "data `DIR` of the node on this machine (CACHENODE_DATA)")
	cmd.Flags().StringVar(&t.admin, "admin", "", "`URL` of the node's admin interface (CACHENODE_ADMIN; its token in CACHENODE_TOKEN)")
	_ = cmd.MarkFlagDirname("data") // completion only
}

// client connects to the node: flags go before the environment, that before
// the usual places.
func (t *target) client(cmd *cobra.Command) (*admin.Client, error) {
	if t.data != "" && t.admin != "" {
		return nil, usage(cmd, errors.New("--data and --admin both name a node: give one of them"))
	}
	url, data := t.admin, t.data
	if url == "" && data == "" {
		url, data = os.Getenv("CACHENODE_ADMIN"), os.Getenv("CACHENODE_DATA")
	}
	if url != "" {
		return admin.DialURL(url, os.Getenv("CACHENODE_TOKEN"))
	}
	if data == "" {
		data = usualData()
	}
	c, err := admin.DialDir(cmd.Context(), data)
	if errors.Is(err, admin.ErrNotRunning) {
		return nil, &coded{err: err, code: exitFailure, hint: "name the node's data directory with --data DIR, or its admin address with --admin URL"}
	}
	return c, err
}

// usualData is the first of the usual data directories in which a node runs.
func usualData() string {
	usual := []string{node.DefaultData(), "/var/lib/cachenode", "cachenode-data"}
	if o, problems, err := (&settings{}).read(); err == nil && problems.Errors() == 0 && o.Data != "" {
		usual = append([]string{o.Data}, usual...)
	}
	for _, dir := range usual {
		if _, err := os.Stat(filepath.Join(dir, admin.SocketName)); !errors.Is(err, fs.ErrNotExist) {
			return dir
		}
	}
	return usual[0]
}

// answered takes what a node said against a call into the form of our errors.
func answered(err error) error {
	if e, ok := errors.AsType[*admin.Error](err); ok {
		if e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden {
			return &coded{err: e, code: exitFailure, hint: "put the content of " + admin.TokenName + " in the node's data directory into CACHENODE_TOKEN, or use --data DIR on its machine"}
		}
		return &coded{err: e, code: exitFailure, hint: e.Hint}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &coded{err: err, code: exitDeadline}
	}
	return err
}
