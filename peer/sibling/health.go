package sibling

import (
	"time"

	"github.com/cachenode/cachenode/icp"
)

// health is how a sibling behaves. Its methods are told the time.
type health struct {
	rtt    time.Duration // smoothed; 0: not known
	jitter time.Duration // smoothed distance from rtt
	probed bool          // a first query was sent, to learn rtt
	denied int           // DENIED in a row

	quiet quarantine // it does not answer queries
	slow  quarantine // fetches from it fail or take too long
}

// quarantine keeps a sibling from being asked, and says when to try it in the
// background.
type quarantine struct {
	on    bool
	told  bool // it has lasted long enough to be worth a line in the log
	since time.Time
	pause time.Duration // the next one
	retry time.Time
}

const (
	firstRetry = 50 * time.Millisecond
	lastRetry  = 5 * time.Second
	// newsworthy is how long a quarantine lasts before it is told: on a loaded
	// machine an answer may be late, which ends it at once.
	newsworthy = time.Second
	// unknownRTT stands for a round trip that was never measured.
	unknownRTT = 50 * time.Millisecond
	// maxDenied is how many DENIED in a row end the asking: a sibling that
	// refuses everybody is of no use, and squid does the same.
	maxDenied = 100
)

// usable reports whether misses may wait for it.
func (h *health) usable(time.Time) bool { return !h.quiet.on && !h.slow.on && h.denied < maxDenied }

// patience is how long an answer may take that is neither lost nor late: twice
// the round trip, and more where that varies.
func (h *health) patience() time.Duration {
	if h.rtt == 0 {
		return 2 * unknownRTT
	}
	return 2*h.rtt + 4*h.jitter
}

// answered notes a reply; true when it ends a silence that was told.
func (h *health) answered(o icp.Opcode, rtt time.Duration) (back bool) {
	if h.rtt == 0 {
		h.rtt = rtt
	} else {
		h.jitter += ((rtt - h.rtt).Abs() - h.jitter) / 4
		h.rtt += (rtt - h.rtt) / 8
	}
	if o == icp.OpDenied {
		h.denied++
	} else {
		h.denied = 0
	}
	return h.quiet.leave()
}

// silence notes a query without a reply.
func (h *health) silence(now time.Time) { h.quiet.enter(now) }

// fetched notes how a fetch ended.
func (h *health) fetched(how Outcome, now time.Time) {
	switch how {
	case Slow, Failed:
		h.slow.enter(now)
	case Served:
		h.slow.leave()
	}
}

// enter begins the quarantine, unless it has begun already.
func (q *quarantine) enter(now time.Time) bool {
	if q.on {
		return false
	}
	*q = quarantine{on: true, since: now, pause: firstRetry, retry: now.Add(firstRetry)}
	return true
}

// news reports, once, that the quarantine has lasted for long.
func (q *quarantine) news(now time.Time) bool {
	if !q.on || q.told || now.Sub(q.since) < newsworthy {
		return false
	}
	q.told = true
	return true
}

// due reports that it is time for a try, and when the next one is.
func (q *quarantine) due(now time.Time) bool {
	if !q.on || now.Before(q.retry) {
		return false
	}
	q.pause = min(2*q.pause, lastRetry)
	q.retry = now.Add(q.pause)
	return true
}

// leave ends the quarantine; true when it was told that there is one.
func (q *quarantine) leave() (told bool) {
	told = q.on && q.told
	q.on = false
	return told
}
