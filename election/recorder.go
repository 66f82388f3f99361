package election

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Recorder is an Address with Steering for tests: it is nowhere but remembers
// what was done with it, and loses the address like a kernel when the lease is not
// renewed.
type Recorder struct {
	// Lease is how long the address stays without being renewed.
	Lease time.Duration
	// Ask is what a probe finds; nil: silence, and no gateway.
	Ask func() Probe
	// CannotStay and CannotForward are what the machine lacks; nil: nothing.
	CannotStay, CannotForward error

	mu     sync.Mutex // guards all below
	until  time.Time
	stays  time.Time // until when it stays
	conns  int
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
	r.until, r.stays = time.Now().Add(r.Lease), time.Time{}
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
	r.until, r.stays = time.Time{}, time.Time{}
	r.log = append(r.log, fmt.Sprintf("release to %q", to))
	return nil
}

// Lacks implements Steering.
func (r *Recorder) Lacks() (stay, forward error) { return r.CannotStay, r.CannotForward }

// Stay implements Steering.
func (r *Recorder) Stay() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := time.Now(); !now.Before(r.stays) {
		r.log = append(r.log, "stay")
	}
	r.until, r.stays = time.Time{}, time.Now().Add(r.Lease)
	return nil
}

// Connections implements Steering.
func (r *Recorder) Connections() (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.conns, nil
}

// Forward implements Steering.
func (r *Recorder) Forward(to net.HardwareAddr) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log = append(r.log, fmt.Sprintf("forward to %q", to.String()))
	return nil
}

// Connect sets how many connections there are.
func (r *Recorder) Connect(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns = n
}

// Stays reports whether the address is kept here for connections.
func (r *Recorder) Stays() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Now().Before(r.stays)
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

// Log is what happened so far: "hold from ID", "release to ID", "stay",
// "forward to MAC".
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
