package cache

import "time"

// Policy decides. It is immutable and safe for concurrent use.
type Policy struct {
	o        Options
	rules    []rule
	plain    rule         // of URLs that no rule matches
	negative map[int]bool // statuses that negative_ttl applies to
}

// NewPolicy checks o and compiles its rules. The error joins every problem,
// each under its yaml key.
func NewPolicy(o Options) (*Policy, error) {
	rules, err := o.compile()
	if err != nil {
		return nil, err
	}
	p := &Policy{o: o, rules: rules}
	if o.NegativeTTL > 0 {
		p.negative = make(map[int]bool, len(o.NegativeStatuses))
		for _, s := range o.NegativeStatuses {
			p.negative[s] = true
		}
	}
	return p, nil
}

// Verdict says how a stored response may be used for a request (RFC 9111 §4).
type Verdict uint8

// The verdicts.
const (
	Miss       Verdict = iota // nothing usable is stored: fetch
	Hit                       // fresh: serve it
	HitStale                  // stale within limits: serve it and refresh behind
	Revalidate                // ask the origin with its validators first
)

// Decision is a verdict with its arithmetic.
type Decision struct {
	Verdict Verdict
	Reason  Reason
	Fwd     Fwd           // for all but Hit and HitStale: the fwd parameter of RFC 9211
	Age     time.Duration // current_age (RFC 9111 §4.2.3), never negative
	TTL     time.Duration // freshness lifetime less Age; negative when stale
}

// Barred reports a stored response that may serve for nothing any more, not even
// to be validated: what was learnt since, or a rule that has gone, forbids to
// keep it.
func (d Decision) Barred() bool { return d.Reason == ReasonNoStore || d.Reason == ReasonPrivate }

// Fwd is the fwd parameter of Cache-Status (RFC 9211 §2.2).
type Fwd string

// The reasons to go forward.
const (
	FwdBypass  Fwd = "bypass"
	FwdMethod  Fwd = "method"
	FwdURIMiss Fwd = "uri-miss"
	FwdVary    Fwd = "vary-miss"
	FwdRequest Fwd = "request"
	FwdStale   Fwd = "stale"
	FwdPartial Fwd = "partial"
)
