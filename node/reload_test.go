package node

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cachenode/cachenode/admin"
)

// startReloadable starts a node whose next configuration is what next holds.
func startReloadable(t *testing.T) (n *running, next *Options, level *slog.LevelVar) {
	t.Helper()
	o := options(t)
	next, level = new(Options), new(slog.LevelVar)
	*next = o
	n = start(t, o, Deps{Level: level, Load: func() (Options, error) { return *next, nil }})
	return n, next, level
}

func TestReloadChangesWhatItCan(t *testing.T) {
	at := origin(t, page)
	n, next, level := startReloadable(t)
	if res, _ := n.get(at); res.StatusCode != 200 {
		t.Fatalf("before: %d", res.StatusCode)
	}
	next.ACL.AllowFrom = []string{"192.0.2.0/24"}
	next.Log.Level = Level(slog.LevelWarn)
	next.Listen = []string{":9"}
	next.Store.Disk *= 2
	res, err := n.Reload()
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"log.level", "acl.allow_from"}; !slices.Equal(res.Applied, want) {
		t.Errorf("applied %v, want %v", res.Applied, want)
	}
	if want := []string{"listen", "store.disk"}; !slices.Equal(res.Restart, want) {
		t.Errorf("waiting for a restart: %v, want %v", res.Restart, want)
	}
	if res, _ := n.get(at); res.StatusCode != 403 {
		t.Errorf("after: %d, want 403: the client is not allowed any more", res.StatusCode)
	}
	if level.Level() != slog.LevelWarn {
		t.Errorf("level %v", level.Level())
	}
	if o := n.Options(); o.Listen[0] == ":9" || o.ACL.AllowFrom[0] != "192.0.2.0/24" {
		t.Errorf("options in force: listen %v, allow_from %v", o.Listen, o.ACL.AllowFrom)
	}
}

// A bad configuration changes nothing, and the error is shown.
func TestBadReloadKeepsTheOldConfiguration(t *testing.T) {
	at := origin(t, page)
	n, next, _ := startReloadable(t)
	next.ACL.AllowFrom = []string{"nowhere"}
	next.Cache.NegativeStatuses = []int{200}
	if _, err := n.Reload(); err == nil || !strings.Contains(err.Error(), "acl.allow_from[0]") {
		t.Errorf("got %v", err)
	}
	if res, _ := n.get(at); res.StatusCode != 200 {
		t.Errorf("after: %d", res.StatusCode)
	}
	if !strings.Contains(n.log.String(), "the configuration stays as it was") {
		t.Errorf("the log does not say so:\n%s", n.log)
	}
	c, err := admin.DialDir(t.Context(), n.Options().Data)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	st, err := c.Status(t.Context())
	if err != nil || st.LastReload == nil || !strings.Contains(st.LastReload.Error, "acl.allow_from[0]") {
		t.Errorf("status: %v, last reload %+v", err, st.LastReload)
	}
}

func TestReloadThatCannotRead(t *testing.T) {
	n := start(t, options(t), Deps{Load: func() (Options, error) { return Options{}, errors.New("no such file") }})
	if _, err := n.Reload(); err == nil {
		t.Error("no error")
	}
	bare := start(t, options(t), Deps{})
	if _, err := bare.Reload(); err == nil {
		t.Error("no error without Load")
	}
}

// The access log moves to another file and back, and no line is lost.
func TestReloadMovesTheAccessLog(t *testing.T) {
	at := origin(t, page)
	n, next, _ := startReloadable(t)
	n.get(at + "/1")
	n.recorded(1)
	next.AccessLog.Path = "other.log"
	if _, err := n.Reload(); err != nil {
		t.Fatal(err)
	}
	n.get(at + "/2")
	n.recorded(2)
	next.AccessLog.Path = "access.log"
	if _, err := n.Reload(); err != nil {
		t.Fatal(err)
	}
	n.get(at + "/3")
	n.end()
	for file, want := range map[string][]string{"access.log": {"/1", "/3"}, "other.log": {"/2"}} {
		b, err := os.ReadFile(filepath.Join(n.Options().Data, file))
		if err != nil || strings.Count(string(b), "\n") != len(want) {
			t.Errorf("%s: %v, want %d lines\n%s", file, err, len(want), b)
		}
		for _, path := range want {
			if !strings.Contains(string(b), path+" ") {
				t.Errorf("%s has no line of %s\n%s", file, path, b)
			}
		}
	}
}

func TestReopenAfterARotation(t *testing.T) {
	at := origin(t, page)
	n := start(t, options(t), Deps{})
	path := filepath.Join(n.Options().Data, "access.log")
	n.get(at + "/1")
	n.recorded(1)
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	n.Reopen()
	n.get(at + "/2")
	n.recorded(2)
	n.end()
	for file, want := range map[string]string{path + ".1": "/1 ", path: "/2 "} {
		if b, err := os.ReadFile(file); err != nil || !strings.Contains(string(b), want) || strings.Count(string(b), "\n") != 1 {
			t.Errorf("%s: %v\n%s", file, err, b)
		}
	}
}
