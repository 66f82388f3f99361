package frontdoor

import "time"

// weightScale is how finely weights can grow.
const weightScale = 100

// share is how much of its weight a node gets that came up at since, in percent:
// it grows in proportion to time over ramp, and is never nothing. A node whose
// since is zero has always been up.
func share(since, now time.Time, ramp time.Duration) int {
	age := now.Sub(since)
	if since.IsZero() || age >= ramp {
		return 100
	}
	return max(1, int(100*age/ramp))
}

// effective is the weight that counts in a pick, in hundredths.
func effective(weight, share int) int64 {
	return max(1, int64(max(weight, 1))*weightScale*int64(share)/100)
}
