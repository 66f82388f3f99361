// Package shortage paces a loop that accepts connections while it cannot, mostly as
// no descriptors are left. Each one that is closed lets it accept another, so this may
// go on for long, and must neither spin nor fill the log. It neither accepts nor logs
// itself.
package shortage

import (
	"errors"
	"time"
)

// Pace is the state of one such loop. The zero value is ready.
type Pace struct {
	wait time.Duration
	told time.Time
}

const (
	shortest = 5 * time.Millisecond
	longest  = time.Second
	silence  = time.Minute // between two messages
)

// Passing reports an error of Accept that may be gone the next time.
func Passing(err error) bool {
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary()
}

// Over notes that a connection was accepted.
func (p *Pace) Over() { p.wait = 0 }

// News reports whether it is time to say that connections cannot be accepted.
func (p *Pace) News() bool {
	now := time.Now()
	if !p.told.IsZero() && now.Sub(p.told) < silence {
		return false
	}
	p.told = now
	return true
}

// Next is how long to wait before the next try: longer each time, up to a second.
func (p *Pace) Next() time.Duration {
	p.wait = min(max(2*p.wait, shortest), longest)
	return p.wait
}
