package relay

import (
	"time"

	"golang.org/x/sys/unix"
)

// tries is how often in a row the kernel has repeated itself without an answer
// until it means something: that one probe of a closed window is not answered
// happens with a peer that is well.
const tries = 3

// lookAt asks the kernel about c, which may be nil.
func lookAt(c socket) (l look) {
	if c == nil {
		return l
	}
	rc, err := c.SyscallConn()
	if err != nil {
		return l
	}
	_ = rc.Control(func(fd uintptr) { // nothing is to be known of a closed connection
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			return
		}
		l.moved = info.Bytes_received + info.Bytes_acked
		if max(info.Retransmits, info.Probes) >= tries {
			l.silent = time.Duration(info.Last_ack_recv) * time.Millisecond
		}
	})
	return l
}
