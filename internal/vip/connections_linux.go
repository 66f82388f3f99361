package vip

import (
	"encoding/binary"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// sockets asks the kernel for TCP sockets, struct inet_diag_req_v2:
//
//	0  1  family
//	1  1  protocol
//	4  4  states, one bit each
//	8  2  local port, big-endian; 0: any
type sockets [56]byte

// Len is part of nl.NetlinkRequestData.
func (s *sockets) Len() int { return len(s) }

// Serialize is part of nl.NetlinkRequestData.
func (s *sockets) Serialize() []byte { return s[:] }

// States of TCP, linux/tcp_states.h. Listeners are no connections; those that
// wait for time to pass need no packets.
const (
	allStates   = 1<<12 - 2
	stateWait   = 6
	stateClosed = 7
	stateListen = 10
)

// Connections counts the TCP connections at a port of the address that this
// machine has.
func (l *Link) Connections(port uint16) (int, error) {
	mapped := l.addr.As16() // as sockets for both families have it
	total, err := count(unix.AF_INET6, mapped[:], port)
	if err == nil && l.addr.Is4() {
		var n int
		n, err = count(unix.AF_INET, l.addr.AsSlice(), port)
		total += n
	}
	if err != nil {
		return 0, fmt.Errorf("count connections at %v: %w", l.addr, err)
	}
	return total, nil
}

// count counts the sockets of a family that have a local address and port.
func count(family byte, local []byte, port uint16) (n int, err error) {
	req := nl.NewNetlinkRequest(nl.SOCK_DIAG_BY_FAMILY, unix.NLM_F_DUMP)
	ask := &sockets{0: family, 1: unix.IPPROTO_TCP}
	binary.NativeEndian.PutUint32(ask[4:], allStates&^(1<<stateWait|1<<stateClosed|1<<stateListen))
	binary.BigEndian.PutUint16(ask[8:], port)
	req.AddData(ask)
	err = req.ExecuteIter(unix.NETLINK_INET_DIAG, nl.SOCK_DIAG_BY_FAMILY, func(answer []byte) bool {
		// struct inet_diag_msg: at 4 the ports, at 8 the local address
		if len(answer) >= 24 && string(answer[8:8+len(local)]) == string(local) {
			n++
		}
		return true
	})
	return n, err
}
