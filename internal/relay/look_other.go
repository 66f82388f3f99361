//go:build !linux

package relay

// lookAt knows nothing here; what the relay has written must do.
func lookAt(*side) look { return look{} }
