package bench

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// preciseSleeper sleeps to some microseconds with a timerfd in the runtime's
// poller. The runtime's own timers wake an idle process up to a millisecond late,
// which is many answers of a cache.
func preciseSleeper() (sleep sleeper, closer func(), err error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, nil, fmt.Errorf("timerfd: %w", err)
	}
	f := os.NewFile(uintptr(fd), "timerfd")
	expired := make([]byte, 8)
	sleep = func(ctx context.Context, d time.Duration) bool {
		if d > longSleep {
			return sleepRuntime(ctx, d-longSleep/2)
		}
		spec := unix.ItimerSpec{Value: unix.NsecToTimespec(max(int64(d), 1))}
		if unix.TimerfdSettime(fd, 0, &spec, nil) != nil {
			return sleepRuntime(ctx, d)
		}
		_, err := f.Read(expired)
		return err == nil && ctx.Err() == nil
	}
	return sleep, func() { _ = f.Close() }, nil
}

// longSleep is from when a sleep must notice the end of its context; it then
// returns early, and the caller sleeps again for what is left.
const longSleep = 20 * time.Millisecond
