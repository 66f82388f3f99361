//go:build !linux

package bench

// preciseSleeper is no better than the runtime here.
func preciseSleeper() (sleep sleeper, closer func(), err error) {
	return sleepRuntime, func() {}, nil
}
