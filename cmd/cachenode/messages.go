package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// survivePipes keeps a node alive whose reader of messages has gone: without it
// the write after that would end the process.
func survivePipes() (undo func()) {
	ignored := make(chan os.Signal, 1) // nobody reads it
	signal.Notify(ignored, syscall.SIGPIPE)
	return func() { signal.Stop(ignored) }
}

// messages returns where a node writes what it has to say: w, or what does not
// wait for the reader of a pipe that w is.
func messages(w io.Writer) io.Writer {
	f, ok := w.(*os.File)
	if !ok {
		return w
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&fs.ModeNamedPipe == 0 {
		return w
	}
	// Opened a second time: other processes share what the first one is set to.
	again, err := openAgain(f)
	if err != nil {
		return w
	}
	return &impatient{f: again}
}

// impatient writes to a pipe and drops what does not fit into it while nobody
// reads it.
type impatient struct {
	mu   sync.Mutex // guards f's deadline and full
	f    *os.File
	full bool
}

// Write implements io.Writer.
func (w *impatient) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	wait := time.Second
	if w.full {
		wait = time.Millisecond
	}
	if err := w.f.SetWriteDeadline(time.Now().Add(wait)); err != nil {
		return 0, err
	}
	n, err := w.f.Write(b)
	w.full = errors.Is(err, os.ErrDeadlineExceeded)
	return n, err
}
