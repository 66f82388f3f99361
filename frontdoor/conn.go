package frontdoor

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/cachenode/cachenode/internal/proxyproto"
	"github.com/cachenode/cachenode/internal/relay"
	"github.com/cachenode/cachenode/internal/tcp"
)

// conn is a client's connection. What Door's mutex guards is marked.
type conn struct {
	nc     *net.TCPConn
	client netip.AddrPort
	local  netip.AddrPort // on the virtual IP
	header [64]byte       // room for the PROXY header

	node  *node        // guarded: where it was placed; nil: nowhere
	tried []*node      // guarded: where it could not be connected to
	why   Reason       // guarded: what ended its wait
	relay *relay.Relay // guarded: once it is connected
	lost  bool         // guarded: node is dead
	cut   bool         // guarded: it is to end
	// asleep: guarded: it waits in the queue until its deadline for reading
	asleep bool
}

func newConn(nc *net.TCPConn) *conn {
	return &conn{nc: nc, client: addrPort(nc.RemoteAddr()), local: addrPort(nc.LocalAddr())}
}

func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// moved is what has gone through it; Door's mutex is held.
func (c *conn) moved() (in, out int64) {
	if c.relay == nil {
		return 0, 0
	}
	return c.relay.Moved()
}

// serve is the life of a connection: a node is found for it, another if that
// cannot be reached, and then the bytes move.
func (d *Door) serve(c *conn) {
	defer d.forget(c)
	to, why := d.arrive(c)
	for why.placed() {
		if to.Self && d.deps.HandOver != nil {
			d.handOver(c)
			return
		}
		if d.carry(c, to) {
			return
		}
		to, why = d.elsewhere(c)
	}
	relay.Reset(c.nc)
}

// handOver gives c to the own node, without a detour through the network.
func (d *Door) handOver(c *conn) {
	in, out := d.deps.HandOver(c.nc)
	d.leave(c, in, out, false)
}

// carry moves bytes between c and the node it was placed at until both are done.
// False: that could not be reached, and c has seen nothing of it.
func (d *Door) carry(c *conn, to Backend) bool {
	far, err := d.connect(to)
	if err != nil {
		d.deps.Log.Debug("a node cannot be connected to", "node", to.Name, "address", to.Addr, "error", err)
		return false
	}
	r := relay.New(c.nc, far, relay.Options{
		IdleTimeout: d.opts.IdleTimeout.D(), HalfCloseTimeout: d.opts.HalfCloseTimeout.D(), PeerTimeout: peerTimeout,
		First: proxyproto.Append(c.header[:0], c.client, c.local), FirstWait: firstWait,
	})
	if !d.reached(c, r) {
		relay.Reset(far)
		return false
	}
	v := r.Run()
	in, out := r.Moved()
	d.leave(c, in, out, v.Aborted)
	return true
}

// peerTimeout is how long a client or node may acknowledge nothing of what it was
// sent. Of nodes the cluster knows sooner.
const peerTimeout = 30 * time.Second

// firstWait is how long the PROXY header waits for the client's first bytes, to
// go with them: much less than the node gives the client for its first request.
const firstWait = time.Second

func (d *Door) connect(to Backend) (net.Conn, error) {
	return d.deps.Dial(timeLimit{d.life, time.Now().Add(d.opts.ConnectTimeout.D())}, to.Addr)
}

// timeLimit is a context with a deadline but without a timer of its own: the
// dialler sets the socket's deadline, and that is all it needs.
type timeLimit struct {
	context.Context
	at time.Time
}

func (l timeLimit) Deadline() (time.Time, bool) { return l.at, true }

func dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	return tcp.Dialer{}.Dial(ctx, to)
}
