package node

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/cachenode/cachenode/accesslog"
)

// records is the access log behind a handle that a reload can change.
type records struct {
	node string
	log  *slog.Logger

	mu  sync.RWMutex // guards now; Log does no I/O
	now *accesslog.Writer

	next chan *accesslog.Writer // for run; unbuffered: exchange waits until it runs
	done chan struct{}          // closed when run has ended
}

func openRecords(o Options, log *slog.Logger) (*records, error) {
	w, err := newWriter(o, log)
	if err != nil {
		return nil, err
	}
	return &records{node: o.Name, log: log, now: w, next: make(chan *accesslog.Writer), done: make(chan struct{})}, nil
}

// newWriter opens the log; a relative path is one in the data directory.
func newWriter(o Options, log *slog.Logger) (*accesslog.Writer, error) {
	a := o.AccessLog
	if a.Path != "" && a.Path != "-" && !filepath.IsAbs(a.Path) {
		a.Path = filepath.Join(o.Data, a.Path)
	}
	w, err := accesslog.New(a, o.Name, log)
	if err != nil {
		return nil, &Fault{Err: err, Config: true, Hint: "choose another file with --access-log FILE, or standard output with --access-log -"}
	}
	return w, nil
}

func (r *records) write(e *accesslog.Entry) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	r.now.Log(e)
}

// run runs the writer in use, and those that exchange brings, until ctx ends.
func (r *records) run(ctx context.Context) error {
	defer close(r.done)
	var g errgroup.Group
	g.Go(func() error { return r.current().Run(ctx) })
	for {
		select {
		case w := <-r.next:
			g.Go(func() error { return w.Run(ctx) })
		case <-ctx.Done():
			return g.Wait()
		}
	}
}

// exchange writes to w from now on and closes the writer used so far.
func (r *records) exchange(w *accesslog.Writer) error {
	select {
	case r.next <- w:
	case <-r.done:
		return errors.Join(errors.New("the node has stopped"), w.Close())
	}
	r.mu.Lock()
	old := r.now
	r.now = w
	r.mu.Unlock()
	return old.Close()
}

func (r *records) current() *accesslog.Writer {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.now
}

// dropped counts the lines that were lost.
func (r *records) dropped() uint64 { return r.current().Dropped() }

func (r *records) close() error { return r.current().Close() }
