package frontdoor

import "golang.org/x/sys/unix"

// peerClosed reports whether the other end has closed the connection fd, or its
// half of it.
func peerClosed(fd uintptr) bool {
	const established = 1 // TCP_ESTABLISHED of the kernel
	info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	return err == nil && info.State != established
}
