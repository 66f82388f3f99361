// Package netlab builds hosts out of network namespaces for tests: a switch,
// hosts on it, and the failures of networks and machines. It touches nothing
// outside the namespaces it makes, needs root, and knows nothing of what runs
// on the hosts.
package netlab
