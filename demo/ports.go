package demo

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"

	"github.com/cachenode/cachenode/internal/portholder"
)

// endpoint is one address and port that the demo needs.
type endpoint struct {
	network string // tcp or udp
	at      netip.AddrPort
}

// endpoints are all of them.
func (o *Options) endpoints() []endpoint {
	all := []endpoint{{"tcp", o.front()}}
	for _, a := range o.Addresses {
		all = append(all,
			endpoint{"tcp", o.at(a, portProxy)}, endpoint{"udp", o.at(a, portICP)}, endpoint{"tcp", o.at(a, portAdmin)},
			endpoint{"tcp", o.at(a, portGossip)}, endpoint{"udp", o.at(a, portGossip)}, endpoint{"udp", o.at(a, portHeartbeat)})
	}
	return all
}

// AddressError means that an address of the demo cannot be had.
type AddressError struct {
	At  netip.AddrPort
	Err error
	by  string // who has it, as far as that can be told
	try string // flags with which it works
}

func (e *AddressError) Error() string {
	if errors.Is(e.Err, syscall.EADDRINUSE) {
		return fmt.Sprintf("%v is in use%s", e.At, e.by)
	}
	return fmt.Sprintf("%v cannot be had: %v", e.At, e.Err)
}

func (e *AddressError) Unwrap() error { return e.Err }

// Hint says what to do.
func (e *AddressError) Hint() string {
	switch {
	case errors.Is(e.Err, syscall.EADDRNOTAVAIL):
		return "this machine has no such address: only Linux has all of 127.0.0.0/8 by itself; give it to the loopback interface first"
	case e.try == "":
		return "choose other addresses with --addresses and --vip, or other ports with --port-shift"
	}
	return "take others: cachenode demo " + e.try
}

// available finds out that everything can be bound, now.
func (o *Options) available() error {
	for _, e := range o.endpoints() {
		err := bindable(e)
		if err == nil {
			continue
		}
		out := &AddressError{At: e.at, Err: cause(err), try: o.elsewhere()}
		// With several listeners on that port it could be any of them.
		if pids := portholder.PIDs(e.at.Port()); e.network == "tcp" && len(pids) == 1 {
			out.by = " by " + portholder.Find(e.at.Port())
		}
		return out
	}
	return nil
}

func bindable(e endpoint) error {
	if e.network == "udp" {
		c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(e.at))
		if err != nil {
			return err
		}
		return c.Close()
	}
	ln, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(e.at))
	if err != nil {
		return err
	}
	return ln.Close()
}

// elsewhere are flags with which all of it can be bound: other addresses, or,
// when somebody has the ports on all of them, other ports.
func (o *Options) elsewhere() string {
	for n := byte(1); n < 4; n++ {
		other := Options{Addresses: inNetwork(n), VIP: vipIn(n), Shift: o.Shift}
		if !other.allFree() {
			continue
		}
		var list []string
		for _, a := range other.Addresses {
			list = append(list, a.String())
		}
		return fmt.Sprintf("--addresses %s --vip %v", strings.Join(list, ","), other.VIP)
	}
	other := *o
	if other.Shift = o.Shift + 10000; other.Validate() == nil && other.allFree() {
		return fmt.Sprintf("--port-shift %d", other.Shift)
	}
	return ""
}

func (o *Options) allFree() bool {
	for _, e := range o.endpoints() {
		if bindable(e) != nil {
			return false
		}
	}
	return true
}

// cause is the system's error without the words of package net around it.
func cause(err error) error {
	if e, ok := errors.AsType[syscall.Errno](err); ok {
		return e
	}
	return err
}
