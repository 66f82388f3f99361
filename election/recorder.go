package election

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Recorder is an Address for tests: it is nowhere but remembers what was done
// with it, and loses the address like a kernel when the lease is not renewed.
type Recorder struct {
	// Lease is how long the address stays without being renewed.
	Lease time.Duration
	// Ask is what a probe finds; nil: silence, and no gateway.
	Ask func() Probe

	mu     sync.Mutex // guards all below
	until  time.Time
	refuse error
	log    []string
	calls  int
}

// Probe implements Address.
func (r *Recorder) Probe(ctx context.Context, _ bool) Probe {
	ask := func() Probe {
		if r.Ask == nil {
			return Probe{}
		}
		return r.Ask()
	}
	if p := ask(); p.Owner != nil || p.Err != nil {
		return p
	}
	<-ctx.Done()
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return Probe{Err: ctx.Err()}
	}
	return ask()
}

// Hold implements Address.
func (r *Recorder) Hold(from string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refuse != nil {
		return r.refuse
	}
	if now := time.Now(); !now.Before(r.until) {
		r.log = append(r.log, fmt.Sprintf("hold from %q", from))
	}
	r.until = time.Now().Add(r.Lease)
	return nil
}

// Announce implements Address.
func (r *Recorder) Announce() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls++
}

// Release implements Address.
func (r *Recorder) Release(to string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.until = time.Time{}
	r.log = append(r.log, fmt.Sprintf("release to %q", to))
	return nil
}

// Refuse makes Hold fail from now on; nil: no more.
func (r *Recorder) Refuse(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refuse = err
}

// Held reports whether the address is here now.
func (r *Recorder) Held() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Now().Before(r.until)
}

// Log is what happened so far: "hold from ID", "release to ID".
func (r *Recorder) Log() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.log...)
}

// Announcements is how many there were so far.
func (r *Recorder) Announcements() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls
}
