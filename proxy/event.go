package proxy

import "github.com/cachenode/cachenode/internal/leash"

// event is something that happens once. It has a channel only where somebody waits
// for it. The zero value is one that has not happened.
type event struct{ end leash.Leash }

// happen may be called more than once.
func (e *event) happen() { e.end.Cancel() }

func (e *event) happened() bool { return e.end.Err() != nil }

// wait returns a channel that is closed when it has happened.
func (e *event) wait() <-chan struct{} { return e.end.Done() }
