package cache

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// clockSlack is how far in the future a response may seem to be received before
// its age counts as unknown.
const clockSlack = time.Minute

// lifetime is how long a response is fresh, counted as its age is.
type lifetime struct {
	d        time.Duration // 0 to maxDelta
	explicit bool          // the response says it
}

// lifetime applies RFC 9111 §4.2.1 and §4.2.2, the negative time and the
// refresh rule, in this order of precedence: s-maxage, max-age, Expires,
// negative_ttl, heuristic.
func (p *Policy) lifetime(key string, status int, c *parsed) lifetime {
	l := lifetime{explicit: true}
	switch {
	case c.cc.sMaxAge.set:
		l.d = c.cc.sMaxAge.d
	case c.cc.maxAge.set:
		l.d = c.cc.maxAge.d
	case c.hasExpires:
		l.d = between(c.date, c.expires)
	case p.negative[status]:
		return lifetime{d: min(p.o.NegativeTTL.D(), maxDelta)}
	default:
		return lifetime{d: p.heuristic(key, status, c)}
	}
	if c.rule.OverrideExpire {
		l.d = min(max(l.d, c.rule.Min.D()), maxDelta)
	}
	return l
}

// heuristic is a share of the time since the last modification (RFC 9111
// §4.2.2); with a refresh rule, its min where that time is not known.
func (p *Policy) heuristic(key string, status int, c *parsed) time.Duration {
	if !heuristicallyCacheable(status) && !c.cc.public {
		return 0
	}
	rule := c.rule
	if c.lastModified.IsZero() {
		return min(rule.Min.D(), maxDelta)
	}
	if rule == &p.plain && !p.o.HeuristicQuery && strings.Contains(key, "?") {
		return 0
	}
	percent, limit := time.Duration(p.o.HeuristicPercent), p.o.HeuristicMax.D()
	if rule.Percent > 0 {
		percent = time.Duration(rule.Percent)
	}
	if rule.Max > 0 {
		limit = rule.Max.D()
	}
	d := limit
	if share := between(c.lastModified, c.date) / 100; percent == 0 || share < limit/percent {
		d = share * percent
	}
	if rule.OverrideLastmod {
		d = max(d, rule.Min.D())
	}
	return min(d, maxDelta)
}

// between is the time from a to b, 0 when b is not later, at most maxDelta.
func between(a, b time.Time) time.Duration {
	if b.IsZero() {
		return 0
	}
	return min(max(0, b.Sub(a)), maxDelta)
}

// heuristicallyCacheable lists the status codes of RFC 9110 §15.1.
func heuristicallyCacheable(status int) bool {
	switch status {
	case http.StatusOK, http.StatusNonAuthoritativeInfo, http.StatusNoContent, http.StatusPartialContent,
		http.StatusMultipleChoices, http.StatusMovedPermanently, http.StatusPermanentRedirect,
		http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusGone,
		http.StatusRequestURITooLong, http.StatusNotImplemented:
		return true
	}
	return false
}

// age is current_age (RFC 9111 §4.2.3), 0 to maxDelta.
func (c *parsed) age(m *Meta, now time.Time) time.Duration {
	return min(c.initialAge+min(m.resident(now), maxDelta), maxDelta)
}

// resident is resident_time (RFC 9111 §4.2.3). The monotonic clock counts when
// the wall clock was set back, and the wall clock for the time that the machine
// was suspended: of the two, the one that says more.
func (m *Meta) resident(now time.Time) time.Duration {
	return max(0, now.Sub(m.steady()), now.Round(0).Sub(m.Received.Round(0)))
}

func (m *Meta) steady() time.Time {
	if m.Steady.IsZero() {
		return m.Received
	}
	return m.Steady
}

// AgeSeconds is an age as the Age field has it: whole seconds, at most 2^31
// (RFC 9111 §1.2.2, §5.1).
func AgeSeconds(age time.Duration) int64 {
	return int64(min(max(0, age), maxDelta) / time.Second)
}

// AppendAge appends the value of the Age field.
func AppendAge(b []byte, age time.Duration) []byte {
	return strconv.AppendInt(b, AgeSeconds(age), 10)
}
