// Package demo is a cluster to look at: three nodes in processes of their own on
// loopback, one virtual IP, an origin and some traffic, with a live view of it
// in the terminal. It shows what the nodes say of themselves and what a client
// notices. It is no test and no way to run a service, and decides nothing that a
// node decides.
package demo
