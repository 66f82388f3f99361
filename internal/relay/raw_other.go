//go:build !linux

package relay

import (
	"errors"
	"syscall"
)

func rawRead(fd uintptr, b []byte) (int, error) { return again(syscall.Read, fd, b) }

func rawWrite(fd uintptr, b []byte) (int, error) { return again(syscall.Write, fd, b) }

func again(call func(int, []byte) (int, error), fd uintptr, b []byte) (int, error) {
	for {
		n, err := call(int(fd), b)
		if !errors.Is(err, syscall.EINTR) {
			return max(n, 0), err
		}
	}
}
