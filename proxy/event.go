package proxy

import "sync"

// event is something that happens once. It has a channel only where somebody waits
// for it. The zero value is one that has not happened.
type event struct {
	mu   sync.Mutex // guards what follows
	over bool
	c    chan struct{}
}

// happen may be called more than once.
func (e *event) happen() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.over && e.c != nil {
		close(e.c)
	}
	e.over = true
}

func (e *event) happened() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.over
}

// wait returns a channel that is closed when it has happened.
func (e *event) wait() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.c == nil {
		e.c = make(chan struct{})
		if e.over {
			close(e.c)
		}
	}
	return e.c
}
