package demo

import (
	"context"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// isTerminal reports that a person is at the other end of a file.
func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// sizeOf is how many columns and lines a terminal has.
func sizeOf(f *os.File) (width, height int) {
	ws, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil || ws.Col == 0 || ws.Row == 0 {
		return 80, 24
	}
	return int(ws.Col), int(ws.Row)
}

// keystrokes has a terminal hand over each key at once, and not show it. Ctrl-C
// stays a signal, Ctrl-Z does nothing: it would leave the view on the screen.
// The undo must be called.
func keystrokes(f *os.File) (undo func() error, err error) {
	fd := int(f.Fd())
	was, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, err
	}
	now := *was
	now.Lflag &^= unix.ICANON | unix.ECHO
	now.Cc[unix.VSUSP] = 0
	now.Cc[unix.VMIN], now.Cc[unix.VTIME] = 0, 2 // a read ends after 0.2 s without a key
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &now); err != nil {
		return nil, err
	}
	return func() error { return unix.IoctlSetTermios(fd, unix.TCSETS, was) }, nil
}

// readKeys sends keys until ctx ends or the terminal has gone.
func readKeys(ctx context.Context, f *os.File, to chan<- byte) error {
	b := make([]byte, 1)
	for ctx.Err() == nil {
		n, err := f.Read(b)
		if n == 0 && (err == nil || errors.Is(err, io.EOF)) {
			continue
		}
		if err != nil {
			return nil // there are signals
		}
		select {
		case to <- b[0]:
		case <-ctx.Done():
		}
	}
	return nil
}
