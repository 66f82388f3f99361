//go:build !linux

package rival

import (
	"errors"
	"os/exec"
)

var errPin = errors.New("pin to a processor: only on Linux")

func startOn(cpu int, c *exec.Cmd) error {
	if cpu < 0 {
		return c.Start()
	}
	return errPin
}

// PinSelf keeps this process on one processor; only Linux can.
func PinSelf(int) error { return errPin }
