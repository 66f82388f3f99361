package main

import (
	"fmt"
	"os"
	"syscall"
)

// openAgain opens a pipe that is open for writing once more, for writes that
// take a deadline.
func openAgain(f *os.File) (*os.File, error) {
	var fd uintptr
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	if err := raw.Control(func(n uintptr) { fd = n }); err != nil {
		return nil, err
	}
	return os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", fd), os.O_WRONLY|syscall.O_NONBLOCK, 0)
}
