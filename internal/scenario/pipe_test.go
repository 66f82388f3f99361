package scenario

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cachenode/cachenode/internal/transcript"
)

// piped is a node whose messages and access log go into a pipe, read up to the
// message that it is ready.
func piped(t *testing.T) (n *node, r *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	must(t, err)
	t.Cleanup(func() { _ = r.Close() })
	n = &node{t: t, out: &transcript.Transcript{}, ended: make(chan struct{})}
	n.cmd = exec.Command(filepath.Join(bin, "cachenode"), "run", "--standalone", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0",
		"--data", filepath.Join(t.TempDir(), "data"), "--allow-to", "127.0.0.0/8", "--access-log", "-")
	n.cmd.Stdout, n.cmd.Stderr = w, w
	must(t, n.cmd.Start())
	must(t, w.Close())
	go func() {
		_ = n.cmd.Wait() // its state says how it ended
		close(n.ended)
	}()
	t.Cleanup(func() {
		if n.running() {
			n.signal(syscall.SIGKILL)
			<-n.ended
		}
	})
	must(t, r.SetReadDeadline(time.Now().Add(patience)))
	for b := make([]byte, 4096); !strings.Contains(n.out.String(), "msg=ready"); {
		k, err := r.Read(b)
		must(t, err)
		_, _ = n.out.Write(b[:k]) // a buffer takes everything
	}
	n.proxy = n.says(`proxy   http://(\S+?),`)
	return n, r
}

// Whoever reads what a node says may end, or stop reading: the node serves on,
// and stops when it is told to.
func TestReaderOfTheLogsIsGone(t *testing.T) {
	o := newOrigin(t)
	for name, leave := range map[string]func(r *os.File) error{
		"closed":   (*os.File).Close,
		"not read": func(*os.File) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			n, r := piped(t)
			must(t, leave(r))
			for range 3 {
				for range 300 { // lines for more than a pipe holds, in all
					if got := n.get(o.url("/" + strings.Repeat("a", 1000))); got.StatusCode != 404 {
						t.Fatal(got.Status)
					}
				}
				n.signal(syscall.SIGUSR1) // writes the log, and tells of it
			}
			n.signal(syscall.SIGTERM)
			if code := n.exits(); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}
