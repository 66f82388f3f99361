package vip

import (
	"log/slog"
	"net"
	"net/netip"
	"time"
)

// Options say which address, and where.
type Options struct {
	Prefix    netip.Prefix // the address with its prefix length
	Interface string       // empty: the one with an address of the same network
	// Lease is how long the kernel keeps the address without a renewal; it counts
	// in whole seconds.
	Lease time.Duration
	// File keeps what Stay changed of the interface, so that the next process can
	// put it back if this one dies. Empty: nothing is kept.
	File string
	Log  *slog.Logger
}

// Gateway is what the default gateway said.
type Gateway uint8

// What the gateway may say.
const (
	GatewayNone Gateway = iota // there is none
	GatewaySilent
	GatewayAnswers
)

// Answer is what a probe found.
type Answer struct {
	Owner   net.HardwareAddr // who answers for the address; nil: nobody
	Rival   net.HardwareAddr // who probes for it at the same time, and comes first; nil: nobody
	Gateway Gateway
	Err     error // the link could not be asked
}

// Event is something that happened on the link.
type Event struct {
	Conflict net.HardwareAddr // somebody else uses the address; nil: another event
	Carrier  bool             // for other events: whether the link has a carrier
}
