// Package peer knows who is in the cluster and how they are: gossip with a
// label and a key (memberlist), immutable views of the membership, the way a
// node joins and comes back, and one authenticated channel between members. It
// decides nothing about the virtual IP and knows no HTTP cache.
package peer
