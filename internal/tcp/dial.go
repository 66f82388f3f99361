// Package tcp opens TCP connections for what makes many of them: with the system
// calls that this takes and no more, and without a timer unless there is something
// to wait for. It resolves no names, and asks nobody who may be connected to.
package tcp

import (
	"context"
	"net"
	"net/netip"
	"time"
)

// Dialer says how to connect. The zero value connects from the address that the
// route says, within the deadline of the context.
type Dialer struct {
	Local   netip.Addr    // to connect from, not unspecified; the port is any
	Timeout time.Duration // in all; 0: none
}

// Dial connects to an address that is no name. Small writes are sent at once, and
// there are no keep-alive probes. The error is a *net.OpError; that the time is
// over, by Timeout or by ctx, is a context.DeadlineExceeded in it.
func (d Dialer) Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	by, _ := ctx.Deadline()
	if d.Timeout > 0 {
		if at := time.Now().Add(d.Timeout); by.IsZero() || at.Before(by) {
			by = at
		}
	}
	nc, err := d.dial(ctx, by, to)
	if err != nil {
		return nil, fault(to, err)
	}
	return nc, nil
}

func fault(to netip.AddrPort, err error) error {
	return &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(to), Err: err}
}
