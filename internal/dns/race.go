package dns

import (
	"context"
	"time"
)

// raced is how a race ended.
type raced[T any] struct {
	value  T
	winner int     // -1: all attempts failed
	errs   []error // of each attempt, nil for the winner and for those not begun
}

// race begins n attempts, one after another, each when the one before it failed
// or has taken longer than delay. The first success ends it: the others are
// cancelled, waited for, and what they bring all the same is handed to discard.
// An attempt must return soon when its context is done.
func race[T any](ctx context.Context, n int, delay time.Duration, attempt func(context.Context, int) (T, error), discard func(T)) raced[T] {
	result := raced[T]{winner: -1, errs: make([]error, n)}
	if n == 1 {
		if result.value, result.errs[0] = attempt(ctx, 0); result.errs[0] == nil {
			result.winner = 0
		}
		return result
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type outcome struct {
		value T
		err   error
		i     int
	}
	outcomes := make(chan outcome, n) // one from each: nobody blocks on it
	begun, running := 0, 0
	begin := func() {
		i := begun
		begun++
		running++
		go func() {
			v, err := attempt(ctx, i)
			outcomes <- outcome{v, err, i}
		}()
	}
	begin()
	next := time.NewTimer(delay)
	defer next.Stop()
	for running > 0 {
		select {
		case <-next.C:
		case o := <-outcomes:
			running--
			result.errs[o.i] = o.err
			switch {
			case o.err == nil && result.winner < 0:
				result.value, result.winner = o.value, o.i
				cancel()
			case o.err == nil:
				discard(o.value)
				result.errs[o.i] = context.Canceled
			}
		}
		if result.winner < 0 && begun < n && ctx.Err() == nil {
			begin()
			next.Reset(delay)
		}
	}
	return result
}
