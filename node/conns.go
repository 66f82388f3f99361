package node

import (
	"cmp"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cachenode/cachenode/accesslog"
	"github.com/cachenode/cachenode/admin"
)

// reserve are the descriptors that clients do not get: the store, the admin
// interface and the logs must go on when clients take all they can.
const reserve = 64

// conns are the open connections of clients. A connection that has become a
// tunnel is the proxy's to count.
type conns struct {
	open atomic.Int64
	max  int64

	mu   sync.Mutex // guards all and last
	all  map[net.Conn]*conn
	last uint64
}

// conn is what is known of a connection.
type conn struct {
	id       uint64
	since    time.Time
	requests int64
}

// maxConns is how many connections clients may have with a limit of open files:
// each may need one to an origin as well.
func maxConns(files uint64) int64 {
	const fewest, most = 16, 1 << 20
	if files > most {
		return most
	}
	return max(fewest, (int64(files)-reserve)/2)
}

// openFiles is the limit on open descriptors. The Go runtime has raised the
// soft limit to the hard one at the start.
func openFiles() uint64 {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil {
		return 1024
	}
	return l.Cur
}

// track is for http.Server.ConnState.
func (c *conns) track(nc net.Conn, s http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch s {
	case http.StateNew:
		c.open.Add(1)
		c.last++
		if c.all == nil {
			c.all = map[net.Conn]*conn{}
		}
		c.all[nc] = &conn{id: c.last, since: time.Now()}
	case http.StateActive:
		if known := c.all[nc]; known != nil {
			known.requests++
		}
	case http.StateClosed, http.StateHijacked:
		c.open.Add(-1)
		delete(c.all, nc)
	}
}

// list describes the open connections, the oldest first.
func (c *conns) list() []admin.Connection {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]admin.Connection, 0, len(c.all))
	for nc, known := range c.all {
		list = append(list, admin.Connection{
			ID: known.id, Client: addrPort(nc.RemoteAddr()), Local: addrPort(nc.LocalAddr()),
			Since: known.since, Requests: known.requests,
		})
	}
	slices.SortFunc(list, func(a, b admin.Connection) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// gate is a listener that turns away, unread, what would take the descriptors
// of the reserve: half as many connections more than may be served.
type gate struct {
	net.Listener
	full   func() bool
	answer []byte
}

// Accept implements net.Listener.
func (g *gate) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		if err != nil || !g.full() {
			return c, err
		}
		_ = c.SetWriteDeadline(time.Now().Add(time.Second)) // a new connection's buffer takes it at once
		_, _ = c.Write(g.answer)
		_ = c.Close() // there is nobody to tell
	}
}

func (n *Node) gate(ln net.Listener) net.Listener {
	return &gate{Listener: ln, full: n.full, answer: fmt.Appendf(nil,
		"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 5\r\nContent-Length: 0\r\nProxy-Status: %s; error=connection_limit_reached\r\n\r\n", n.o.Name)}
}

// full reports that no further connection may be taken; a tunnel counts as one,
// and has one more to where it goes.
func (n *Node) full() bool {
	taken := n.conns.open.Load() + int64(n.proxy.Stats().Tunnels.Active)
	return taken >= n.conns.max+n.conns.max/2
}

// crowded reports that there are more connections than there may be.
func (c *conns) crowded() bool { return c.open.Load() > c.max }

// ServeHTTP answers for the proxy while there are too many connections, so that
// those who are being served keep what they need.
func (n *Node) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !n.conns.crowded() {
		n.proxy.ServeHTTP(w, r)
		return
	}
	now := time.Now()
	h := w.Header()
	h.Set("Connection", "close")
	h.Set("Retry-After", "5")
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Proxy-Status", n.o.Name+"; error=connection_limit_reached")
	w.WriteHeader(http.StatusServiceUnavailable)
	sent, _ := io.WriteString(w, "Too many connections to this proxy: try again soon.\n") // the client may have gone
	client, _ := netip.ParseAddrPort(r.RemoteAddr)                                        // of net/http, always one
	n.record(&accesslog.Entry{
		Time: now, Client: client.Addr().Unmap(), Method: r.Method, URL: plainURL(r), Proto: r.Proto,
		Result: accesslog.Result{None: true}, Status: http.StatusServiceUnavailable, BytesOut: int64(sent),
		ProxyError: "connection_limit_reached",
	})
}

// plainURL is what was asked for, without userinfo.
func plainURL(r *http.Request) string {
	if r.Method == http.MethodConnect {
		return r.Host
	}
	u := *r.URL
	u.User = nil
	return fmt.Sprint(&u)
}
