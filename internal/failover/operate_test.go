package failover

import (
	"strings"
	"time"
)

// drain takes a node out of service, and waits as an operator would.
func (c *cluster) drain(i int) {
	c.t.Helper()
	if out := c.done("drain", i, "--yes"); !strings.Contains(out, "ok") {
		c.t.Errorf("drain of %s: %s", c.nodes[i].Name, out)
	}
}

// undrain takes all nodes back.
func (c *cluster) undrain() {
	c.t.Helper()
	for i := range c.nodes {
		c.done("undrain", i)
	}
	c.settle()
}

// restartAll restarts one node after the other, as for an upgrade, with further
// downloads under way at each.
func (c *cluster) restartAll() {
	c.t.Helper()
	for i := range c.nodes {
		c.visitors.download(2)
		c.drain(i)
		c.stop(i)
		c.run(i)
		c.settle()
	}
}

// wakeAll has the processes that hang go on.
func (c *cluster) wakeAll() {
	for i, n := range c.nodes {
		if n.hung {
			c.wake(i)
		}
	}
}

// loseAnnouncements takes the holder away; for a while nobody hears that another
// one has the address.
func (c *cluster) loseAnnouncements() []int {
	c.t.Helper()
	i := c.holder()
	for _, n := range c.but(i) {
		c.nodes[n].DropGratuitousARP(vip)
	}
	c.event()
	c.cutPower(i)
	by := c.waitHolder(c.but(i))
	time.Sleep(300 * time.Millisecond)
	for _, n := range c.but(i) {
		c.nodes[n].Recover()
	}
	return []int{by}
}

// coldStart takes the power from all nodes, and starts all of them together.
func (c *cluster) coldStart() []int {
	for i := range c.nodes {
		c.cutPower(i)
	}
	for i := range c.nodes {
		c.powerOn(i)
	}
	c.event()
	for i := range c.nodes {
		c.run(i)
	}
	return c.all()
}
