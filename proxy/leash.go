package proxy

import (
	"context"
	"sync"
	"time"
)

// leash is the context of one fetch: it ends when the flight is cancelled. It
// has no deadline and no values. Unlike one of context.WithCancel it costs an
// allocation only where somebody waits for its channel, which on the way of a
// plain miss nobody does.
type leash struct {
	mu    sync.Mutex // guards what follows
	done  chan struct{}
	err   error
	ended []*leashed // to be called when it ends, nil where taken off again
	room  [2]*leashed
}

// leashed is a function that AfterFunc was given.
type leashed struct{ f func() }

var _ context.Context = (*leash)(nil)

// cancel ends the context; it waits for nothing.
func (l *leash) cancel() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return
	}
	l.err = context.Canceled
	if l.done != nil {
		close(l.done)
	}
	for _, e := range l.ended {
		if e != nil {
			go e.f() // as context.AfterFunc does: it may take its time
		}
	}
	l.ended = nil
}

// Done implements context.Context.
func (l *leash) Done() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.done == nil {
		l.done = make(chan struct{})
		if l.err != nil {
			close(l.done)
		}
	}
	return l.done
}

// Err implements context.Context.
func (l *leash) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Deadline implements context.Context.
func (*leash) Deadline() (time.Time, bool) { return time.Time{}, false }

// Value implements context.Context.
func (*leash) Value(any) any { return nil }

// AfterFunc calls f in a goroutine of its own once the context has ended, unless
// stop is called before; stop reports whether it was. Package context uses it
// for contexts that are derived from this one.
func (l *leash) AfterFunc(f func()) (stop func() bool) {
	e := &leashed{f}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		go f()
		return func() bool { return false }
	}
	if l.ended == nil {
		l.ended = l.room[:0]
	}
	l.ended = append(l.ended, e)
	return func() bool { return l.forget(e) }
}

// forget takes e off; false: it is being called, or was taken off before.
func (l *leash) forget(e *leashed) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, o := range l.ended {
		if o == e {
			last := len(l.ended) - 1
			l.ended[i], l.ended[last] = l.ended[last], nil
			l.ended = l.ended[:last]
			return true
		}
	}
	return false
}
