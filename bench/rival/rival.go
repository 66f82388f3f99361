// Package rival starts proxies beside which ours is measured: those of the
// system's packages, under configurations of our own, and cachenode itself. Each
// runs in a directory of its own on a free loopback port, and all of its
// processes end with Stop. It makes no load and measures no latency.
package rival

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/cachenode/cachenode/internal/procstat"
	"github.com/cachenode/cachenode/internal/units"
)

// The proxies that can be started.
const (
	Cachenode     = "cachenode"
	Squid         = "squid"
	Nginx         = "nginx"
	TrafficServer = "trafficserver"
	HAProxy       = "haproxy"
)

// Names are the proxies that Start knows.
func Names() []string { return []string{Cachenode, Squid, Nginx, TrafficServer, HAProxy} }

// Options are how a proxy is started.
type Options struct {
	Name    string     // one of Names
	Dir     string     // where its directory is made; "": the system's temporary one
	Origin  string     // HOST:PORT that a reverse proxy asks
	Backend string     // HOST:PORT that a front end passes bytes to
	Memory  units.Size // of the memory cache; 0: bodies are kept on disk only
	Disk    units.Size // of the disk cache; 0: none
	Binary  string     // of cachenode; of the others "" finds it
	CPU     int        // the only processor it runs on; <0: all
}

// Proxy is one that runs.
type Proxy struct {
	Name    string
	Addr    string // HOST:PORT it listens on
	Version string
	Note    string // what a reader of figures must know; may be empty

	dir   string
	grace time.Duration // that its processes have to end by themselves
	cmd   *exec.Cmd
	ended chan struct{} // closed when the first process has ended
}

// MissingError tells that a proxy is not installed.
type MissingError struct{ Name, Package string }

func (e *MissingError) Error() string {
	return fmt.Sprintf("%s: not installed (apt-get install %s)", e.Name, e.Package)
}

// Find is the path of a proxy's program, or a *MissingError.
func Find(name string) (string, error) {
	k, ok := kinds()[name]
	if !ok {
		return "", fmt.Errorf("unknown proxy %q: want one of %s", name, strings.Join(Names(), ", "))
	}
	for _, p := range []string{k.program, "/usr/sbin/" + k.program, "/usr/local/sbin/" + k.program} {
		if path, err := exec.LookPath(p); err == nil {
			return path, nil
		}
	}
	return "", &MissingError{Name: name, Package: k.pkg}
}

// attempts is how often another port is tried when somebody took ours.
const attempts = 3

// Start runs a proxy and returns when it takes connections. The caller calls
// Stop, also when ctx has ended.
func Start(ctx context.Context, o Options) (*Proxy, error) {
	if o.Binary == "" {
		path, err := Find(o.Name)
		if err != nil {
			return nil, err
		}
		o.Binary = path
	}
	k, ok := kinds()[o.Name]
	if !ok {
		return nil, fmt.Errorf("unknown proxy %q", o.Name)
	}
	for i := 1; ; i++ {
		p, err := start(ctx, o, k)
		if err == nil || i == attempts || ctx.Err() != nil || !strings.Contains(err.Error(), "in use") {
			return p, err
		}
	}
}

func start(ctx context.Context, o Options, k kind) (_ *Proxy, err error) {
	p := &Proxy{Name: o.Name, Note: k.note, grace: 5 * time.Second, ended: make(chan struct{})}
	if p.dir, err = os.MkdirTemp(o.Dir, "cachenode-bench-"+o.Name+"-"); err != nil {
		return nil, fmt.Errorf("start %s: %w", o.Name, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(p.dir))
		}
	}()
	if p.Addr, err = freeAddr(); err != nil {
		return nil, fmt.Errorf("start %s: %w", o.Name, err)
	}
	s := setting{Options: o, Addr: p.Addr, Dir: p.dir, Account: k.account()}
	args, err := k.prepare(ctx, &s)
	if err != nil {
		return nil, fmt.Errorf("configure %s: %w", o.Name, err)
	}
	if err := s.giveAway(); err != nil {
		return nil, fmt.Errorf("configure %s: %w", o.Name, err)
	}
	p.Version = versionOf(ctx, o.Binary, k.version)
	if err := p.launch(o, args, s.env); err != nil {
		return nil, fmt.Errorf("start %s: %w", o.Name, err)
	}
	if err := p.listening(ctx); err != nil {
		_ = p.end() // the reason why it does not listen says more
		return nil, fmt.Errorf("start %s: %w", o.Name, err)
	}
	return p, nil
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func versionOf(ctx context.Context, program, flag string) string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, flag).CombinedOutput() // nginx says it on stderr
	if err != nil {
		return ""
	}
	return readVersion(string(out))
}

var numbers = regexp.MustCompile(`v?[0-9]+\.[0-9][^\s,()]*`)

// readVersion finds a version in what a program says of itself: the first one
// with a point in it, else the word behind the name.
func readVersion(said string) string {
	line, _, _ := strings.Cut(said, "\n")
	before, _, _ := strings.Cut(line, "(")
	if v := numbers.FindString(before); v != "" {
		return v
	}
	if fields := strings.Fields(before); len(fields) > 1 {
		return fields[1]
	}
	return ""
}

// launch runs the program in a process group of its own, so that Ctrl-C on our
// terminal does not reach it before Stop does.
func (p *Proxy) launch(o Options, args, env []string) error {
	out, err := os.Create(p.output())
	if err != nil {
		return err
	}
	defer out.Close()
	p.cmd = exec.Command(o.Binary, args...)
	p.cmd.Dir, p.cmd.Env = p.dir, append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := startOn(o.CPU, p.cmd); err != nil {
		return err
	}
	go func() {
		_ = p.cmd.Wait() // how it ended does not matter
		close(p.ended)
	}()
	return nil
}

func (p *Proxy) output() string { return filepath.Join(p.dir, "output") }

// listening waits until connections are taken.
func (p *Proxy) listening(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		if c, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.Addr); err == nil {
			tick.Stop()
			return c.Close()
		}
		select {
		case <-tick.C:
			continue
		case <-p.ended:
			tick.Stop()
			return fmt.Errorf("it ended at once, saying %s", p.said())
		case <-ctx.Done():
			tick.Stop()
			return fmt.Errorf("it does not listen on %s: %w; it said %s", p.Addr, ctx.Err(), p.said())
		}
	}
}

// said is the end of what the proxy wrote.
func (p *Proxy) said() string {
	var all []byte
	for _, name := range []string{p.output(), filepath.Join(p.dir, "error.log"), filepath.Join(p.dir, "cache.log")} {
		b, _ := os.ReadFile(name) // what there is
		all = append(all, b...)
	}
	all = bytes.TrimSpace(all)
	if len(all) == 0 {
		return "nothing"
	}
	return string(all[max(0, len(all)-1000):])
}

// Usage is what the proxy's processes have used so far.
func (p *Proxy) Usage() procstat.Usage { return procstat.Of(procstat.Tree(p.PID())...) }

// PID is the first of its processes.
func (p *Proxy) PID() int { return p.cmd.Process.Pid }

// Alive reports that its first process runs.
func (p *Proxy) Alive() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// Stop ends all processes of the proxy and removes its directory.
func (p *Proxy) Stop() error {
	err := p.end()
	if err := errors.Join(err, os.RemoveAll(p.dir)); err != nil {
		return fmt.Errorf("stop %s: %w", p.Name, err)
	}
	return nil
}

// killed is how long the kernel may take to end a process.
const killed = 10 * time.Second

func (p *Proxy) end() error {
	tree := procstat.Tree(p.PID()) // before its parents are gone
	p.signal(tree, syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(p.grace):
	}
	p.signal(tree, syscall.SIGKILL)
	select {
	case <-p.ended:
		return nil
	case <-time.After(killed):
		return fmt.Errorf("process %d does not end", p.PID())
	}
}

// signal reaches the group. Of the tree it reaches those that have left the
// group, as long as they are what they were: children of the same processes.
func (p *Proxy) signal(tree []int, s syscall.Signal) {
	_ = syscall.Kill(-p.PID(), s) // it may be gone
	for _, pid := range tree[1:] {
		if slices.Contains(procstat.Tree(p.PID()), pid) {
			_ = syscall.Kill(pid, s) // the same
		}
	}
}
