package netlab

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// namespace is a network namespace with a name that ip(8) knows.
type namespace struct {
	name string
	file *os.File
}

func newNamespace(name string) (*namespace, error) {
	if err := ip("netns", "add", name); err != nil {
		return nil, err
	}
	f, err := os.Open("/run/netns/" + name)
	if err != nil {
		return nil, fmt.Errorf("open namespace: %w", err)
	}
	return &namespace{name: name, file: f}, nil
}

func (n *namespace) remove() error {
	_ = n.file.Close()
	return ip("netns", "del", n.name)
}

// do runs f on a thread inside the namespace. Sockets and processes that f
// makes belong there and stay there; goroutines that it starts do not.
func (n *namespace) do(f func() error) error {
	result := make(chan error, 1) // the goroutine never waits for a reader
	go func() {
		runtime.LockOSThread()
		home, err := os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
		if err != nil {
			runtime.UnlockOSThread()
			result <- fmt.Errorf("open own namespace: %w", err)
			return
		}
		defer home.Close()
		if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
			runtime.UnlockOSThread()
			result <- fmt.Errorf("enter namespace %s: %w", n.name, err)
			return
		}
		err = f()
		// A thread that cannot go home stays locked, and dies with the goroutine.
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		result <- err
	}()
	return <-result
}
