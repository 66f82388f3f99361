package vip

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// capabilities are what this package needs of the kernel.
var capabilities = []struct {
	bit  uint
	name string
}{{unix.CAP_NET_ADMIN, "CAP_NET_ADMIN"}, {unix.CAP_NET_RAW, "CAP_NET_RAW"}}

// CheckPrivileges names the capabilities that this process lacks, and what to
// do about it.
func CheckPrivileges() error {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&head, &data[0]); err != nil {
		return fmt.Errorf("read own capabilities: %w", err)
	}
	var missing []string
	for _, c := range capabilities {
		if data[c.bit/32].Effective&(1<<(c.bit%32)) == 0 {
			missing = append(missing, c.name)
		}
	}
	if missing == nil {
		return nil
	}
	exe, err := os.Executable()
	if err != nil {
		exe = "/usr/bin/cachenode"
	}
	return fmt.Errorf("the virtual IP needs %s, which this process lacks: run it as root, with AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW of systemd, or after 'setcap cap_net_admin,cap_net_raw+ep %s'",
		strings.Join(missing, " and "), exe)
}

// findInterface finds the interface by its name, or by the network of the
// address. inside says that it has an address of that network.
func findInterface(name string, p netip.Prefix) (ifi *net.Interface, inside bool, err error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, false, fmt.Errorf("list interfaces: %w", err)
	}
	var names []string
	for i := range all {
		if name != "" && all[i].Name != name || all[i].Flags&net.FlagLoopback != 0 && name == "" {
			continue
		}
		names = append(names, all[i].Name)
		addrs, err := all[i].Addrs()
		if err != nil {
			return nil, false, fmt.Errorf("list addresses of %s: %w", all[i].Name, err)
		}
		if slices.ContainsFunc(addrs, func(a net.Addr) bool { return within(a, p) }) {
			return &all[i], true, nil
		}
		if name != "" {
			return &all[i], false, nil
		}
	}
	if name != "" {
		return nil, false, fmt.Errorf("there is no interface %s: see 'ip link'", name)
	}
	return nil, false, fmt.Errorf("no interface has an address of %v, the network of the virtual IP: name one of %s with --interface or vip.interface",
		p.Masked(), strings.Join(names, ", "))
}

// within reports whether an address of an interface belongs to the network; the
// virtual IP itself does not count.
func within(a net.Addr, p netip.Prefix) bool {
	n, ok := a.(*net.IPNet)
	if !ok {
		return false
	}
	addr, ok := netip.AddrFromSlice(n.IP)
	return ok && addr.Unmap() != p.Addr() && p.Contains(addr.Unmap())
}

// listen opens a socket for the frames that matter: ARP, or neighbour
// discovery and nothing else of IPv6.
func listen(ifi *net.Interface, v6 bool) (*packet.Conn, error) {
	cfg, proto := &packet.Config{}, etherTypeARP
	if v6 {
		proto = etherTypeIPv6
		filter, err := bpf.Assemble([]bpf.Instruction{
			bpf.LoadAbsolute{Off: etherLength + 6, Size: 1}, // next header
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: protoICMPv6, SkipTrue: 3},
			bpf.LoadAbsolute{Off: etherLength + ipv6Length, Size: 1}, // type
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: ndpSolicitation, SkipTrue: 2},
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: ndpAdvertisement, SkipTrue: 1},
			bpf.RetConstant{Val: 0},
			bpf.RetConstant{Val: 1 << 16},
		})
		if err != nil {
			return nil, fmt.Errorf("assemble filter: %w", err)
		}
		cfg.Filter = filter
	}
	conn, err := packet.Listen(ifi, packet.Raw, proto, cfg)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open packet socket on %s: %w", ifi.Name, err), CheckPrivileges())
	}
	if v6 { // the groups in which others ask for the address
		if err := conn.JoinGroup(net.HardwareAddr{0x33, 0x33, 0, 0, 0, 1}); err != nil {
			return nil, errors.Join(fmt.Errorf("join all nodes on %s: %w", ifi.Name, err), conn.Close())
		}
	}
	return conn, nil
}
