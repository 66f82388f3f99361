// Package peer will know who is in the cluster and how they are, and which
// sibling has an object. It will decide nothing about the virtual IP. Not built
// yet.
package peer
