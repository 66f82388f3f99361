package store

import (
	"math"
	"time"
)

// timeline counts time across restarts and never goes back, whatever the wall
// clock does: while the store is open it follows the monotonic clock, and over
// the time in between the wall clock, if that went forth. Only differences on it
// mean something.
type timeline struct {
	start time.Time // when the store was opened, by its clock
	at    int64     // the same moment on the timeline, in nanoseconds
}

// resume goes on from what an earlier start has noted last; zero: nothing.
func resume(now time.Time, noted moment) timeline {
	t := timeline{start: now, at: now.UnixNano()}
	if noted.wall != 0 {
		t.at = noted.line + max(0, now.UnixNano()-noted.wall)
	}
	return t
}

// moment is one moment on the timeline and by the wall clock, in nanoseconds.
type moment struct{ line, wall int64 }

func (t *timeline) moment(now time.Time) moment {
	return moment{line: t.of(now), wall: now.UnixNano()}
}

// of is when that was on the timeline.
func (t *timeline) of(when time.Time) int64 {
	d := int64(when.Sub(t.start))
	if d > 0 && t.at > math.MaxInt64-d || d < 0 && t.at < math.MinInt64+1-d {
		return t.at // what is no date at all
	}
	return t.at + d
}

// time is a moment of the timeline by the monotonic clock of this process; what
// its wall clock says means nothing.
func (t *timeline) time(line int64) time.Time {
	d := line - t.at
	if (line < t.at) != (d < 0) { // too far
		return t.start
	}
	return t.start.Add(time.Duration(d))
}
