//go:build !linux || race

package http1

import "syscall"

// The race detector sees the order of what happens at two ends of a connection
// with the calls of package syscall only.

func recv(fd uintptr, b []byte) (int, syscall.Errno) { return plain(syscall.Read(int(fd), b)) }

func send(fd uintptr, b []byte) (int, syscall.Errno) { return plain(syscall.Write(int(fd), b)) }
