package bench

import (
	"context"
	"time"
)

// sleeper waits for at most d; it may return earlier. False means that ctx ended.
type sleeper func(ctx context.Context, d time.Duration) bool

func sleepRuntime(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
