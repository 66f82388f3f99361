package demo

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// Options of a demo.
type Options struct {
	Addresses []netip.Addr // of the nodes, in 127.0.0.0/8; default 127.0.0.11 to 127.0.0.13
	VIP       netip.Addr   // the virtual IP, there too; default 127.0.0.100
	Shift     int          // is added to the number of every port
	Quiet     bool         // no traffic of its own at first
	Program   string       // cachenode; default this very program
	Dir       string       // where its temporary directory is made; default the system's
}

// The ports of a node, before Shift.
const (
	portProxy     = 3128 // and of the front door
	portICP       = 3130
	portAdmin     = 3180
	portGossip    = 7946
	portHeartbeat = portGossip + 1
)

// maxNodes is how many keys there are to choose one.
const maxNodes = 9

func (o *Options) resolve() {
	if len(o.Addresses) == 0 {
		o.Addresses = inNetwork(0)
	}
	if !o.VIP.IsValid() {
		o.VIP = vipIn(0)
	}
}

// inNetwork are the default addresses in 127.0.n.0/24.
func inNetwork(n byte) []netip.Addr {
	return []netip.Addr{
		netip.AddrFrom4([4]byte{127, 0, n, 11}), netip.AddrFrom4([4]byte{127, 0, n, 12}), netip.AddrFrom4([4]byte{127, 0, n, 13}),
	}
}

func vipIn(n byte) netip.Addr { return netip.AddrFrom4([4]byte{127, 0, n, 100}) }

// Validate reports everything that is wrong, each by its flag.
func (o Options) Validate() error {
	o.resolve()
	var errs []error
	if n := len(o.Addresses); n < 2 || n > maxNodes {
		errs = append(errs, fmt.Errorf("--addresses: want 2 to %d addresses, not %d", maxNodes, n))
	}
	for i, a := range o.Addresses {
		if !isLoopback(a) {
			errs = append(errs, fmt.Errorf("--addresses: %v is not in 127.0.0.0/8", a))
		}
		if slices.Index(o.Addresses, a) != i {
			errs = append(errs, fmt.Errorf("--addresses: %v is there twice", a))
		}
	}
	if !isLoopback(o.VIP) {
		errs = append(errs, fmt.Errorf("--vip: %v is not in 127.0.0.0/8", o.VIP))
	}
	if slices.Contains(o.Addresses, o.VIP) {
		errs = append(errs, fmt.Errorf("--vip: %v is the address of a node too", o.VIP))
	}
	if o.Shift < 1024-portProxy || o.Shift > 65535-portHeartbeat {
		errs = append(errs, fmt.Errorf("--port-shift: must be from %d to %d, so that ports are from 1024 to 65535", 1024-portProxy, 65535-portHeartbeat))
	}
	return errors.Join(errs...)
}

func isLoopback(a netip.Addr) bool { return a.Is4() && a.IsLoopback() }

// at is an address and one of the ports.
func (o *Options) at(a netip.Addr, port int) netip.AddrPort {
	return netip.AddrPortFrom(a, uint16(port+o.Shift))
}

// front is what clients use as their proxy.
func (o *Options) front() netip.AddrPort { return o.at(o.VIP, portProxy) }
