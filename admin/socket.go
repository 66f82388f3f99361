package admin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// SocketName is the file name of the unix socket in the data directory.
const SocketName = "admin.sock"

// socketMode lets the group of the data directory use the API.
const socketMode = 0o660

// ErrRunning means that a node is alive in the data directory.
var ErrRunning = errors.New("a node is already running")

// dialTime bounds connecting to the unix socket.
const dialTime = 5 * time.Second

// socket is the listener of admin.sock.
type socket struct {
	net.Listener
	path string
	once sync.Once
}

// Close also removes the file.
func (s *socket) Close() error {
	err := s.Listener.Close()
	s.once.Do(func() { _ = os.Remove(s.path) }) // the next start removes it otherwise
	return err
}

// listenUnix makes the socket. One that a dead process left is removed; one
// that answers is ErrRunning.
func listenUnix(dir string) (net.Listener, error) {
	path := filepath.Join(dir, SocketName)
	if err := clearStale(dir, path); err != nil {
		return nil, err
	}
	var l net.Listener
	err := withShortPath(dir, func(short string) (err error) {
		l, err = net.Listen("unix", short)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // the short path is gone by then
	if err := os.Chmod(path, socketMode); err != nil {
		return nil, errors.Join(fmt.Errorf("listen on %s: %w", path, err), l.Close())
	}
	return &socket{Listener: l, path: path}, nil
}

func clearStale(dir, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at %s: %w", path, err)
	}
	if info.Mode()&fs.ModeSocket == 0 {
		return fmt.Errorf("%s is in the way: it is not a socket; move it aside", path)
	}
	ctx, cancel := context.WithTimeout(context.Background(), dialTime)
	defer cancel()
	conn, err := dialSocket(ctx, dir)
	if err == nil {
		_ = conn.Close()
		return fmt.Errorf("%w in %s (%s answers): stop it first, or give this one another directory with --data", ErrRunning, dir, SocketName)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("look whether a node is alive behind %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove the socket that a dead node left: %w", err)
	}
	return nil
}

// dialSocket connects to the socket in dir.
func dialSocket(ctx context.Context, dir string) (net.Conn, error) {
	var conn net.Conn
	err := withShortPath(dir, func(short string) (err error) {
		conn, err = new(net.Dialer).DialContext(ctx, "unix", short)
		return err
	})
	return conn, err
}

// withShortPath calls f with a name for the socket in dir that fits into a
// socket address, which holds 107 bytes: data directories may be deeper than
// that.
func withShortPath(dir string, f func(short string) error) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }() // it was only read
	return f("/proc/self/fd/" + strconv.Itoa(int(d.Fd())) + "/" + SocketName)
}
