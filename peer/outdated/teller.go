// Package outdated tells the other members of a cluster which stored responses
// an unsafe request has made invalid here (RFC 9111 §4.4). It gathers, bounds and
// paces what is told, and knows its form on the wire; it knows neither how
// members are called nor how a key is dropped.
package outdated

import (
	"context"
	"strings"
	"sync"
	"time"
)

// A flood of unsafe requests must not become a flood between members: however
// many there are, each member gets a batch every pace, and what finds no place
// among those that wait is not told.
const (
	pace         = 50 * time.Millisecond
	batchKeys    = 512
	batchBytes   = 256 << 10
	waitingKeys  = 4096
	waitingBytes = 1 << 20
	longestKey   = 16 << 10
)

// MaxBatch bounds the bytes of a batch on the wire.
const MaxBatch = batchBytes

// Teller takes keys and tells them in batches. It may be used from many
// goroutines.
type Teller struct {
	tell func(ctx context.Context, batch []byte) (failed int)
	wake chan struct{} // 1: keys wait

	mu      sync.Mutex // guards all below
	waiting []string   // oldest first
	known   map[string]struct{}
	bytes   int // of waiting, with their separators
	stats   Stats
}

// Stats is what became of keys.
type Stats struct {
	Told    uint64 // keys that were in a batch
	Dropped uint64 // keys that were not told: too many, or too long
	Failed  uint64 // batches that a member did not take
}

// New makes a Teller. tell gives a batch to every other member and returns how
// many of them did not take it; it is called by one goroutine, Run's.
func New(tell func(ctx context.Context, batch []byte) (failed int)) *Teller {
	return &Teller{tell: tell, wake: make(chan struct{}, 1), known: map[string]struct{}{}}
}

// Tell has the others hear of keys, soon. It does not wait.
func (t *Teller) Tell(keys []string) {
	t.mu.Lock()
	for _, key := range keys {
		t.add(key)
	}
	t.mu.Unlock()
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// add is Tell for one key; mu is held. One that waits already is told once.
func (t *Teller) add(key string) {
	if _, ok := t.known[key]; ok {
		return
	}
	if len(key) > longestKey || strings.Contains(key, separator) ||
		len(t.waiting) == waitingKeys || t.bytes+len(key)+len(separator) > waitingBytes {
		t.stats.Dropped++
		return
	}
	t.known[key] = struct{}{}
	t.waiting = append(t.waiting, key)
	t.bytes += len(key) + len(separator)
}

// Run tells what waits until ctx ends: at once, and then no more often than
// every pace.
func (t *Teller) Run(ctx context.Context) error {
	rest := time.NewTimer(0)
	defer rest.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-rest.C:
		}
		batch := t.next()
		for batch == nil {
			select {
			case <-ctx.Done():
				return nil
			case <-t.wake:
			}
			batch = t.next()
		}
		failed := t.tell(ctx, batch)
		t.mu.Lock()
		t.stats.Failed += uint64(failed)
		t.mu.Unlock()
		rest.Reset(pace)
	}
}

// next takes a batch off what waits; nil: nothing does.
func (t *Teller) next() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	n, size := 0, 0
	for n < min(len(t.waiting), batchKeys) && size+len(t.waiting[n])+len(separator) <= batchBytes {
		size += len(t.waiting[n]) + len(separator)
		delete(t.known, t.waiting[n])
		n++
	}
	if n == 0 {
		return nil
	}
	batch := appendKeys(make([]byte, 0, size), t.waiting[:n])
	t.waiting = append([]string(nil), t.waiting[n:]...)
	t.bytes -= size
	t.stats.Told += uint64(n)
	return batch
}

// Stats returns a snapshot.
func (t *Teller) Stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stats
}
