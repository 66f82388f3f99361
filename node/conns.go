package node

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/cachenode/cachenode/admin"
	"github.com/cachenode/cachenode/http1"
)

// reserve are the descriptors that clients do not get: the store, the admin
// interface and the logs must go on when clients take all they can.
const reserve = 64

// maxConns is how many connections clients may have with a limit of open files:
// each may need one to an origin as well.
func maxConns(files uint64) int {
	const fewest, most = 16, 1 << 20
	if files > most {
		return most
	}
	return max(fewest, (int(files)-reserve)/2)
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

// newServer makes the server of the clients.
func (n *Node) newServer() (*http1.Server, error) {
	o := n.o.serverOptions()
	if o.MaxConnections == 0 {
		o.MaxConnections = maxConns(openFiles())
	}
	return http1.New(*o, http1.Deps{
		Handler: n.proxy, Log: n.log, Front: n.isFront,
		TurnedAway: fmt.Appendf(nil,
			"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 5\r\nContent-Length: 0\r\nProxy-Status: %s; error=connection_limit_reached\r\n\r\n", n.o.Name),
	})
}

// connections lists those of clients, the oldest first.
func (n *Node) connections() []admin.Connection {
	known := n.server.Conns()
	list := make([]admin.Connection, 0, len(known))
	for _, c := range known {
		if c.State == http1.StateTunnel {
			continue // the proxy lists it with where it goes
		}
		list = append(list, admin.Connection{
			ID: c.ID, Client: c.Client, Local: c.Local, Since: c.Since, State: c.State.String(),
			Requests: c.Requests, BytesIn: c.BytesIn, BytesOut: c.BytesOut,
		})
	}
	return list
}
