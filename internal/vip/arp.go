package vip

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
)

// EtherTypes.
const (
	etherTypeARP  = 0x0806
	etherTypeIPv6 = 0x86dd
)

// Operations of ARP.
const (
	arpRequest = 1
	arpReply   = 2
)

const (
	etherLength = 14
	arpLength   = 28
	minFrame    = 60 // the shortest Ethernet frame, without its checksum
)

// arp is an ARP message for IPv4 on Ethernet, RFC 826:
//
//	 0  2  hardware: 1
//	 2  2  protocol: 0x0800
//	 4  2  lengths: 6, 4
//	 6  2  operation
//	 8  6  sender's hardware address
//	14  4  sender's address
//	18  6  target's hardware address
//	24  4  target's address
type arp struct {
	op                   uint16
	senderMAC, targetMAC [6]byte
	sender, target       netip.Addr
}

var (
	broadcastMAC = [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	errNotARP    = errors.New("no ARP message for IPv4 on Ethernet")
)

// frame is the message in a broadcast frame.
func (a *arp) frame() []byte {
	b := make([]byte, 0, minFrame)
	b = append(b, broadcastMAC[:]...)
	b = append(b, a.senderMAC[:]...)
	b = binary.BigEndian.AppendUint16(b, etherTypeARP)
	b = append(b, 0, 1, 8, 0, 6, 4)
	b = binary.BigEndian.AppendUint16(b, a.op)
	b = append(b, a.senderMAC[:]...)
	b = append(b, a.sender.AsSlice()...)
	b = append(b, a.targetMAC[:]...)
	b = append(b, a.target.AsSlice()...)
	return b[:minFrame]
}

// parseARP reads the message of a frame.
func parseARP(b []byte) (arp, error) {
	if len(b) < etherLength+arpLength || binary.BigEndian.Uint16(b[12:]) != etherTypeARP {
		return arp{}, errNotARP
	}
	b = b[etherLength:]
	if [6]byte(b[:6]) != [6]byte{0, 1, 8, 0, 6, 4} {
		return arp{}, errNotARP
	}
	return arp{
		op:        binary.BigEndian.Uint16(b[6:]),
		senderMAC: [6]byte(b[8:]),
		sender:    netip.AddrFrom4([4]byte(b[14:])),
		targetMAC: [6]byte(b[18:]),
		target:    netip.AddrFrom4([4]byte(b[24:])),
	}, nil
}

// arpProbe asks who has an address, without saying that the asker has any (RFC
// 5227 §1.1), so that nobody's cache changes.
func arpProbe(mac [6]byte, addr netip.Addr) []byte {
	return (&arp{op: arpRequest, senderMAC: mac, sender: netip.IPv4Unspecified(), target: addr}).frame()
}

// arpQuestion asks who has an address in the name of another one of this host.
func arpQuestion(mac [6]byte, own, addr netip.Addr) []byte {
	return (&arp{op: arpRequest, senderMAC: mac, sender: own, target: addr}).frame()
}

// arpAnnouncements say that an address is at mac: as a request (RFC 5227 §3) and
// as a reply, since there are systems that learn from only one of them.
func arpAnnouncements(mac [6]byte, addr netip.Addr) [][]byte {
	return [][]byte{
		(&arp{op: arpRequest, senderMAC: mac, sender: addr, target: addr}).frame(),
		(&arp{op: arpReply, senderMAC: mac, sender: addr, targetMAC: broadcastMAC, target: addr}).frame(),
	}
}

func macOf(hw net.HardwareAddr) (mac [6]byte) {
	copy(mac[:], hw)
	return mac
}
