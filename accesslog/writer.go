package accesslog

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// flushSize is how much waits in memory before a flush is asked for early.
	flushSize = 64 << 10
	// maxPending is how much may wait when the disk is slower than the
	// requests; lines beyond it are dropped and counted.
	maxPending = 4 << 20
	// flushEvery bounds the age of a line that is not yet in the file, and so
	// what a crash can lose.
	flushEvery = time.Second
)

// Writer writes entries to the log. Log only formats into memory; the file is
// written by Run, so that a slow or full disk neither delays nor fails a
// request.
type Writer struct {
	format     Format
	stripQuery bool
	node       string
	log        *slog.Logger
	wake       chan struct{} // capacity 1: one request for a flush is enough

	dropped atomic.Uint64

	mu      sync.Mutex // guards pending, lines and closed; no I/O under it
	pending []byte
	lines   uint64 // in pending
	closed  bool

	out   sync.Mutex // guards file, spare and failing; held during I/O
	file  *file      // nil: the log is off
	spare []byte     // the other buffer, empty
	// failing is set while writes fail, so that a broken disk makes one message.
	failing bool
}

// New opens the log that o describes. node is this node's name, for JSON. With
// an empty path the writer takes entries and does nothing.
func New(o Options, node string, log *slog.Logger) (*Writer, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	w := &Writer{
		format:     o.Format,
		stripQuery: o.StripQuery,
		node:       node,
		log:        log,
		wake:       make(chan struct{}, 1),
	}
	if o.Path == "" {
		w.closed = true
		return w, nil
	}
	f, err := openFile(o)
	if err != nil {
		return nil, err
	}
	w.file = f
	w.pending = make([]byte, 0, flushSize+flushSize/4)
	w.spare = make([]byte, 0, flushSize+flushSize/4)
	return w, nil
}

// Log adds the line of e. It may be called from many goroutines, does no I/O,
// and does not keep e. After Close it does nothing.
func (w *Writer) Log(e *Entry) {
	if w.stripQuery {
		if i := strings.IndexByte(e.URL, '?'); i >= 0 {
			stripped := *e
			stripped.URL = e.URL[:i+1]
			e = &stripped
		}
	}
	if w.add(e) {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// add appends the line and reports whether it is time to flush.
func (w *Writer) add(e *Entry) (flush bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	if len(w.pending) >= maxPending {
		w.dropped.Add(1)
		return true
	}
	w.pending = Append(w.pending, w.format, e, w.node)
	w.lines++
	return len(w.pending) >= flushSize
}

// Dropped counts the lines that were lost since the start, because the disk
// was full, failed or too slow.
func (w *Writer) Dropped() uint64 { return w.dropped.Load() }

// Run writes what Log collects, at least once a second, until ctx ends. Then
// it writes what is left. The lines of requests that end later are written by
// Close.
func (w *Writer) Run(ctx context.Context) error {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			w.flush()
			return nil
		case <-tick.C:
		case <-w.wake:
		}
		w.flush()
	}
}

// flush writes what is pending. Errors are logged and counted here: there is
// nobody who could do more.
func (w *Writer) flush() {
	w.out.Lock()
	defer w.out.Unlock()
	w.flushLocked()
}

func (w *Writer) flushLocked() {
	if w.file == nil {
		return
	}
	w.mu.Lock()
	full, lines := w.pending, w.lines
	w.pending, w.lines = w.spare[:0], 0
	w.mu.Unlock()

	w.spare = nil
	lost, err := w.file.write(full, lines)
	w.dropped.Add(lost)
	w.report(err)
	if cap(full) > 4*flushSize {
		full = make([]byte, 0, flushSize+flushSize/4) // a burst is over: give its memory back
	}
	w.spare = full[:0]
}

// report logs the first of a row of failures, and the recovery.
func (w *Writer) report(err error) {
	switch {
	case err != nil && !w.failing:
		w.log.Error("access log cannot be written; requests are served without it", "path", w.file.path, "error", err)
	case err == nil && w.failing:
		w.log.Info("access log is written again", "path", w.file.path, "lines_lost", w.dropped.Load())
	}
	w.failing = err != nil
}

// Reopen writes what is pending and opens the path anew: a program that
// rotates logs has renamed the file. When that fails the old file stays in use.
func (w *Writer) Reopen() error {
	w.out.Lock()
	defer w.out.Unlock()
	w.flushLocked()
	if w.file == nil {
		return nil
	}
	return w.file.reopen()
}

// Close writes what is pending and closes the file. It may be called more than
// once, and with or without Run having run.
func (w *Writer) Close() error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.out.Lock()
	defer w.out.Unlock()
	w.flushLocked()
	if w.file == nil {
		return nil
	}
	f := w.file
	w.file = nil
	return f.close()
}
