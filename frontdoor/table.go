package frontdoor

import (
	"slices"
	"time"

	"github.com/cachenode/cachenode/internal/relay"
)

// table is who the nodes are and which connection is at which of them. It does no
// I/O and is told the time; Door guards it.
type table struct {
	opts  Options
	nodes []*node
	known bool // there have been backends before

	open    map[*conn]struct{}
	carried int     // of these, that have a node
	queue   []*conn // of these, that wait for one
	placed  uint64  // connections so far, each time they were placed
	scratch []candidate

	front counts
	all   counts // of the nodes together, those that are gone included
	why   [reasons]int64
}

// set makes list the backends. It returns the connections to reset, because
// their nodes are down or gone, and the nodes whose status has changed.
func (t *table) set(list []Backend, now time.Time) (lost []*conn, changed []*node) {
	old := t.nodes
	t.nodes = make([]*node, 0, len(list))
	for _, b := range list {
		if t.find(b.ID) != nil {
			continue // named twice
		}
		n := take(old, b.ID)
		if n == nil {
			n = &node{seed: seedOf(b.ID), changed: now, status: statusOf(b.State, fit)}
			if t.known {
				n.risen = now
			}
		}
		if n.Addr != b.Addr {
			n.health, n.checkAt = health{}, now
		}
		n.Backend = b
		t.nodes = append(t.nodes, n)
		if n.update(now) {
			changed = append(changed, n)
		}
		switch {
		case b.State != Down:
		case n.health.doubtful():
			lost = t.lose(lost, n)
		default:
			n.checkAt = now // a cluster that is too busy to gossip is no dead node
			t.divert(n)
		}
	}
	t.known = t.known || len(list) > 0
	for _, n := range old {
		if t.find(n.ID) == nil {
			lost = t.lose(lost, n)
		}
	}
	return lost, changed
}

func take(nodes []*node, id string) *node {
	if i := slices.IndexFunc(nodes, func(n *node) bool { return n.ID == id }); i >= 0 {
		return nodes[i]
	}
	return nil
}

func (t *table) find(id string) *node { return take(t.nodes, id) }

// divert has those connections go elsewhere that n is just being connected to
// for.
func (t *table) divert(n *node) {
	for c := range t.open {
		if c.node == n && c.relay == nil && !n.Self {
			c.lost = true
		}
	}
}

// lose appends the connections of n, which is dead. Those of the own node are not
// lost, whatever others think of it; those that no byte has gone through yet go
// elsewhere.
func (t *table) lose(lost []*conn, n *node) []*conn {
	if n.Self {
		return lost
	}
	for c := range t.open {
		if c.node != n {
			continue
		}
		c.lost = true
		if c.relay != nil {
			lost = append(lost, c)
		}
	}
	return lost
}

// arrive takes a new connection in: it gets a node, or waits if why says so, or
// is refused.
func (t *table) arrive(c *conn, now time.Time) (why Reason) {
	t.open[c] = struct{}{}
	t.front.begin(now, len(t.open))
	if len(t.queue) > 0 && !c.cut { // nobody overtakes those that wait
		return t.enqueue(c, FullDoor)
	}
	return t.seek(c, now)
}

// seek places c, or has it wait.
func (t *table) seek(c *conn, now time.Time) Reason {
	if c.cut {
		t.why[Closing]++
		return Closing
	}
	why := t.place(c, now)
	if why.waits() {
		return t.enqueue(c, why)
	}
	if c.node == nil {
		t.why[why]++
	}
	return why
}

// place gives c a node if one takes it.
func (t *table) place(c *conn, now time.Time) Reason {
	if most := t.opts.MaxConnections; most > 0 && t.carried >= most {
		return FullDoor
	}
	all := t.candidates(c, now)
	at, why := pick(all, t.opts.Balance, c.client.Addr())
	if at < 0 {
		return why
	}
	charge(all, at)
	for i, n := range t.nodes {
		n.credit = all[i].credit
	}
	n := t.nodes[at]
	t.placed++
	t.carried++
	t.why[why]++
	n.turn = t.placed
	n.active++
	n.count.begin(now, n.active)
	t.all.begin(now, t.carried)
	c.node = n
	if len(c.tried) > 0 {
		for _, from := range []*counts{&c.tried[len(c.tried)-1].count, &t.all} {
			from.redispatches++
		}
	}
	return why
}

func (t *table) candidates(c *conn, now time.Time) []candidate {
	t.scratch = t.scratch[:0]
	for _, n := range t.nodes {
		t.scratch = append(t.scratch, candidate{
			grade: n.status.grade(), self: n.Self, tried: slices.Contains(c.tried, n),
			weight: effective(n.Weight, share(n.risen, now, t.opts.SlowStart.D())),
			active: n.active, limit: t.opts.MaxConnectionsPerNode,
			turn: n.turn, credit: n.credit, seed: n.seed,
		})
	}
	return t.scratch
}

// enqueue has c wait, or says that too many do.
func (t *table) enqueue(c *conn, why Reason) Reason {
	if len(t.queue) >= t.opts.Queue {
		t.why[QueueFull]++
		return QueueFull
	}
	t.why[why]++
	t.queue = append(t.queue, c)
	t.all.queueMax = max(t.all.queueMax, len(t.queue))
	return why
}

// dequeue ends c's wait for why, unless it has a node by now.
func (t *table) dequeue(c *conn, why Reason) {
	if i := slices.Index(t.queue, c); i >= 0 {
		t.queue = slices.Delete(t.queue, i, i+1)
		t.why[why]++
		c.why = why
	}
}

// advance places those that wait, as far as there is room, and returns them.
// Whoever cannot be placed at all any more is returned too.
func (t *table) advance(now time.Time) (woken []*conn) {
	kept := t.queue[:0]
	for i, c := range t.queue {
		c.why = t.place(c, now)
		switch {
		case !c.why.waits():
			woken = append(woken, c)
			if c.node == nil {
				t.why[c.why]++
			}
		case len(c.tried) == 0: // no room for anybody behind it either
			t.requeue(append(kept, t.queue[i:]...))
			return woken
		default:
			kept = append(kept, c)
		}
	}
	t.requeue(kept)
	return woken
}

// requeue makes kept, which is in the queue's memory, the queue.
func (t *table) requeue(kept []*conn) {
	clear(t.queue[len(kept):])
	t.queue = kept
}

// missed takes c from the node that it could not be connected to.
func (t *table) missed(c *conn, now time.Time) (changed *node) {
	n := c.node
	t.vacate(c)
	if c.cut {
		return nil // which the node cannot help
	}
	c.tried = append(c.tried, n)
	n.count.connectErrors++
	t.all.connectErrors++
	n.health.connect(false, t.opts.Check)
	n.checkSoon(now, t.opts.Check.Interval.D()/5)
	if n.update(now) {
		return n
	}
	return nil
}

// reached notes that c is connected to its node, by r. False: the node has died
// meanwhile, or c is to end.
func (t *table) reached(c *conn, r *relay.Relay) bool {
	if c.lost || c.cut {
		return false
	}
	c.node.health.connect(true, t.opts.Check)
	c.relay = r
	return true
}

// vacate takes c from its node.
func (t *table) vacate(c *conn) {
	c.node.active--
	c.node, c.lost = nil, false
	t.carried--
}

// leave ends c, which has a node.
func (t *table) leave(c *conn, in, out int64, aborted bool) {
	for _, n := range []*counts{&c.node.count, &t.all, &t.front} {
		n.in += in
		n.out += out
		if aborted {
			n.aborted++
		}
	}
	t.vacate(c)
}

// checkSoon has the next check come at once, but not within pause of the last.
func (n *node) checkSoon(now time.Time, pause time.Duration) {
	soon := now
	if least := n.checked.Add(pause); least.After(soon) {
		soon = least
	}
	if soon.Before(n.checkAt) {
		n.checkAt = soon
	}
}
