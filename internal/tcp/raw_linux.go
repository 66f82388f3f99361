package tcp

import (
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// None of these calls waits, so the scheduler need not be told of them: it would
// take the processor away from one that the kernel is long at.

// address is an address in the kernel's words.
type address struct {
	in6    unix.RawSockaddrInet6 // or an IPv4 one in its place
	length uint32
}

func (a *address) inet4() *unix.RawSockaddrInet4 {
	return (*unix.RawSockaddrInet4)(unsafe.Pointer(&a.in6))
}

// addrPort is what a says, without the zone; zero when it is of no family known here.
func (a *address) addrPort() netip.AddrPort {
	port := bigEndian(a.in6.Port) // at the same place in both
	switch a.in6.Family {
	case unix.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4(a.inet4().Addr), port)
	case unix.AF_INET6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.in6.Addr), port)
	default:
		return netip.AddrPort{}
	}
}

// bigEndian turns a port as the kernel has it into a number, and back.
func bigEndian(port uint16) uint16 {
	b := (*[2]byte)(unsafe.Pointer(&port))
	return uint16(b[0])<<8 | uint16(b[1])
}

// connect begins to connect fd; 0: it is through.
func connect(fd int, to *address) syscall.Errno {
	_, _, errno := syscall.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&to.in6)), uintptr(to.length))
	return errno
}

func bindTo(fd int, own *address) error {
	_, _, errno := syscall.RawSyscall(unix.SYS_BIND, uintptr(fd), uintptr(unsafe.Pointer(&own.in6)), uintptr(own.length))
	return asError(errno)
}

// localOf is the own address of fd, zero if that is none.
func localOf(fd int) netip.AddrPort {
	a := address{length: uint32(unsafe.Sizeof(unix.RawSockaddrInet6{}))}
	_, _, errno := syscall.RawSyscall(unix.SYS_GETSOCKNAME, uintptr(fd), uintptr(unsafe.Pointer(&a.in6)), uintptr(unsafe.Pointer(&a.length)))
	if errno != 0 {
		return netip.AddrPort{}
	}
	return a.addrPort()
}

func setOption(fd, level, option int, value int32) error {
	_, _, errno := syscall.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), uintptr(level), uintptr(option),
		uintptr(unsafe.Pointer(&value)), unsafe.Sizeof(value), 0)
	return asError(errno)
}

func option(fd, level, option int) (int32, error) {
	var value int32
	size := uint32(unsafe.Sizeof(value))
	_, _, errno := syscall.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), uintptr(option),
		uintptr(unsafe.Pointer(&value)), uintptr(unsafe.Pointer(&size)), 0)
	return value, asError(errno)
}

// endSending shuts fd down for writing.
func endSending(fd int) error {
	_, _, errno := syscall.RawSyscall(unix.SYS_SHUTDOWN, uintptr(fd), unix.SHUT_WR, 0)
	return asError(errno)
}

// asError is errno, nil for 0.
func asError(errno syscall.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}
