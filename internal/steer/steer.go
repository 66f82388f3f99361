package steer

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// Config says which packets are sent on, and where to.
type Config struct {
	Interface *net.Interface // where they come in, and leave again
	Address   netip.Addr     // to which they are addressed
	Port      uint16
	// To is the hardware address of the next machine.
	To net.HardwareAddr
}

// Count is how many packets a Forwarder has handled.
type Count struct {
	Forwarded uint64 // sent on
	// Copied were sent on and kept too: fragments and ICMP errors, which do not
	// say to which connection they belong.
	Copied uint64
}

// ErrUnsupported says that this machine cannot send packets on.
var ErrUnsupported = errors.New("connections cannot be handed over to this machine")

// Check says what this machine lacks for Forward; nil: nothing. It wraps
// ErrUnsupported.
func Check() error { return check() }

func (c *Config) validate() error {
	switch {
	case c.Interface == nil || len(c.Interface.HardwareAddr) != 6:
		return fmt.Errorf("%w: the interface is no Ethernet", ErrUnsupported)
	case !c.Address.IsValid() || c.Address.Is4In6():
		return fmt.Errorf("invalid address %v", c.Address)
	case c.Port == 0:
		return errors.New("invalid port 0")
	case len(c.To) != 6:
		return fmt.Errorf("invalid hardware address %q", c.To)
	case string(c.To) == string(c.Interface.HardwareAddr):
		return fmt.Errorf("%v is the interface's own hardware address", c.To)
	}
	return nil
}
