// Package leash is a context that can be cancelled and costs next to nothing. It
// knows no deadlines and carries no values.
package leash

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Leash is a context that ends when it is cancelled. It has no deadline and no
// values. Unlike one of context.WithCancel it is a value to be embedded, and it
// costs an allocation only where somebody waits for its channel. The zero value
// is ready; it must not be copied.
type Leash struct {
	mu    sync.Mutex // guards what follows
	done  chan struct{}
	err   error
	seats []func() // to be called when it ends, nil where taken off again
	room  [2]func()
}

var _ context.Context = (*Leash)(nil)

// Cancel ends the context; it waits for nothing.
func (l *Leash) Cancel() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return
	}
	l.err = context.Canceled
	if l.done != nil {
		close(l.done)
	}
	for _, f := range l.seats {
		if f != nil {
			go f() // as context.AfterFunc does: it may take its time
		}
	}
	l.seats = nil
}

// Done implements context.Context.
func (l *Leash) Done() <-chan struct{} {
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
func (l *Leash) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Deadline implements context.Context.
func (*Leash) Deadline() (time.Time, bool) { return time.Time{}, false }

// Value implements context.Context.
func (*Leash) Value(any) any { return nil }

// Enlist has f called in a goroutine of its own once the context has ended,
// unless Dismiss takes it off its seat before. A context that has ended already
// calls f and gives no seat: -1.
func (l *Leash) Enlist(f func()) (seat int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		go f()
		return -1
	}
	for i := range l.seats {
		if l.seats[i] == nil {
			l.seats[i] = f
			return i
		}
	}
	if l.seats == nil {
		l.seats = l.room[:0]
	}
	l.seats = append(l.seats, f)
	return len(l.seats) - 1
}

// Dismiss frees a seat, once. It returns false when what sat there is being
// called.
func (l *Leash) Dismiss(seat int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil || seat < 0 {
		return false
	}
	l.seats[seat] = nil
	return true
}

// AfterFunc is Enlist with a function for Dismiss, which may be called more than
// once and reports whether it took f off. Package context uses it for contexts
// that are derived from this one.
func (l *Leash) AfterFunc(f func()) (stop func() bool) {
	seat := l.Enlist(f)
	var stopped atomic.Bool
	return func() bool { return !stopped.Swap(true) && l.Dismiss(seat) }
}
