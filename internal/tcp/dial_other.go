//go:build !linux

package tcp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"time"
)

func (d Dialer) dial(ctx context.Context, by time.Time, to netip.AddrPort) (net.Conn, error) {
	nd := net.Dialer{KeepAlive: -1, Deadline: by}
	nd.SetMultipathTCP(false)
	if d.Local.IsValid() {
		nd.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(d.Local, 0))
	}
	nc, err := nd.DialContext(ctx, "tcp", to.String())
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = context.DeadlineExceeded
	}
	return nc, err
}
