package failover

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cachenode/cachenode/admin"
	"github.com/cachenode/cachenode/bench/origin"
	"github.com/cachenode/cachenode/internal/netlab"
)

const (
	vip       = "10.9.0.100"
	frontDoor = vip + ":3128"
)

// cluster is a number of nodes with a virtual IP, a client and an origin.
type cluster struct {
	t      *testing.T
	net    *netlab.Lab
	nodes  []*member
	client *netlab.Host
	origin *origin.Server
	config string // file
	token  string // file
	serial int    // of what clients ask for, so that no two ask for the same

	visitors *clients  // during an event
	began    time.Time // when that was
}

// member is one machine that runs a node.
type member struct {
	*netlab.Host
	ip, data string
	proc     *netlab.Process // nil: it does not run
	away     bool            // clients cannot reach it
	hung     bool
	ran      []*netlab.Process // all that ran here and were never hung
}

// heartbeat is three times the default for tests, on machines that are busy with
// others; the default is what is measured.
func heartbeat() string {
	if measuring() > 0 {
		return "100ms"
	}
	return "300ms"
}

// newCluster starts a cluster and waits until all nodes serve and agree.
func newCluster(t *testing.T, size int) *cluster {
	t.Helper()
	c := &cluster{t: t, net: netlab.New(t)}
	for i := range size {
		ip := fmt.Sprintf("10.9.0.%d", i+1)
		c.nodes = append(c.nodes, &member{Host: c.net.Host(fmt.Sprintf("n%d", i+1), ip+"/24"), ip: ip, data: filepath.Join(t.TempDir(), "data")})
	}
	c.client = c.net.Host("client", "10.9.0.200/24")
	c.serveOrigin(c.net.Host("origin", "10.9.0.250/24"))
	c.config = c.file("cachenode.yaml", "vip: {heartbeat: "+heartbeat()+"}\n")
	c.run(0)
	c.ready(0)
	c.token = c.file("token", c.done("token", 0))
	for i := 1; i < size; i++ {
		c.join(i)
	}
	c.settle()
	return c
}

// serveOrigin runs the benches' origin on a host.
func (c *cluster) serveOrigin(h *netlab.Host) {
	c.t.Helper()
	must(c.t, h.Do(func() (err error) {
		c.origin, err = origin.Listen("10.9.0.250:8080")
		return err
	}))
	served := make(chan error, 1)
	go func() { served <- c.origin.Serve() }()
	c.t.Cleanup(func() {
		_ = c.origin.Close() // there is nobody left to be told
		<-served
	})
}

func (c *cluster) file(name, text string) string {
	c.t.Helper()
	path := filepath.Join(c.t.TempDir(), name)
	must(c.t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// run starts a node that has a cluster or makes one.
func (c *cluster) run(i int) { c.t.Helper(); c.launch(i, "run", "--vip", vip+"/24") }

// join starts a node that has none.
func (c *cluster) join(i int) {
	c.t.Helper()
	c.launch(i, "join", c.nodes[0].ip, "--token-file", c.token)
}

func (c *cluster) launch(i int, command ...string) {
	c.t.Helper()
	n := c.nodes[i]
	n.proc = n.Start(nil, program, append(command, "--name", n.Name, "--bind", n.ip, "--data", n.data, "--config", c.config,
		"--memory", "16MiB", "--disk", "256MiB", "--allow-to", "10.9.0.250")...)
	n.ran = append(n.ran, n.proc)
	n.hung = false
}

// ready waits until a node serves.
func (c *cluster) ready(i int) {
	c.t.Helper()
	n := c.nodes[i]
	eventually(c.t, n.Name+" serves", func() bool {
		select {
		case <-n.proc.Done():
			c.t.Fatalf("%s ended: %v", n.Name, n.proc.Err())
		default:
		}
		return strings.Contains(n.proc.Output(), "msg=ready")
	})
}

// done runs a command of the command line for a node, and returns what it says.
func (c *cluster) done(command string, i int, args ...string) string {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, append([]string{command, "--data", c.nodes[i].data}, args...)...)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		c.t.Errorf("%s of %s: %v\n%s%s", command, c.nodes[i].Name, err, out, said.String())
	}
	return string(out)
}

// ask calls the API of a node.
func (c *cluster) ask(i int, f func(ctx context.Context, api *admin.Client) bool) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	api, err := admin.DialDir(ctx, c.nodes[i].data)
	if err != nil {
		return false
	}
	defer api.Close()
	return f(ctx, api)
}

// settle waits until all nodes run, know that of each other, and their front
// doors would send clients to all, and one holds the address.
func (c *cluster) settle() {
	c.t.Helper()
	for i, n := range c.nodes {
		c.ready(i)
		eventually(c.t, n.Name+" sees all others", func() bool {
			return c.ask(i, func(ctx context.Context, api *admin.Client) bool {
				m, err := api.Members(ctx)
				f, failed := api.FrontDoor(ctx)
				return err == nil && failed == nil && len(m.Members) == len(c.nodes) && len(f.Nodes) == len(c.nodes) &&
					!slices.ContainsFunc(m.Members, func(m admin.Member) bool { return m.State != "alive" }) &&
					!slices.ContainsFunc(f.Nodes, func(l admin.FrontDoorLine) bool { return l.Status != "UP" })
			})
		})
	}
	c.waitHolder(c.all())
}

// forgotten waits until no front door has connections any more: the clients are
// gone, and those that lost their holder without a word are not kept for ever.
func (c *cluster) forgotten() {
	c.t.Helper()
	for i, n := range c.nodes {
		if n.away || n.proc == nil {
			continue
		}
		eventually(c.t, n.Name+" has no connections of clients that are gone", func() bool {
			return c.ask(i, func(ctx context.Context, api *admin.Client) bool {
				f, err := api.FrontDoor(ctx)
				return err == nil && f.Front.Sessions == 0
			})
		})
	}
}

// restore ends everything that was done to the cluster.
func (c *cluster) restore() {
	c.t.Helper()
	c.net.Heal()
	for i, n := range c.nodes {
		switch {
		case n.away && n.proc == nil:
			c.powerOn(i)
		case n.away:
			c.plug(i)
		}
		if n.hung {
			c.wake(i)
		}
		if n.proc == nil {
			c.run(i)
			continue
		}
		c.ask(i, func(ctx context.Context, api *admin.Client) bool {
			_, err := api.Undrain(ctx, "")
			return err == nil
		})
	}
	c.settle()
}

func (c *cluster) all() (list []int) {
	for i := range c.nodes {
		list = append(list, i)
	}
	return list
}

// but are all but some.
func (c *cluster) but(out ...int) []int {
	return slices.DeleteFunc(c.all(), func(i int) bool { return slices.Contains(out, i) })
}

// holders are those, among the nodes that clients can reach, that have the
// address.
func (c *cluster) holders() (list []int) {
	for i, n := range c.nodes {
		if !n.away && n.Has(vip) {
			list = append(list, i)
		}
	}
	return list
}

// holder is the one node that has the address.
func (c *cluster) holder() int { c.t.Helper(); return c.waitHolder(c.all()) }

// waitHolder waits until exactly one node that clients can reach has the
// address, and that is one of some.
func (c *cluster) waitHolder(among []int) (by int) {
	c.t.Helper()
	eventually(c.t, fmt.Sprintf("one holder, among %v", c.names(among)), func() bool {
		is := c.holders()
		if len(is) != 1 || !slices.Contains(among, is[0]) {
			return false
		}
		by = is[0]
		return true
	})
	return by
}

// other is a node that does not hold the address.
func (c *cluster) other() int { c.t.Helper(); return c.but(c.holder())[0] }

func (c *cluster) names(list []int) (names []string) {
	for _, i := range list {
		names = append(names, c.nodes[i].Name)
	}
	return names
}

func (c *cluster) hosts(list []int) (hosts []*netlab.Host) {
	for _, i := range list {
		hosts = append(hosts, c.nodes[i].Host)
	}
	return hosts
}

// event takes note that the event is now; an event that needs to prepare calls it
// itself.
func (c *cluster) event() { c.began = time.Now() }

// What can happen to a node.

func (c *cluster) pull(i int)      { c.nodes[i].away = true; c.nodes[i].Pull() }
func (c *cluster) plug(i int)      { c.nodes[i].Plug(); c.nodes[i].away = false }
func (c *cluster) blackHole(i int) { c.nodes[i].away = true; c.nodes[i].BlackHole() }

// kill ends the process with SIGKILL.
func (c *cluster) kill(i int) {
	c.nodes[i].proc.Kill()
	c.nodes[i].proc = nil
}

// cutPower takes the machine away: its cable first, so that its kernel says no
// last word.
func (c *cluster) cutPower(i int) {
	c.pull(i)
	c.kill(i)
	_ = c.nodes[i].IP("address", "del", vip+"/32", "dev", netlab.Interface) // the holder's: a machine that is off has none
}

// powerOn boots a machine without the node. Unlike the kernel that stands in for
// it, it knows nothing of before: no connections, whose ports a client may use again,
// and not whom it asked for by ARP in vain while its cable was out, of whom it would
// not ask again for a second.
func (c *cluster) powerOn(i int) {
	c.t.Helper()
	c.nodes[i].EndConnections()
	c.plug(i)
	must(c.t, c.nodes[i].IP("neighbour", "flush", "dev", netlab.Interface))
}

// hang stops the process where it is.
func (c *cluster) hang(i int) {
	n := c.nodes[i]
	n.proc.Signal(syscall.SIGSTOP)
	n.hung = true
	n.ran = slices.DeleteFunc(n.ran, func(p *netlab.Process) bool { return p == n.proc })
}

func (c *cluster) wake(i int) { c.nodes[i].proc.Signal(syscall.SIGCONT); c.nodes[i].hung = false }

// stop ends the process in its own way.
func (c *cluster) stop(i int) {
	c.t.Helper()
	p := c.nodes[i].proc
	p.Signal(syscall.SIGTERM)
	select {
	case <-p.Done():
	case <-time.After(patience):
		c.t.Fatalf("%s did not stop", c.nodes[i].Name)
	}
	if p.Err() != nil {
		c.t.Errorf("%s stopped with %v", c.nodes[i].Name, p.Err())
	}
	c.nodes[i].proc = nil
}

// starved reports whether this machine kept nodes from running for as long as
// they may be silent.
func (c *cluster) starved() bool {
	return slices.ContainsFunc(c.nodes, func(n *member) bool {
		return slices.ContainsFunc(n.ran, func(p *netlab.Process) bool { return strings.Contains(p.Output(), "kept from running") })
	})
}
