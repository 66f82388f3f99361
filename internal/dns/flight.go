package dns

import (
	"context"
	"errors"
	"time"
)

// flight is a name being asked for, once for all who want it.
type flight struct {
	done chan struct{} // closed when answer is set
	answer
}

var (
	errClosed = errors.New("the resolver is closed")
	errBusy   = errors.New("too many look-ups at once")
)

// lookup answers from the cache, or waits for the servers.
func (r *Resolver) lookup(ctx context.Context, name string) (answer, error) {
	e, state, f := r.begin(name)
	switch state {
	case fresh, expiring:
		return e, nil
	case failing, resting:
		r.count.stale.Add(1)
		return e, nil
	case stale:
		return r.await(ctx, name, f, e)
	}
	select {
	case <-f.done:
		return f.answer, nil
	case <-ctx.Done():
		return answer{}, interrupted(name, ctx.Err())
	}
}

// await waits a moment for a new answer and then makes do with the stale one.
func (r *Resolver) await(ctx context.Context, name string, f *flight, old answer) (answer, error) {
	patience := time.NewTimer(r.o.StaleAfter.D())
	defer patience.Stop()
	select {
	case <-f.done:
		return f.answer, nil
	case <-patience.C:
		r.count.stale.Add(1)
		return old, nil
	case <-ctx.Done():
		return answer{}, interrupted(name, ctx.Err())
	}
}

// begin looks into the cache and joins or starts a flight if one is needed.
func (r *Resolver) begin(name string) (answer, freshness, *flight) {
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.cache.get(name)
	state := e.freshness(now)
	var cached answer
	if e != nil {
		cached = e.answer
		e.hits++
	}
	if state == fresh || state == resting {
		return cached, state, nil
	}
	return cached, state, r.join(name)
}

// join returns the flight for name and starts it if there is none. It is called
// with mu held.
func (r *Resolver) join(name string) *flight {
	if f := r.flights[name]; f != nil {
		return f
	}
	f := &flight{done: make(chan struct{})}
	if err := r.full(); err != nil {
		f.answer = failure(name, false, err)
		close(f.done)
		return f
	}
	r.flights[name] = f
	r.flying.Add(1)
	go r.fly(name, f)
	return f
}

// waitingShare bounds the names that wait for their turn, as a multiple of those
// that have it. They cost little, but requests that nobody waits for any more
// leave them behind.
const waitingShare = 16

func (r *Resolver) full() error {
	if r.closed {
		return errClosed
	}
	if len(r.flights) >= waitingShare*r.o.MaxLookups {
		return errBusy
	}
	return nil
}

// fly asks the servers. Waiters may go on with a first part of the answer; the
// flight stays until the whole is in the cache.
func (r *Resolver) fly(name string, f *flight) {
	defer r.flying.Done()
	ctx, cancel := context.WithTimeout(r.ctx, r.o.Timeout.D())
	defer cancel()
	published := false
	publish := func(a answer) {
		if !published {
			published = true
			f.answer = a
			close(f.done)
		}
	}
	var a answer
	select {
	case r.slots <- struct{}{}:
		a = r.resolve(ctx, name, publish)
		<-r.slots
	case <-ctx.Done():
		a = failure(name, true, errBusy)
	}
	if r.ctx.Err() != nil && a.failed {
		a = failure(name, false, errClosed)
	}
	publish(r.settle(name, a))
}

// settle stores the outcome of a flight and returns what its waiters get: the
// stale answer, when there is one and the servers failed.
func (r *Resolver) settle(name string, a answer) answer {
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.flights, name)
	if !a.failed {
		r.cache.put(newEntry(name, a, &r.o, now))
		return a
	}
	r.count.failures.Add(1)
	old := r.cache.get(name)
	if old == nil || len(old.answer.addrs) == 0 || !now.Before(old.usable) {
		r.cache.put(newEntry(name, a, &r.o, now))
		return a
	}
	old.retry = now.Add(staleRest)
	if !now.Before(old.expires) {
		r.count.stale.Add(1)
	}
	return old.answer
}

func failure(name string, timeout bool, cause error) answer {
	return answer{failed: true, err: &Error{Host: name, Timeout: timeout, Reason: cause.Error(), cause: cause}}
}
