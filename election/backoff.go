package election

import "time"

// backoff keeps a node from trying again and again: each time it waits twice as
// long as before.
type backoff struct {
	until time.Time // nothing is tried before
	wait  time.Duration
}

// push waits for longer than the last time, within bounds.
func (b *backoff) push(now time.Time, least, most time.Duration) {
	if now.Sub(b.until) > forgiven {
		b.wait = 0
	}
	b.wait = min(max(2*b.wait, least), most)
	b.until = now.Add(b.wait)
}

// forgiven is how long after a wait it is held against nobody.
const forgiven = time.Minute

// pause waits once, for a while that does not count.
func (b *backoff) pause(now time.Time, wait time.Duration) { b.until = now.Add(wait) }

func (b *backoff) clear() { *b = backoff{} }
