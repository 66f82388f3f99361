package election

import "time"

// timing is how long things take, as multiples of the heartbeat. They fit
// together: members give nobody their vote before they have missed the holder
// for silence, a vote counts ripe later, and a holder that has lost its quorum lets
// go after hold, which is less than both. So with more than two members the address
// is free before another takes it.
type timing struct {
	beat     time.Duration // between heartbeats of the holder
	silence  time.Duration // without one until the holder counts as gone
	hold     time.Duration // without answers of a quorum until the holder lets go
	probe    time.Duration // how long a candidate asks the link and the members at least
	again    time.Duration // until a candidate asks the members again
	ripe     time.Duration // until a vote counts
	step     time.Duration // how much later each next member in the ranking tries
	grace    time.Duration // how long a node listens after its start
	retry    time.Duration // until a claim is tried again that a silent member's kernel prevented
	handover time.Duration // how long a successor may take
	renew    time.Duration // between renewals of the address lease
	announce time.Duration // between announcements while holding
	linger   time.Duration // how long connections outlive a hand-over at the most
	lingers  time.Duration // without a word until a member stays no more

	minBackoff, maxBackoff time.Duration // after giving up or failing
	forget                 time.Duration // until a dead member counts no more
}

func timingOf(o *Options) timing {
	b := o.Heartbeat.D()
	return timing{
		beat:     b,
		silence:  5 * b / 2,
		hold:     3 * b,
		probe:    3 * b / 5,
		again:    b / 5,
		ripe:     b/2 + b/20,
		step:     4 * b / 5,
		grace:    4 * b,
		retry:    b / 2,
		handover: 5 * b,
		renew:    o.Lease.D() / 8,
		announce: time.Second,
		linger:   o.Linger.D(),
		lingers:  30 * b,

		minBackoff: 10 * b,
		maxBackoff: 30 * time.Second,
		forget:     10 * time.Second,
	}
}

// burst is when, after an announcement that matters, it is repeated: frames get
// lost, and a switch that has just learnt a new port may drop the first.
var burst = [...]time.Duration{20 * time.Millisecond, 100 * time.Millisecond, 300 * time.Millisecond, 700 * time.Millisecond}
