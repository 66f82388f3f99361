package scenario

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cachenode/cachenode/internal/transcript"
)

// setup is how a node is started, where flags do not say it.
type setup struct {
	program string   // "": the binary built as this test was
	wrap    []string // a command that runs the node, such as prlimit
	env     []string // beside the environment of this test
	dir     string   // the data directory; "": a new one
	guarded bool     // loopback destinations stay refused
	cluster []string // the command of a node in a cluster; nil: run --standalone
	args    []string // further flags of run
}

// node is one process of cachenode.
type node struct {
	t    *testing.T
	how  setup
	data string
	logs string // the access log

	cmd   *exec.Cmd
	out   *transcript.Transcript
	ended chan struct{} // closed when the process has
	proxy string        // host:port
	admin string        // host:port
}

// start runs a node on free ports and waits until it serves. It is stopped at
// the end of the test, and may not have panicked or raced.
func start(t *testing.T, args ...string) *node {
	t.Helper()
	return startWith(t, setup{args: args})
}

func startWith(t *testing.T, how setup) *node {
	t.Helper()
	n := &node{t: t, how: how, data: how.dir, logs: filepath.Join(t.TempDir(), "access.log")}
	if n.data == "" {
		n.data = filepath.Join(t.TempDir(), "data")
	}
	n.launch()
	t.Cleanup(func() {
		n.stop()
		if t.Failed() {
			t.Logf("the node said\n%s", clip(n.out.String(), 20_000))
		}
	})
	n.ready()
	return n
}

// launch starts the process and waits for nothing.
func (n *node) launch() {
	n.t.Helper()
	program := n.how.program
	if program == "" {
		program = filepath.Join(bin, "cachenode")
	}
	line := append(append([]string{}, n.how.wrap...), program)
	if n.how.cluster != nil {
		line = append(line, n.how.cluster...)
	} else {
		line = append(line, "run", "--standalone", "--name", "n1")
	}
	line = append(line, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data", n.data, "--access-log", n.logs,
		"--memory", "32MiB", "--disk", "256MiB")
	if !n.how.guarded {
		line = append(line, "--allow-to", "127.0.0.0/8", "--allow-to", "::1/128")
	}
	line = append(line, n.how.args...)
	n.out, n.ended = &transcript.Transcript{}, make(chan struct{})
	n.cmd = exec.Command(line[0], line[1:]...)
	n.cmd.Env = append(append(os.Environ(), "GORACE=atexit_sleep_ms=50"), n.how.env...)
	n.cmd.Stdout, n.cmd.Stderr = n.out, n.out
	must(n.t, n.cmd.Start())
	go func(c *exec.Cmd, ended chan struct{}) {
		_ = c.Wait() // its state says how it ended
		close(ended)
	}(n.cmd, n.ended)
}

// ready waits until the node serves and learns its addresses.
func (n *node) ready() {
	n.t.Helper()
	n.says("msg=ready")
	n.proxy = n.says(`proxy   http://(\S+?),`)
	n.admin = n.says(`admin   http://(\S+?),`)
}

// says waits until the output matches, and returns the last group of it.
func (n *node) says(pattern string) string {
	n.t.Helper()
	re := regexp.MustCompile(pattern)
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if m := re.FindStringSubmatch(n.out.String()); m != nil {
			return m[len(m)-1]
		}
		if !n.running() || time.Now().After(end) {
			n.t.Fatalf("the node never said %s but\n%s", pattern, n.out)
		}
	}
}

func (n *node) pid() int { return n.cmd.Process.Pid }

func (n *node) running() bool {
	select {
	case <-n.ended:
		return false
	default:
		return true
	}
}

func (n *node) signal(s syscall.Signal) {
	n.t.Helper()
	must(n.t, n.cmd.Process.Signal(s))
}

// exits waits for the end and returns the exit code, -1 after a signal.
func (n *node) exits() int {
	n.t.Helper()
	select {
	case <-n.ended:
	case <-time.After(patience):
		n.t.Fatalf("the node did not end; it said\n%s", n.out)
	}
	return n.cmd.ProcessState.ExitCode()
}

// kill is kill -9.
func (n *node) kill() {
	n.t.Helper()
	n.signal(syscall.SIGKILL)
	n.exits()
}

// restart stops the node if it runs, and starts it on the same directory with
// the same flags. Its ports change.
func (n *node) restart() {
	n.t.Helper()
	n.stop()
	n.launch()
	n.ready()
}

// stop ends the process in its own way, else by force, and looks at what it
// said.
func (n *node) stop() {
	n.t.Helper()
	if n.running() {
		n.signal(syscall.SIGTERM)
		select {
		case <-n.ended:
		case <-time.After(patience):
			n.t.Errorf("the node did not stop within %v", patience)
			n.signal(syscall.SIGQUIT) // shows its goroutines
			<-n.ended
		}
		if code := n.cmd.ProcessState.ExitCode(); code != 0 {
			n.t.Errorf("the node ended with exit code %d; it said\n%s", code, clip(n.out.String(), 20_000))
		}
	}
	for _, trouble := range []string{"DATA RACE", "panic:", "fatal error:"} {
		if strings.Contains(n.out.String(), trouble) {
			n.t.Errorf("%s in the node's output:\n%s", trouble, clip(n.out.String(), 20_000))
		}
	}
}

// command runs a command of the command line against this node's directory.
func (n *node) command(args ...string) (code int, out string) {
	n.t.Helper()
	c := exec.Command(filepath.Join(bin, "cachenode"), args...)
	c.Env = append(os.Environ(), "CACHENODE_DATA="+n.data)
	b, err := c.CombinedOutput()
	if c.ProcessState == nil {
		n.t.Fatal(err)
	}
	return c.ProcessState.ExitCode(), string(b)
}
