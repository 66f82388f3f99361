// Package frontdoor will accept connections on the virtual IP, pick a node for
// each and move the bytes. It will not read them. Not built yet.
package frontdoor
