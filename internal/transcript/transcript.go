// Package transcript keeps what is written, to be read while more comes: the log
// of what a test runs, or what a process says. It only keeps: tests wait for what
// they look for themselves.
package transcript

import (
	"bytes"
	"sync"
)

// Transcript is an io.Writer that is safe for concurrent use. The zero value is
// empty.
type Transcript struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

// Write implements io.Writer; it never fails.
func (t *Transcript) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.Write(p)
}

// String is what has been written so far.
func (t *Transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.String()
}
