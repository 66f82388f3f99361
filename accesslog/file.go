package accesslog

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"syscall"
	"time"
)

// stdout is the path that means standard output.
const stdout = "-"

// patience is how long the reader of a pipe may let one write wait.
const patience = 5 * time.Second

// file is the log file: it keeps lines whole when a write stops half-way, and
// rotates by size. It is not safe for concurrent use.
type file struct {
	path     string
	f        *os.File
	fixed    bool          // standard output: it is not opened anew
	patience time.Duration // for pipes; files cannot time out
	regular  bool          // f can be truncated and rotated
	size     int64         // of f, when it is regular
	torn     bool          // the last byte written does not end a line
	rotateAt int64         // size of the next rotation, 0 for never
	every    int64         // rotate_size
	keep     int
}

// openFile opens or creates the file for appending, mode 0640.
func openFile(o Options) (*file, error) {
	l := &file{path: o.Path, every: int64(o.RotateSize), keep: o.RotateKeep, patience: patience}
	if o.Path == stdout {
		l.path, l.f, l.fixed = "standard output", openStdout(), true
		return l, nil
	}
	return l, l.reopen()
}

// openStdout opens a pipe on standard output a second time: writes to that one
// can be given a deadline without changing what other processes share.
func openStdout() *os.File {
	info, err := os.Stdout.Stat()
	if err != nil || info.Mode()&fs.ModeNamedPipe == 0 {
		return os.Stdout
	}
	f, err := os.OpenFile("/proc/self/fd/1", os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return os.Stdout
	}
	return f
}

// reopen opens the path, and only when that went well closes the file before. A
// pipe nobody reads is an error instead of a wait.
func (l *file) reopen() error {
	if l.fixed {
		return nil
	}
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|syscall.O_NONBLOCK, 0o640)
	if err != nil {
		return fmt.Errorf("open access log: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(fmt.Errorf("open access log: %w", err), f.Close())
	}
	old := l.f
	l.f, l.torn = f, false
	l.regular, l.size = info.Mode().IsRegular(), info.Size()
	l.rotateAt = 0
	if l.regular {
		l.rotateAt = l.every
	}
	if old != nil {
		return old.Close()
	}
	return nil
}

// write appends whole lines and rotates when the file has grown to its limit.
// lost is how many of them did not make it.
func (l *file) write(b []byte, lines uint64) (lost uint64, err error) {
	if len(b) == 0 {
		return 0, nil
	}
	_ = l.f.SetWriteDeadline(time.Now().Add(l.patience)) // files have none
	if l.torn {
		if _, err := l.f.WriteString("\n"); err != nil {
			return lines, err
		}
		l.torn = false
		l.size++
	}
	n, err := l.f.Write(b)
	l.size += int64(n)
	if err != nil {
		return lines - l.mend(b[:n]), err
	}
	if l.rotateAt > 0 && l.size >= l.rotateAt {
		return 0, l.rotate()
	}
	return 0, nil
}

// mend takes the half line off the end of the file after a write that stopped
// within b, and returns the number of whole lines that stay.
func (l *file) mend(b []byte) uint64 {
	half := int64(len(b) - 1 - bytes.LastIndexByte(b, '\n'))
	if half > 0 {
		if l.regular && l.f.Truncate(l.size-half) == nil {
			l.size -= half
		} else {
			l.torn = true
		}
	}
	return uint64(bytes.Count(b, []byte{'\n'}))
}

// rotate renames path.1 to path.2 and so on, then path to path.1, and begins a
// new file. When that fails the log goes on in the file it has, and the next
// attempt comes one rotate_size later.
func (l *file) rotate() error {
	l.rotateAt = l.size + l.every
	for i := l.keep - 1; i >= 1; i-- {
		if err := os.Rename(l.numbered(i), l.numbered(i+1)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("rotate access log: %w", err)
		}
	}
	if err := os.Rename(l.path, l.numbered(1)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("rotate access log: %w", err)
	}
	return l.reopen()
}

func (l *file) numbered(i int) string { return l.path + "." + strconv.Itoa(i) }

// close closes the file; standard output stays open.
func (l *file) close() error {
	if l.f == os.Stdout {
		return nil
	}
	return l.f.Close()
}
