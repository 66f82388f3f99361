//go:build amd64 || arm64

package prefetch

import "unsafe"

// lines asks for the cache lines with the n bytes from p on, one where n is 0. It
// faults nowhere, whatever p is.
//
//go:noescape
func lines(p unsafe.Pointer, n uintptr)
