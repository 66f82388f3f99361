package steer

import (
	"bytes"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// object is the compiled forward.c.
//
//go:embed forward.o
var object []byte

// program is the compiled program with its counters.
type program struct {
	Forward   *ebpf.Program  `ebpf:"forward"`
	Forwarded *ebpf.Variable `ebpf:"forwarded"`
	Copied    *ebpf.Variable `ebpf:"copied"`
}

// Forwarder sends packets on until it is closed or its process ends, however
// that comes. Its methods may be called from many goroutines.
type Forwarder struct {
	mu     sync.Mutex // guards all below
	config Config
	p      *program
	link   link.Link
	before Count // of programs that were replaced
}

// Forward begins to send packets on. It must be called in the network namespace
// of the interface, before the address is put onto it: without it the kernel
// resets the connections that it does not have.
func Forward(c Config) (*Forwarder, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	p, err := load(&c)
	if err != nil {
		return nil, err
	}
	l, err := p.attach(c.Interface.Index)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("on %s: %w", c.Interface.Name, err), p.close())
	}
	return &Forwarder{config: c, p: p, link: l}, nil
}

// Redirect sends packets on to another machine from now on. After an error they
// go where they went before.
func (f *Forwarder) Redirect(to net.HardwareAddr) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.config
	c.To = to
	if err := c.validate(); err != nil {
		return err
	}
	p, err := load(&c)
	if err != nil {
		return err
	}
	if err := f.link.Update(p.Forward); err != nil {
		return errors.Join(fmt.Errorf("exchange the program: %w", err), p.close())
	}
	old, count := f.p, f.count()
	f.config, f.p, f.before = c, p, count
	return old.close()
}

// Count is how many packets there were so far.
func (f *Forwarder) Count() Count {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count()
}

func (f *Forwarder) count() Count {
	c := f.before
	for v, n := range map[*ebpf.Variable]*uint64{f.p.Forwarded: &c.Forwarded, f.p.Copied: &c.Copied} {
		var more uint64
		if v.Get(&more) == nil { // memory of this process, unless it is closed
			*n += more
		}
	}
	return c
}

// Close ends it at once.
func (f *Forwarder) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return errors.Join(f.link.Close(), f.p.close())
}

func (p *program) close() error { return p.Forward.Close() }

// attach puts the program before others, which could end the packet's way. The
// kernel takes it off when the link is closed, so nothing outlives the process.
func (p *program) attach(index int) (link.Link, error) {
	l, err := link.AttachTCX(link.TCXOptions{Interface: index, Program: p.Forward, Attach: ebpf.AttachTCXIngress, Anchor: link.Head()})
	if err != nil {
		return nil, explain("attach the program", err)
	}
	return l, nil
}

// load gives the program to the kernel, with what it shall do.
func load(c *Config) (*program, error) {
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(object))
	if err != nil {
		return nil, fmt.Errorf("read the program: %w", err)
	}
	version := uint32(4)
	if c.Address.Is6() {
		version = 6
	}
	for name, value := range map[string]any{
		"address": wire(c.Address), "version": version, "port": [2]byte(binary.BigEndian.AppendUint16(nil, c.Port)),
		"interface": uint32(c.Interface.Index), "own_mac": [6]byte(c.Interface.HardwareAddr), "to_mac": [6]byte(c.To),
	} {
		if err := spec.Variables[name].Set(value); err != nil {
			return nil, fmt.Errorf("set %s of the program: %w", name, err)
		}
	}
	var p program
	if err := spec.LoadAndAssign(&p, nil); err != nil {
		return nil, explain("load the program", err)
	}
	return &p, nil
}

// wire is an address as the program compares it.
func wire(a netip.Addr) (b [16]byte) {
	copy(b[:], a.AsSlice())
	return b
}

// explain says in words what an error of the kernel means here.
func explain(what string, err error) error {
	switch {
	case errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES):
		return fmt.Errorf("%w: this process may not %s, it needs CAP_BPF beside CAP_NET_ADMIN, and a filter of system calls that lets bpf through: %w", ErrUnsupported, what, err)
	case errors.Is(err, ebpf.ErrNotSupported) || errors.Is(err, unix.ENOSYS):
		return fmt.Errorf("%w: the kernel cannot %s, that takes Linux 6.6 or newer with CONFIG_BPF_SYSCALL and CONFIG_NET_XGRESS: %w", ErrUnsupported, what, err)
	}
	return fmt.Errorf("%w: %s: %w", ErrUnsupported, what, err)
}

// check tries it on loopback, with an address that no packet has.
func check() error {
	lo, err := net.InterfaceByIndex(1)
	if err != nil {
		return fmt.Errorf("%w: find loopback: %w", ErrUnsupported, err)
	}
	p, err := load(&Config{
		Interface: &net.Interface{Index: lo.Index, HardwareAddr: make([]byte, 6)}, Address: netip.IPv4Unspecified(), To: make([]byte, 6),
	})
	if err != nil {
		return err
	}
	l, err := p.attach(lo.Index)
	if err != nil {
		return errors.Join(err, p.close())
	}
	return errors.Join(l.Close(), p.close())
}
