package vip

import (
	"encoding/binary"
	"errors"
	"net/netip"
)

// Types of ICMPv6.
const (
	ndpSolicitation  = 135
	ndpAdvertisement = 136
)

const (
	ipv6Length   = 40
	ndpLength    = 24 // type, code, checksum, flags, target
	optSource    = 1
	optTarget    = 2
	flagOverride = 0x20
	protoICMPv6  = 58
)

// ndp is a neighbour solicitation or advertisement, RFC 4861 §4.3 and §4.4, in
// an Ethernet frame:
//
//	 0 14  Ethernet
//	14 40  IPv6, hop limit 255
//	54  4  type, code 0, checksum
//	58  4  flags: 0x20 override in the first byte
//	62 16  target
//	78  8  option, when there is one: 1 source's or 2 target's MAC address
type ndp struct {
	kind     byte
	flags    byte
	from, to netip.Addr
	fromMAC  [6]byte // of the frame
	target   netip.Addr
	option   byte    // type; 0: none
	mac      [6]byte // in the option
}

var errNotNDP = errors.New("no neighbour solicitation or advertisement")

// frame is the message in a frame to the multicast group of its destination.
func (n *ndp) frame() []byte {
	dst := n.to.As16()
	length := ndpLength
	if n.option != 0 {
		length += 8
	}
	b := make([]byte, 0, etherLength+ipv6Length+length)
	b = append(b, 0x33, 0x33, dst[12], dst[13], dst[14], dst[15])
	b = append(b, n.fromMAC[:]...)
	b = binary.BigEndian.AppendUint16(b, etherTypeIPv6)
	b = append(b, 0x60, 0, 0, 0, 0, byte(length), protoICMPv6, 255)
	b = append(b, n.from.AsSlice()...)
	b = append(b, dst[:]...)
	b = append(b, n.kind, 0, 0, 0, n.flags, 0, 0, 0)
	b = append(b, n.target.AsSlice()...)
	if n.option != 0 {
		b = append(b, n.option, 1)
		b = append(b, n.mac[:]...)
	}
	binary.BigEndian.PutUint16(b[etherLength+ipv6Length+2:], checksum(b[etherLength:]))
	return b
}

// checksum is that of ICMPv6 over an IPv6 packet without extension headers
// whose checksum field is 0 (RFC 4443 §2.3).
func checksum(packet []byte) uint16 {
	sum := uint32(len(packet)-ipv6Length) + protoICMPv6
	for i := 8; i+1 < len(packet); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(packet[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// parseNDP reads the message of a frame. Its checksum and its hop limit must be
// right, so it comes from this link.
func parseNDP(b []byte) (ndp, error) {
	const least = etherLength + ipv6Length + ndpLength
	if len(b) < least || binary.BigEndian.Uint16(b[12:]) != etherTypeIPv6 {
		return ndp{}, errNotNDP
	}
	p := b[etherLength:]
	length := int(binary.BigEndian.Uint16(p[4:]))
	if p[0]>>4 != 6 || p[6] != protoICMPv6 || p[7] != 255 || length < ndpLength || ipv6Length+length > len(p) {
		return ndp{}, errNotNDP
	}
	p = p[:ipv6Length+length]
	icmp := p[ipv6Length:]
	if icmp[0] != ndpSolicitation && icmp[0] != ndpAdvertisement || icmp[1] != 0 {
		return ndp{}, errNotNDP
	}
	sum := binary.BigEndian.Uint16(icmp[2:])
	clean := append([]byte(nil), p...)
	clean[ipv6Length+2], clean[ipv6Length+3] = 0, 0
	if checksum(clean) != sum {
		return ndp{}, errNotNDP
	}
	n := ndp{
		kind: icmp[0], flags: icmp[4], fromMAC: [6]byte(b[6:]),
		from: netip.AddrFrom16([16]byte(p[8:])), to: netip.AddrFrom16([16]byte(p[24:])),
		target: netip.AddrFrom16([16]byte(icmp[8:])),
	}
	if o := icmp[ndpLength:]; len(o) >= 8 && o[1] == 1 && (o[0] == optSource || o[0] == optTarget) {
		n.option, n.mac = o[0], [6]byte(o[2:])
	}
	return n, nil
}

// solicitedNode is the multicast group in which the owner of an address listens.
func solicitedNode(addr netip.Addr) netip.Addr {
	a := addr.As16()
	return netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 11: 1, 12: 0xff, 13: a[13], 14: a[14], 15: a[15]})
}

// ndpProbe asks who has an address, without saying that the asker has any (RFC
// 4862 §5.4.2).
func ndpProbe(mac [6]byte, addr netip.Addr) []byte {
	return (&ndp{kind: ndpSolicitation, fromMAC: mac, from: netip.IPv6Unspecified(), to: solicitedNode(addr), target: addr}).frame()
}

// ndpQuestion asks who has an address in the name of another one of this host.
func ndpQuestion(mac [6]byte, own, addr netip.Addr) []byte {
	return (&ndp{kind: ndpSolicitation, fromMAC: mac, from: own, to: solicitedNode(addr), target: addr, option: optSource, mac: mac}).frame()
}

// ndpAnnouncement says that an address is at mac: an unsolicited advertisement
// to all nodes (RFC 4861 §7.2.6).
func ndpAnnouncement(mac [6]byte, addr netip.Addr) []byte {
	return (&ndp{
		kind: ndpAdvertisement, flags: flagOverride, fromMAC: mac,
		from: addr, to: netip.IPv6LinkLocalAllNodes(), target: addr, option: optTarget, mac: mac,
	}).frame()
}
