package relay

import (
	"syscall"
	"unsafe"
)

// The sockets do not block, so the scheduler need not be told of each call, which
// costs a third of a small one.

func rawRead(fd uintptr, b []byte) (int, error) {
	return raw(syscall.SYS_READ, fd, b)
}

func rawWrite(fd uintptr, b []byte) (int, error) {
	return raw(syscall.SYS_WRITE, fd, b)
}

// raw reads or writes b, which is not empty.
func raw(call, fd uintptr, b []byte) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall(call, fd, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
		switch errno {
		case 0:
			return int(n), nil
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
}
