package node

import (
	"net"
	"slices"
	"strings"

	"github.com/cachenode/cachenode/acl"
)

// dialable is an address of this machine that reaches a listener bound to a.
func dialable(a net.Addr) string {
	tcp, ok := a.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return a.String()
	}
	host := "127.0.0.1"
	if ln := tcp.IP.To4(); ln == nil && !hasIPv4() {
		host = "::1"
	}
	return (&net.TCPAddr{IP: net.ParseIP(host), Port: tcp.Port}).String()
}

// hasIPv4 reports whether this machine has an IPv4 address at all.
func hasIPv4() bool {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return true
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil {
			return true
		}
	}
	return false
}

// ProxyHostPort is where a client on this machine finds the proxy.
func (n *Node) ProxyHostPort() string { return dialable(n.listeners[0].Addr()) }

// ProxyURL is ProxyHostPort as curl and browsers take it.
func (n *Node) ProxyURL() string { return "http://" + n.ProxyHostPort() }

// listening names every address the proxy listens on.
func (n *Node) listening() string {
	parts := make([]string, len(n.listeners))
	for i, ln := range n.listeners {
		parts[i] = ln.Addr().String()
	}
	return strings.Join(parts, ", ")
}

// AdminURL is where a client on this machine finds the admin interface; "" when
// only its socket is open.
func (n *Node) AdminURL() string {
	a := n.admin.Addr()
	if a == nil {
		return ""
	}
	return "http://" + dialable(a)
}

// InFlight counts the requests and tunnels that a stop would wait for.
func (n *Node) InFlight() int { return n.proxy.Stats().Active }

// Clients says in a few words who may use the proxy.
func (n *Node) Clients() string {
	from := n.Options().ACL.AllowFrom
	if slices.Equal(from, acl.DefaultOptions().AllowFrom) {
		return "this machine and private networks"
	}
	return "clients from " + strings.Join(from, ", ")
}
