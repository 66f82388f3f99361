package demo

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// prefix begins the names of the directories of demos.
const prefix = "cachenode-demo-"

// directory is where all that a demo makes lies. Its lock is held by the demo
// and by its nodes, so that the next demo can tell what a killed one left.
type directory struct {
	path string
	lock *os.File
}

// newDirectory makes one in parent, default the system's.
func newDirectory(parent string) (_ directory, err error) {
	var d directory
	if d.path, err = os.MkdirTemp(parent, prefix); err != nil {
		return d, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.remove())
		}
	}()
	// Locked before it has its name: no other demo sees the lock free.
	name := filepath.Join(d.path, "lock")
	if d.lock, err = os.OpenFile(name+".new", os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600); err != nil {
		return d, err
	}
	if err = unix.Flock(int(d.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return d, err
	}
	return d, os.Rename(name+".new", name)
}

func (d directory) remove() error {
	err := os.RemoveAll(d.path)
	if d.lock != nil {
		err = errors.Join(err, d.lock.Close())
	}
	return err
}

// removeLeft removes the directories in parent of this user's demos that were
// killed. It is a courtesy: what cannot be removed stays.
func removeLeft(parent string) {
	if parent == "" {
		parent = os.TempDir()
	}
	all, _ := filepath.Glob(filepath.Join(parent, prefix+"*"))
	for _, path := range all {
		if own(path) && unused(path) {
			_ = os.RemoveAll(path)
		}
	}
}

// own reports that path is a directory, and this user's: others may put things
// into a directory of temporary files.
func own(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || !info.IsDir() || info.Mode().Perm()&0o077 != 0 {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int64(stat.Uid) == int64(os.Geteuid())
}

// unused reports that nobody holds the lock of a demo's directory. One without
// a lock is being made.
func unused(path string) bool {
	lock, err := os.OpenFile(filepath.Join(path, "lock"), os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer lock.Close()
	return unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil
}
