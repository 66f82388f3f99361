package relay

import (
	"time"

	"golang.org/x/sys/unix"
)

// tries is how often in a row the kernel has repeated itself without an answer
// until it means something: that one probe of a closed window is not answered
// happens with a peer that is well.
const tries = 3

// lookAt asks the kernel about the TCP of s, if it has any.
func lookAt(s *side) (l look) {
	if s.tcp == nil {
		return l
	}
	_ = s.rc.Control(func(fd uintptr) { // nothing is to be known of a closed connection
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
