// Package vip puts an address onto a network interface for a while, asks the
// link who has it, and tells the link where it is: netlink, ARP (RFC 826,
// RFC 5227) and neighbour discovery (RFC 4861). It decides nothing: when to do
// what is said by the election.
package vip
