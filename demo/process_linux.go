package demo

import "syscall"

// ownGroup keeps the terminal's signals from a process, and ends it when the
// thread ends that started it.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
