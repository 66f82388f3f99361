// Package lazyctx derives contexts that cost nothing until somebody waits for
// them: a timer, and a place among what the parent has to cancel. What is made for
// each connection, and mostly is over before anybody waits, needs no more.
package lazyctx

import (
	"context"
	"sync"
	"time"
)

// Context is done when its parent is, at its deadline, or by Cancel. One that is no
// longer needed must be cancelled.
type Context struct {
	parent context.Context
	by     time.Time // the deadline; zero: the parent's
	over   error     // the cause when it has passed

	mu      sync.Mutex // guards what follows
	ended   bool       // by Cancel
	cause   error      // of that
	derived context.Context
	cancel  context.CancelCauseFunc // of derived
	stop    context.CancelFunc      // its timer's
}

// WithCancel derives a context that Cancel ends.
func WithCancel(parent context.Context) *Context { return &Context{parent: parent} }

// WithTimeoutCause derives one that ends by itself as well, with that cause.
func WithTimeoutCause(parent context.Context, after time.Duration, cause error) *Context {
	c := &Context{parent: parent, by: time.Now().Add(after), over: cause}
	if by, ok := parent.Deadline(); ok && by.Before(c.by) {
		c.by = time.Time{}
	}
	return c
}

// Cancel ends c; nil stands for context.Canceled. Only the first cause counts.
func (c *Context) Cancel(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	c.ended, c.cause = true, cause
	if c.derived != nil {
		c.end()
	}
}

// end passes on that c has ended; mu is held.
func (c *Context) end() {
	c.cancel(c.cause)
	if c.stop != nil {
		c.stop()
	}
}

// derive returns the context that c stands for.
func (c *Context) derive() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.derived != nil {
		return c.derived
	}
	c.derived, c.cancel = context.WithCancelCause(c.parent)
	if !c.by.IsZero() {
		c.derived, c.stop = context.WithDeadlineCause(c.derived, c.by, c.over)
	}
	if c.ended {
		c.end()
	}
	return c.derived
}

// Deadline implements context.Context.
func (c *Context) Deadline() (time.Time, bool) {
	if !c.by.IsZero() {
		return c.by, true
	}
	return c.parent.Deadline()
}

// Done implements context.Context. From here on c costs what others do.
func (c *Context) Done() <-chan struct{} { return c.derive().Done() }

// Err implements context.Context.
func (c *Context) Err() error {
	c.mu.Lock()
	derived, ended := c.derived, c.ended
	c.mu.Unlock()
	switch {
	case derived != nil:
		return derived.Err()
	case ended:
		return context.Canceled
	case c.parent.Err() != nil:
		return c.parent.Err()
	case !c.by.IsZero() && !time.Now().Before(c.by):
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// Value implements context.Context. By it context.Cause finds the cause.
func (c *Context) Value(key any) any { return c.derive().Value(key) }
