package peer

import (
	"log/slog"
	"net/netip"
	"sync"
	"time"
)

// Reason says why something that came to the port of gossip was turned away.
type Reason uint8

// The reasons. Nothing that was turned away has any effect.
const (
	RejectFormat    Reason = iota // not what members send each other
	RejectLabel                   // gossip of a cluster with another name
	RejectKey                     // without a key, or with one that is not ours
	RejectOversized               // a datagram larger than any of ours
	RejectReplayed                // recorded, and sent again
	RejectBusy                    // more streams at once than we serve
	reasons
)

var reasonNames = [reasons]string{"format", "label", "key", "oversized", "replayed", "busy"}

func (r Reason) String() string { return reasonNames[r] }

// rejectLogEvery bounds the log: one line for each reason in this time.
const rejectLogEvery = 10 * time.Second

// rejects counts what was turned away, and logs some of it.
type rejects struct {
	log *slog.Logger

	mu    sync.Mutex // guards below
	count [reasons]uint64
	last  [reasons]time.Time // logged
	quiet [reasons]uint64    // since then
}

func (r *rejects) add(why Reason, from netip.AddrPort, detail string, now time.Time) {
	r.mu.Lock()
	r.count[why]++
	r.quiet[why]++
	times := r.quiet[why]
	logged := now.Sub(r.last[why]) >= rejectLogEvery
	if logged {
		r.last[why], r.quiet[why] = now, 0
	}
	r.mu.Unlock()
	if logged {
		r.log.Warn("gossip rejected", "reason", why.String(), "from", from.String(), "detail", detail, "times", times)
	}
}

// counts are the totals by reason.
func (r *rejects) counts() map[string]uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := make(map[string]uint64, reasons)
	for i, n := range r.count {
		m[Reason(i).String()] = n
	}
	return m
}
