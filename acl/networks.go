package acl

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// networks is a set of addresses: sorted ranges that do not overlap, found by
// binary search, so that a list of thousands costs no more than one of ten.
type networks struct {
	ranges []addrRange
	text   []string
}

type addrRange struct{ first, last netip.Addr }

// plain is the address without what does not change where packets go: the
// IPv6 spelling of an IPv4 address, and the zone.
func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// add reads an address, a CIDR network or "all".
func (n *networks) add(s string) error {
	if s == "all" {
		n.include(netip.PrefixFrom(netip.IPv4Unspecified(), 0))
		n.include(netip.PrefixFrom(netip.IPv6Unspecified(), 0))
		n.text = append(n.text, s)
		return nil
	}
	p, err := parseNetwork(s)
	if err != nil {
		return err
	}
	n.include(p)
	n.text = append(n.text, p.String())
	return nil
}

func (n *networks) include(p netip.Prefix) {
	n.ranges = append(n.ranges, addrRange{p.Addr(), lastAddr(p)})
}

// merge sorts the ranges and joins those that overlap; contains needs it.
func (n *networks) merge() {
	slices.SortFunc(n.ranges, func(a, b addrRange) int { return a.first.Compare(b.first) })
	merged := n.ranges[:0]
	for _, r := range n.ranges {
		if k := len(merged); k > 0 && r.first.Compare(merged[k-1].last) <= 0 && r.first.BitLen() == merged[k-1].last.BitLen() {
			if merged[k-1].last.Less(r.last) {
				merged[k-1].last = r.last
			}
			continue
		}
		merged = append(merged, r)
	}
	n.ranges = merged
}

// contains expects an address as plain returns it.
func (n *networks) contains(a netip.Addr) bool {
	lo, hi := 0, len(n.ranges)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if n.ranges[mid].last.Less(a) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo < len(n.ranges) && a.IsValid() && n.ranges[lo].first.Compare(a) <= 0
}

func (n *networks) empty() bool { return len(n.ranges) == 0 }

func (n *networks) String() string { return strings.Join(n.text, " ") }

func parseNetwork(s string) (netip.Prefix, error) {
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, fmt.Errorf("invalid network %q: want an address or a network such as 10.0.0.0/8", s)
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("invalid network %q: want an address or a network such as 10.0.0.0/8", s)
	}
	if p != p.Masked() {
		return netip.Prefix{}, fmt.Errorf("network %q has bits set beyond its mask: want %s", s, p.Masked())
	}
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return netip.Prefix{}, fmt.Errorf("network %q spans more than the IPv4-mapped addresses", s)
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p, nil
}

func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
