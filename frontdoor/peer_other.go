//go:build !linux

package frontdoor

// peerClosed is not known here: whoever leaves the queue keeps its place until
// its time is over.
func peerClosed(uintptr) bool { return false }
