package node

import (
	"net"
	"net/http"
	"sync/atomic"
)

// conns counts the open connections of clients, tunnels included.
type conns struct{ open atomic.Int64 }

// track is for http.Server.ConnState. A hijacked connection is a tunnel from
// then on, which the proxy counts.
func (c *conns) track(_ net.Conn, s http.ConnState) {
	switch s {
	case http.StateNew:
		c.open.Add(1)
	case http.StateClosed, http.StateHijacked:
		c.open.Add(-1)
	}
}
