package vip

import (
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// loopback is the index of lo in every network namespace.
const loopback = 1

// CanStay says what keeps an address from staying after it has moved; nil:
// nothing.
func (l *Link) CanStay() error {
	if l.inside {
		return nil
	}
	return fmt.Errorf("interface %s has no address of its own in %v, the network of the virtual IP", l.ifi.Name, l.o.Prefix.Masked())
}

// Stay takes the address off the interface and keeps it on lo for the time of
// the lease, or renews that: connections that exist go on though another machine
// has the address, and this one does not answer for it. Hold and Release end it.
func (l *Link) Stay() error {
	if err := l.CanStay(); err != nil {
		return err
	}
	l.staying = true
	if err := l.quieten(); err != nil {
		return err
	}
	// First there, then away here: there is no moment without it.
	if err := l.put(loopback, l.addr.BitLen()); err != nil {
		return fmt.Errorf("put %v on lo: %w", l.addr, err)
	}
	l.setHeld(false)
	return l.takeOff(l.ifi.Index, l.bits)
}

// leave ends a stay: the address is off lo, and ARP is as it was.
func (l *Link) leave() error {
	l.staying = false
	err := l.takeOff(loopback, l.addr.BitLen())
	return errors.Join(err, l.loosen())
}

func (l *Link) setHeld(held bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = held
}

// put puts the address onto an interface for the time of the lease, or renews
// that.
func (l *Link) put(index, bits int) error {
	return l.nl.AddrReplace(device(index), &netlink.Addr{
		IPNet: l.network(bits),
		// Preferred for no time: connections of this machine do not begin at it.
		ValidLft: seconds(l.o.Lease), Flags: unix.IFA_F_NODAD,
	})
}

// takeOff takes the address off an interface; it may be gone already.
func (l *Link) takeOff(index, bits int) error {
	err := l.nl.AddrDel(device(index), &netlink.Addr{IPNet: l.network(bits)})
	if err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
		return fmt.Errorf("take %v off: %w", l.addr, err)
	}
	return nil
}

func (l *Link) network(bits int) *net.IPNet {
	return &net.IPNet{IP: l.addr.AsSlice(), Mask: net.CIDRMask(bits, l.addr.BitLen())}
}

func device(index int) netlink.Link {
	return &netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: index}}
}

// sweep takes away what a process left behind that stayed and died. An address
// on lo that has no end is somebody else's.
func (l *Link) sweep() error {
	family := netlink.FAMILY_V4
	if l.addr.Is6() {
		family = netlink.FAMILY_V6
	}
	addrs, err := l.nl.AddrList(device(loopback), family)
	if err != nil {
		return fmt.Errorf("list addresses of lo: %w", err)
	}
	for i := range addrs {
		forever := addrs[i].Flags&unix.IFA_F_PERMANENT != 0
		if addrs[i].IP.Equal(l.addr.AsSlice()) && !forever {
			if err := l.takeOff(loopback, l.addr.BitLen()); err != nil {
				return err
			}
		}
	}
	return l.loosen()
}
