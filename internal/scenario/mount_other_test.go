//go:build !linux

package scenario

import "testing"

// mount puts a small file system in memory on dir until the test ends.
func mount(t *testing.T, _, _ string) {
	t.Helper()
	t.Skip("only Linux has this file system")
}

func remount(t *testing.T, dir, options string) {
	t.Helper()
	mount(t, dir, options)
}
