package lazyctx

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

var (
	errCut  = errors.New("cut")
	errLate = errors.New("late")
)

type key struct{}

// Whoever looks early and whoever looks late sees the same.
func TestEnds(t *testing.T) {
	for _, tc := range []struct {
		name       string
		end        func(c *Context, parent context.CancelCauseFunc)
		err, cause error
	}{
		{"never", func(*Context, context.CancelCauseFunc) {}, nil, nil},
		{"cancel", func(c *Context, _ context.CancelCauseFunc) { c.Cancel(errCut) }, context.Canceled, errCut},
		{"cancel without a cause", func(c *Context, _ context.CancelCauseFunc) { c.Cancel(nil) }, context.Canceled, context.Canceled},
		{"cancel twice", func(c *Context, _ context.CancelCauseFunc) { c.Cancel(errCut); c.Cancel(errLate) }, context.Canceled, errCut},
		{"parent", func(_ *Context, p context.CancelCauseFunc) { p(errCut) }, context.Canceled, errCut},
		{"parent, then cancel", func(c *Context, p context.CancelCauseFunc) { p(errCut); c.Cancel(errLate) }, context.Canceled, errCut},
		{"deadline", func(*Context, context.CancelCauseFunc) { time.Sleep(2 * time.Minute) }, context.DeadlineExceeded, errLate},
		{"deadline, then cancel", func(c *Context, _ context.CancelCauseFunc) { time.Sleep(2 * time.Minute); c.Cancel(errCut) }, context.DeadlineExceeded, errLate},
	} {
		for _, early := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				parent, end := context.WithCancelCause(context.WithValue(t.Context(), key{}, "value"))
				defer end(nil)
				c := WithTimeoutCause(parent, time.Minute, errLate)
				defer c.Cancel(nil)
				if early {
					c.Done()
				}
				tc.end(c, end)
				synctest.Wait()
				if early || tc.name != "deadline, then cancel" { // without a timer nobody has noted which came first
					if got := c.Err(); !errors.Is(got, tc.err) {
						t.Errorf("%s, early %v: error %v", tc.name, early, got)
					}
					if got := context.Cause(c); !errors.Is(got, tc.cause) {
						t.Errorf("%s, early %v: cause %v", tc.name, early, got)
					}
				}
				if got := c.Value(key{}); got != "value" {
					t.Errorf("%s: value %v", tc.name, got)
				}
				select {
				case <-c.Done():
					if tc.err == nil {
						t.Errorf("%s: done", tc.name)
					}
				default:
					if tc.err != nil {
						t.Errorf("%s, early %v: not done", tc.name, early)
					}
				}
			})
		}
	}
}

func TestWaitersAreWoken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := WithCancel(t.Context())
		woken := false
		context.AfterFunc(c, func() { woken = true })
		synctest.Wait()
		c.Cancel(errCut)
		synctest.Wait()
		if !woken {
			t.Error("not woken")
		}
	})
}

func TestTheNearerDeadlineCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		parent, end := context.WithTimeoutCause(t.Context(), time.Second, errCut)
		defer end()
		for after, want := range map[time.Duration]time.Duration{time.Millisecond: time.Millisecond, time.Minute: time.Second} {
			c := WithTimeoutCause(parent, after, errLate)
			if by, ok := c.Deadline(); !ok || by.Sub(now) != want {
				t.Errorf("within %v: %v", after, by.Sub(now))
			}
			c.Cancel(nil)
		}
		if _, ok := WithCancel(t.Context()).Deadline(); ok {
			t.Error("a deadline that nobody set")
		}
	})
}

// It is the point of this package that these cost next to nothing.
func TestCostsOneAllocation(t *testing.T) {
	parent, end := context.WithCancel(t.Context())
	defer end()
	if n := testing.AllocsPerRun(100, func() {
		c := WithTimeoutCause(parent, time.Minute, errLate)
		if c.Err() != nil {
			t.Error("ended")
		}
		c.Cancel(nil)
	}); n > 1 {
		t.Errorf("%v allocations", n)
	}
}
