package vip

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// sockets asks the kernel for TCP sockets, or names one, struct inet_diag_req_v2:
//
//	0  1  family
//	1  1  protocol
//	4  4  states, one bit each
//	8 48  identity, which begins with the local port, big-endian; 0: any
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
	n := 0
	err := l.each(port, allStates&^(1<<stateWait|1<<stateClosed|1<<stateListen), func(*sockets) { n++ })
	if err != nil {
		return 0, fmt.Errorf("count connections at %v: %w", l.addr, err)
	}
	return n, nil
}

// Forget removes what is left of connections at a port of the address that have
// ended: the kernel keeps that for a minute. If the address was elsewhere
// meanwhile, a client may have used its port again for a connection to the machine
// that had it, whose packets would be taken for late ones.
func (l *Link) Forget(port uint16) error {
	var ended []*sockets
	err := l.each(port, 1<<stateWait, func(s *sockets) { ended = append(ended, s) })
	for _, s := range ended {
		req := nl.NewNetlinkRequest(nl.SOCK_DESTROY, unix.NLM_F_ACK)
		req.AddData(s)
		if _, failed := req.Execute(unix.NETLINK_INET_DIAG, 0); failed != nil && !errors.Is(failed, unix.ENOENT) {
			err = errors.Join(err, failed)
			break // the others would fail too
		}
	}
	if err != nil {
		return fmt.Errorf("forget connections at %v that have ended: %w", l.addr, err)
	}
	return nil
}

// each calls f for the sockets in some states that have a port of the address.
func (l *Link) each(port uint16, states uint32, f func(s *sockets)) error {
	mapped := l.addr.As16() // as sockets for both families have it
	err := dump(unix.AF_INET6, mapped[:], port, states, f)
	if err == nil && l.addr.Is4() {
		err = dump(unix.AF_INET, l.addr.AsSlice(), port, states, f)
	}
	return err
}

// dump is each for the sockets of a family.
func dump(family byte, local []byte, port uint16, states uint32, f func(s *sockets)) error {
	req := nl.NewNetlinkRequest(nl.SOCK_DIAG_BY_FAMILY, unix.NLM_F_DUMP)
	ask := &sockets{0: family, 1: unix.IPPROTO_TCP}
	binary.NativeEndian.PutUint32(ask[4:], states)
	binary.BigEndian.PutUint16(ask[8:], port)
	req.AddData(ask)
	return req.ExecuteIter(unix.NETLINK_INET_DIAG, nl.SOCK_DIAG_BY_FAMILY, func(answer []byte) bool {
		// struct inet_diag_msg: from 4 on the socket's identity, in which the ports
		// are followed by the local address.
		if len(answer) >= 52 && string(answer[8:8+len(local)]) == string(local) {
			s := &sockets{0: family, 1: unix.IPPROTO_TCP}
			copy(s[4:8], ask[4:8])
			copy(s[8:], answer[4:52])
			f(s)
		}
		return true
	})
}
