//go:build !linux

package relay

import "net"

// lookAt knows nothing here; what the relay has written must do.
func lookAt(*net.TCPConn) look { return look{} }
