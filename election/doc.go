// Package election decides which member holds the virtual IP, and takes it and
// gives it up. The decisions are pure functions of what a node knows; one
// goroutine exchanges datagrams with the other members and tells an Address what
// to do. It knows neither netlink nor ARP (internal/vip does), nor what is served
// behind the address.
//
// The design, failure by failure, is docs/design/0011-two-holders.md.
package election
