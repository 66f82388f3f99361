package bench

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cachenode/cachenode/bench/body"
)

// limits are how old an answer may be by the origin's Cache-Control.
type limits struct {
	fresh      time.Duration // from max-age or s-maxage
	stale      time.Duration // beyond that, from stale-while-revalidate and stale-if-error
	known      bool          // false: the origin says nothing, so a cache may guess
	behind     bool          // a cache may refresh behind an answer
	neverStore bool          // no answer may come from a store
}

// slack is for clocks and for the whole seconds of Age and Date.
const slack = 2 * time.Second

func readLimits(cacheControl string) limits {
	var l limits
	shared := false
	for part := range strings.SplitSeq(strings.ToLower(cacheControl), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		seconds, err := strconv.ParseInt(strings.Trim(value, `"`), 10, 32)
		span := time.Duration(seconds) * time.Second
		switch {
		case name == "no-store" || name == "private":
			l.neverStore, l.known = true, true
		case name == "no-cache":
			l.fresh, l.known, shared = 0, true, true
		case err != nil:
		case name == "s-maxage":
			l.fresh, l.known, shared = span, true, true
		case name == "max-age" && !shared:
			l.fresh, l.known = span, true
		case name == "stale-while-revalidate":
			l.stale, l.behind = max(l.stale, span), true
		case name == "stale-if-error":
			l.stale = max(l.stale, span)
		}
	}
	return l
}

// most is the greatest age an answer may have.
func (l limits) most() time.Duration { return l.fresh + l.stale + slack }

// judgeAge looks for an answer that is older than the origin allows, at the time
// when it was asked for. change is how often objects change.
func (l limits) judgeAge(h *head, s *stamp, dates *dateReader, asked time.Time, change time.Duration) (FailureClass, string) {
	if !l.known {
		return "", ""
	}
	if age, ok := digits(h.age); ok && time.Duration(age) > l.most()/time.Second {
		return Stale, "Age: " + string(h.age) + ", where the origin allows " + (l.fresh + l.stale).String()
	}
	if len(h.date) > 0 && l.most() < day {
		made, ok := dates.read(h.date)
		if ok && asked.Sub(made) > l.most() {
			return Stale, "made " + asked.Sub(made).Round(time.Second).String() + " before, by its Date, where the origin allows " + (l.fresh + l.stale).String()
		}
	}
	if change > 0 {
		ended := body.VersionEnds(string(s.id), s.version, change)
		if late := asked.Sub(ended); late > l.most() {
			return OldVersion, "version " + strconv.FormatUint(s.version, 10) + " was replaced " + late.Round(time.Millisecond).String() + " before, where the origin allows " + (l.fresh + l.stale).String()
		}
	}
	return "", ""
}

// day is the allowance from which Date is not looked at: no run lasts so long.
const day = 24 * time.Hour

// dateReader reads dates and remembers the last one: they come in rows.
type dateReader struct {
	text []byte
	at   time.Time
	ok   bool
}

func (d *dateReader) read(text []byte) (time.Time, bool) {
	if !bytes.Equal(text, d.text) {
		at, err := http.ParseTime(string(text))
		d.text, d.at, d.ok = append(d.text[:0], text...), at, err == nil
	}
	return d.at, d.ok
}
