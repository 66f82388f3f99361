//go:build !linux

package steer

import (
	"fmt"
	"net"
)

// Forwarder sends packets on, which only Linux can.
type Forwarder struct{}

func check() error { return fmt.Errorf("%w: that takes Linux", ErrUnsupported) }

// Forward returns ErrUnsupported.
func Forward(Config) (*Forwarder, error) { return nil, check() }

// Redirect returns ErrUnsupported.
func (*Forwarder) Redirect(net.HardwareAddr) error { return check() }

// Count is nothing.
func (*Forwarder) Count() Count { return Count{} }

// Close does nothing.
func (*Forwarder) Close() error { return nil }
