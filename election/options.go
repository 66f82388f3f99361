package election

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/cachenode/cachenode/internal/units"
)

// Mode says how the virtual IP gets onto this machine.
type Mode string

// The modes.
const (
	ModeLinux    Mode = "linux"    // on a network interface, announced by ARP or NDP
	ModeLoopback Mode = "loopback" // 127/8 is there anyway: demo and tests
	ModeNone     Mode = "none"     // not at all: a load balancer or DNS is in front
)

// Options say what the virtual IP is, and how this node takes part in holding
// it.
type Options struct {
	// Address is the virtual IP with its prefix length, such as 10.0.0.100/24 or
	// fd00::100/64. Empty: there is none, or it is learnt from the cluster.
	Address string `yaml:"address"`
	// Port is where the front door listens on the virtual IP.
	Port uint16 `yaml:"port"`
	// Interface carries the virtual IP. Empty takes the one that has an address
	// of the same network.
	Interface string `yaml:"interface"`
	// Mode is linux (an address on an interface; needs CAP_NET_ADMIN and
	// CAP_NET_RAW), loopback (an address of 127.0.0.0/8: demo and tests) or none
	// (a load balancer or DNS is in front, the front door runs on every node).
	// Empty takes loopback for addresses of 127.0.0.0/8, and linux otherwise.
	Mode Mode `yaml:"mode"`
	// Priority of this node for holding the virtual IP, up to 255; the highest
	// that is alive takes it when nobody holds it. A holder keeps it when one of
	// higher priority comes. 0: this node never holds it, and has no vote.
	Priority uint16 `yaml:"priority"`
	// Heartbeat is how often the holder tells the others that it is alive. After
	// two and a half of them without a word they look for another.
	Heartbeat units.Duration `yaml:"heartbeat"`
	// Lease is how long the kernel keeps the virtual IP on the interface when
	// this process hangs or dies. It is renewed eight times as often.
	Lease units.Duration `yaml:"lease"`
	// Linger is how long connections that were made through this node go on, at
	// the most, after it was told to move the virtual IP to another member; those of
	// a node that drains or stops go on until the deadline of that. Where a hand-over
	// cannot keep them (the next holder needs Linux 6.6 and CAP_BPF), a drain waits
	// for their end before it moves the virtual IP. 0 cuts them at once.
	Linger units.Duration `yaml:"linger"`
	// Hooks are told when this node takes the virtual IP or gives it up.
	Hooks []Hook `yaml:"hooks"`
}

// DefaultOptions returns the defaults: no virtual IP, a holder that dies is
// replaced within about a third of a second.
func DefaultOptions() Options {
	return Options{
		Port:      3128,
		Priority:  100,
		Heartbeat: units.Duration(100 * time.Millisecond),
		Lease:     units.Duration(2 * time.Second),
		Linger:    units.Duration(10 * time.Minute),
	}
}

// On reports whether there is a virtual IP to hold.
func (o *Options) On() bool { return o.Address != "" && o.mode() != ModeNone }

// mode is Mode with its default.
func (o *Options) mode() Mode {
	if o.Mode != "" {
		return o.Mode
	}
	if p, err := netip.ParsePrefix(o.Address); err == nil && p.Addr().IsLoopback() {
		return ModeLoopback
	}
	return ModeLinux
}

// Resolve fills in the mode.
func (o *Options) Resolve() { o.Mode = o.mode() }

// Prefix is the virtual IP with its prefix length; invalid when there is none.
func (o *Options) Prefix() netip.Prefix {
	p, _ := netip.ParsePrefix(o.Address)
	return p
}

// Validate reports every problem, each by its key.
func (o *Options) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("vip."+format, args...)) }
	if err := o.checkAddress(); err != nil {
		bad("address: %w", err)
	}
	if o.Port == 0 {
		bad("port: must be from 1 to 65535")
	}
	switch o.mode() {
	case ModeLinux, ModeLoopback, ModeNone:
	default:
		bad("mode: must be linux, loopback or none, not %q", o.Mode)
	}
	if o.Priority > 255 {
		bad("priority: must be from 0 to 255, not %d", o.Priority)
	}
	if o.Heartbeat.D() < 20*time.Millisecond || o.Heartbeat.D() > 2*time.Second {
		bad("heartbeat: must be from 20ms to 2s, not %v", o.Heartbeat)
	}
	if o.Lease.D() < time.Second || o.Lease.D() > time.Minute {
		bad("lease: must be from 1s to 1m, not %v", o.Lease)
	}
	if o.Lease.D() < 4*o.Heartbeat.D() {
		bad("lease: %v is less than four heartbeats of %v", o.Lease, o.Heartbeat)
	}
	if o.Linger < 0 {
		bad("linger: must not be negative")
	}
	for i := range o.Hooks {
		for _, err := range o.Hooks[i].problems() {
			bad("hooks[%d].%w", i, err)
		}
	}
	return errors.Join(errs...)
}

func (o *Options) checkAddress() error {
	if o.Address == "" {
		return nil
	}
	p, err := netip.ParsePrefix(o.Address)
	if err != nil {
		return fmt.Errorf("invalid address %q: want ADDRESS/LENGTH, such as 10.0.0.100/24 or fd00::100/64", o.Address)
	}
	a := p.Addr()
	switch {
	case a.IsUnspecified() || a.IsMulticast() || a.Is4In6():
		return fmt.Errorf("%v cannot be a virtual IP: it must be the address of one machine", a)
	case a.IsLoopback() != (o.mode() == ModeLoopback) && o.mode() != ModeNone:
		return fmt.Errorf("%v does not go with mode %s: addresses of 127.0.0.0/8 and mode loopback belong together", a, o.mode())
	case a.Is4() && p.Bits() < 31 && (a == p.Masked().Addr() || a == broadcast(p)):
		return fmt.Errorf("%v is the address of the network %v or its broadcast address, not of a machine", a, p.Masked())
	}
	return nil
}

// broadcast is the last address of an IPv4 network.
func broadcast(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	return netip.AddrFrom4(b)
}
