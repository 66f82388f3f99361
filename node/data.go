package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// lockName is the file whose lock says that a node uses the directory.
const lockName = "lock"

// lockData makes the data directory when it is missing and takes its lock,
// which ends with the process even when that is killed. It returns what gives
// the lock up.
func lockData(dir string) (unlock func() error, err error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, dataFault(dir, err)
	}
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE|syscall.O_CLOEXEC, 0o640)
	if err != nil {
		return nil, dataFault(dir, err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		holder := readHolder(f)
		return nil, errors.Join(dataFaultLocked(dir, holder, err), f.Close())
	}
	if err := writeHolder(f); err != nil {
		return nil, errors.Join(dataFault(dir, err), f.Close())
	}
	return f.Close, nil
}

func writeHolder(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	return err
}

func readHolder(f *os.File) string {
	buf := make([]byte, 32)
	n, _ := f.ReadAt(buf, 0) // the number is only for the message
	return strings.TrimSpace(string(buf[:n]))
}

func dataFaultLocked(dir, pid string, err error) error {
	if !errors.Is(err, unix.EWOULDBLOCK) {
		return dataFault(dir, err)
	}
	by := "another process"
	if pid != "" {
		by = "process " + pid
	}
	return &Fault{
		Err:    fmt.Errorf("data directory %s is in use by %s", dir, by),
		Hint:   fmt.Sprintf("look at that node with 'cachenode status --data %s', or give this one a directory of its own with --data DIR", dir),
		Config: true,
	}
}

func dataFault(dir string, err error) error {
	hint := "choose another directory with --data DIR"
	switch {
	case errors.Is(err, fs.ErrPermission):
		hint = fmt.Sprintf("as root, give it to %s ('install -d -o %[1]s %s'), or choose another directory with --data DIR", userName(), dir)
	case errors.Is(err, unix.EROFS):
		hint = "the file system is mounted read-only: choose another directory with --data DIR"
	case errors.Is(err, unix.ENOSPC):
		hint = "the file system is full: free some space, or choose another directory with --data DIR"
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, fs.ErrExist):
		hint = "something that is no directory is in the way: choose another directory with --data DIR"
	}
	return &Fault{Err: fmt.Errorf("use data directory %s: %w", dir, err), Hint: hint, Config: true}
}

func userName() string {
	if name := os.Getenv("USER"); name != "" {
		return name
	}
	return fmt.Sprintf("user %d", os.Geteuid())
}
