package scenario

import (
	"syscall"
	"testing"
)

// mount puts a small file system in memory on dir until the test ends.
func mount(t *testing.T, dir, options string) {
	t.Helper()
	wantsRoot(t)
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("mount: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
}

func remount(t *testing.T, dir, options string) {
	t.Helper()
	flags := uintptr(syscall.MS_REMOUNT)
	if options == "ro" {
		flags |= syscall.MS_RDONLY
	}
	must(t, syscall.Mount("tmpfs", dir, "tmpfs", flags, ""))
}
