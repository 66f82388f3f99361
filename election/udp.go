package election

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/cachenode/cachenode/peer"
)

// UDP is a Wire over a socket. Each member listens on the port after that of
// its gossip, at the same address.
type UDP struct{ conn *net.UDPConn }

// heartbeatPort is where a member's packets go; invalid when it has no gossip.
func heartbeatPort(gossip netip.AddrPort) netip.AddrPort {
	if !gossip.IsValid() || gossip.Port() == 0 || gossip.Port() == 65535 {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(gossip.Addr().Unmap(), gossip.Port()+1)
}

// ListenUDP binds the socket of a node whose gossip is at an address, as the
// others know it, and bound to one of this machine.
func ListenUDP(ctx context.Context, gossip, bound netip.AddrPort) (*UDP, error) {
	at := heartbeatPort(gossip)
	if !at.IsValid() {
		return nil, fmt.Errorf("listen for heartbeats: there is no port after that of the gossip address %v", gossip)
	}
	conn, err := (&net.ListenConfig{}).ListenPacket(ctx, "udp", netip.AddrPortFrom(bound.Addr(), at.Port()).String())
	if err != nil {
		return nil, fmt.Errorf("listen for heartbeats: %w", err)
	}
	return &UDP{conn.(*net.UDPConn)}, nil
}

// Close frees the socket.
func (u *UDP) Close() error { return u.conn.Close() }

// Send implements Wire. A datagram that the kernel does not take is lost, as
// any other may be.
func (u *UDP) Send(to *peer.Member, b []byte) {
	if at := heartbeatPort(to.Gossip); at.IsValid() {
		_, _ = u.conn.WriteToUDPAddrPort(b, at)
	}
}

// Receive implements Wire. Only one goroutine may call it.
func (u *UDP) Receive(ctx context.Context, buf []byte) ([]byte, error) {
	stop := context.AfterFunc(ctx, func() { _ = u.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	for {
		n, _, err := u.conn.ReadFromUDPAddrPort(buf)
		switch {
		case err == nil:
			return buf[:n], nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, net.ErrClosed), errors.Is(err, os.ErrDeadlineExceeded):
			return nil, err
		}
		// The report of an earlier datagram that nobody took.
	}
}
