package main

import (
	"bufio"
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// isTerminal reports that a person is at the other end of a stream.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// readSecret reads a line from a terminal without showing it.
func readSecret(f *os.File) (string, error) {
	fd := int(f.Fd())
	was, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return "", err
	}
	quiet := *was
	quiet.Lflag &^= unix.ECHO
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &quiet); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(f).ReadString('\n')
	return line, errors.Join(err, unix.IoctlSetTermios(fd, unix.TCSETS, was))
}
