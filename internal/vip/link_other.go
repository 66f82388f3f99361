//go:build !linux

package vip

import (
	"context"
	"errors"
	"net"
)

// ErrUnsupported says that this system is not Linux.
var ErrUnsupported = errors.New("a virtual IP on an interface needs Linux: use mode loopback or none")

// Link is an address on an interface, which only Linux has.
type Link struct{}

// CheckPrivileges returns ErrUnsupported.
func CheckPrivileges() error { return ErrUnsupported }

// Open returns ErrUnsupported.
func Open(Options) (*Link, error) { return nil, ErrUnsupported }

// Close does nothing.
func (*Link) Close() error { return nil }

// Interface is empty.
func (*Link) Interface() string { return "" }

// MAC is nil.
func (*Link) MAC() net.HardwareAddr { return nil }

// Events is nil.
func (*Link) Events() <-chan Event { return nil }

// Run returns ErrUnsupported.
func (*Link) Run(context.Context) error { return ErrUnsupported }

// Probe finds ErrUnsupported.
func (*Link) Probe(context.Context, bool) Answer { return Answer{Err: ErrUnsupported} }

// Announce does nothing.
func (*Link) Announce() {}

// Hold returns ErrUnsupported.
func (*Link) Hold() error { return ErrUnsupported }

// CanStay returns ErrUnsupported.
func (*Link) CanStay() error { return ErrUnsupported }

// Stay returns ErrUnsupported.
func (*Link) Stay() error { return ErrUnsupported }

// Forget returns ErrUnsupported.
func (*Link) Forget(uint16) error { return ErrUnsupported }

// Connections returns ErrUnsupported.
func (*Link) Connections(uint16) (int, error) { return 0, ErrUnsupported }

// Release does nothing.
func (*Link) Release() error { return nil }

// Remains is false.
func (*Link) Remains() bool { return false }
