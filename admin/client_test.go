package admin

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cachenode/cachenode/internal/metrics"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestClientOverBothWays(t *testing.T) {
	r := run(t, nil)
	overSocket, err := DialDir(t.Context(), r.dir)
	if err != nil {
		t.Fatal(err)
	}
	overTCP, err := DialURL(r.Addr().String(), testToken)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*Client{overSocket, overTCP} {
		defer c.Close()
		if st, err := c.Status(t.Context()); err != nil || st.Name != "n1" || st.UptimeSeconds < 0 {
			t.Errorf("status %+v, %v", st, err)
		}
		if b, err := c.Config(t.Context()); err != nil || !strings.HasPrefix(string(b), "listen: ") {
			t.Errorf("config %s, %v", b, err)
		}
		if res, err := c.Purge(t.Context(), Purge{Prefix: "http://e/a"}); err != nil || res.Objects != 3 {
			t.Errorf("purge %+v, %v", res, err)
		}
		if res, err := c.Reload(t.Context()); err != nil || len(res.Applied) != 1 || len(res.Restart) != 1 {
			t.Errorf("reload %+v, %v", res, err)
		}
		if list, err := c.Connections(t.Context()); err != nil || len(list) != 0 {
			t.Errorf("connections %v, %v", list, err)
		}
		if list, err := c.Requests(t.Context()); err != nil || len(list) != 0 {
			t.Errorf("requests %v, %v", list, err)
		}
		if _, err := c.Purge(t.Context(), Purge{}); err == nil {
			t.Error("purged nothing in particular")
		}
		var e *Error
		if _, err := c.Purge(t.Context(), Purge{Host: "slow.example"}); !errors.As(err, &e) || e.Status != 409 || e.Hint != "wait for it" {
			t.Errorf("error %#v", err)
		}
	}
	if len(r.node.purged) != 2 {
		t.Errorf("purged %+v", r.node.purged)
	}
}

func TestClientErrorsSayWhatToDo(t *testing.T) {
	r := run(t, nil)
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()

	status := func(base, token string) error {
		c, err := DialURL(base, token)
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Status(t.Context())
		return err
	}
	empty := t.TempDir()
	_, noSocket := DialDir(t.Context(), empty)
	_, noDir := DialDir(t.Context(), filepath.Join(empty, "x"))
	for name, tt := range map[string]struct {
		err  error
		want string
	}{
		"no socket":   {noSocket, "no node is running in " + empty + " (no admin.sock): start one with 'cachenode run'"},
		"no dir":      {noDir, "no node is running in "},
		"nobody":      {status(gone.Addr().String(), ""), "no node is running at http://" + gone.Addr().String() + " (connection refused)"},
		"wrong token": {status(r.url, "x"), "the token is wrong"},
		"no token":    {status(r.url, ""), "this needs the API token"},
		"not a node":  {status(other.URL, ""), "answers 404 Not Found"},
		"bad address": {status("ftp://x", ""), "is not an admin address"},
		"no address":  {status("", ""), "is not an admin address"},
	} {
		if tt.err == nil || !strings.Contains(tt.err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", name, tt.err, tt.want)
		}
	}
	if !errors.Is(noSocket, ErrNotRunning) {
		t.Error("not ErrNotRunning")
	}
	ctx, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	c, err := DialURL(r.url, testToken)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Status(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("late: %v", err)
	}
}

func TestClientFollowsNoRedirect(t *testing.T) {
	leaked := false
	there := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		leaked = r.Header.Get("Authorization") != ""
	}))
	defer there.Close()
	here := httptest.NewServer(http.RedirectHandler(there.URL, http.StatusFound))
	defer here.Close()
	c, err := DialURL(here.URL, testToken)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Status(t.Context()); err == nil || leaked {
		t.Errorf("error %v, leaked %v", err, leaked)
	}
}

func newServer(dir string) (*Server, error) {
	return New(Options{}, Deps{Node: new(fakeNode), Metrics: metrics.New(metrics.Build{}, time.Now()), Log: discard(), Dir: dir})
}

func TestSocketOfADeadNodeIsReplaced(t *testing.T) {
	dir := t.TempDir()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, SocketName)})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	if _, err := DialDir(t.Context(), dir); !errors.Is(err, ErrNotRunning) || !strings.Contains(err.Error(), "left over") {
		t.Errorf("dead socket: %v", err)
	}
	s, err := newServer(dir)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, SocketName))
	if err != nil || info.Mode().Perm() != socketMode {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, SocketName)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
}

func TestSecondNodeIsRefused(t *testing.T) {
	r := run(t, nil)
	_, err := newServer(r.dir)
	if !errors.Is(err, ErrRunning) || !strings.Contains(err.Error(), "--data") {
		t.Errorf("second node: %v", err)
	}
	r.get(t, "/livez").want(t, 200)
	if c, err := DialDir(t.Context(), r.dir); err != nil {
		t.Errorf("the first node lost its socket: %v", err)
	} else {
		c.Close()
	}
}

func TestFileInTheWayIsKept(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, SocketName), []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := newServer(dir); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("error %v", err)
	}
}

func TestDeepDataDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("deep/", 40))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := newServer(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	c, err := DialDir(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := c.Status(t.Context()); err != nil || st.Name != "n1" {
		t.Errorf("%+v, %v", st, err)
	}
	c.Close()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestMissingDirectory(t *testing.T) {
	if _, err := newServer(filepath.Join(t.TempDir(), "x")); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("error %v", err)
	}
}

func TestToken(t *testing.T) {
	path := filepath.Join(t.TempDir(), TokenName)
	first, err := LoadOrCreateToken(path)
	if err != nil || len(first) < minToken {
		t.Fatalf("%q, %v", first, err)
	}
	if again, err := LoadOrCreateToken(path); err != nil || again != first {
		t.Errorf("%q, %v", again, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadOrCreateToken(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("readable by all: %v", err)
	}
	for content, usable := range map[string]bool{
		"":                             true, // a crash left it so: made anew
		"\n":                           true,
		"short":                        false,
		"has a space in its middle":    false,
		"chosen-by-an-operator-00\n":   true,
		"\x00\x01\x02\x03aaaaaaaaaaaa": false,
	} {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		token, err := LoadOrCreateToken(path)
		if (err == nil) != usable || usable && len(token) < minToken {
			t.Errorf("%q: %q, %v", content, token, err)
		}
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".admin*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left over: %q, %v", left, err)
	}
	if _, err := LoadOrCreateToken(filepath.Join(t.TempDir(), "x", TokenName)); err == nil {
		t.Error("made a token in a directory that is not there")
	}
}
