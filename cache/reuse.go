package cache

import (
	"net/http"
	"time"
)

// Reuse decides about the selected response (freshness, request and response
// directives, stale-while-revalidate, refresh rules).
//
// Where it may not be served as it is, the verdict is Revalidate if it has a
// validator, else Miss; ReuseOnError may still allow it when the origin fails.
func (p *Policy) Reuse(r *Request, m *Meta, now time.Time) Decision {
	c := p.read(m)
	age := c.age(m, now)
	d := Decision{Age: age, TTL: c.life.d - age}
	d.Verdict, d.Fwd, d.Reason = p.verdict(r, c, d, now.Before(m.steady().Add(-clockSlack)))
	if d.Verdict == Revalidate && !c.validatable(m.Status) {
		d.Verdict = Miss
	}
	return d
}

func (p *Policy) verdict(r *Request, c *parsed, d Decision, stepped bool) (Verdict, Fwd, Reason) {
	switch {
	case c.cc.forbidsStoring() && !c.rule.IgnoreNoStore:
		return Miss, FwdStale, ReasonNoStore
	case c.cc.private && !c.rule.IgnorePrivate:
		return Miss, FwdStale, ReasonPrivate
	case c.cc.noCache && !c.rule.IgnoreNoCache:
		return Revalidate, FwdStale, ReasonNoCache
	case stepped:
		return Revalidate, FwdStale, ReasonClockStepped
	}
	fresh, why := d.TTL > 0, r.demands(d)
	switch {
	case !fresh && why != "":
		return Revalidate, FwdStale, why
	case !fresh:
		return p.staleVerdict(r, c, -d.TTL)
	case why == "":
		return Hit, "", ReasonFresh
	case why != ReasonRequestMinFresh && c.rule.IgnoreReload:
		return Hit, "", ReasonIgnoreReload
	case why == ReasonRequestMaxAge && c.cc.immutable:
		return Hit, "", ReasonImmutable // RFC 8246 §2: a plain reload brings nothing new
	}
	return Revalidate, FwdRequest, why
}

// demands is what of the request's directives a response of this age does not
// meet (RFC 9111 §5.2.1); "" is nothing.
func (r *Request) demands(d Decision) Reason {
	cc := &r.cc
	switch {
	case cc.noCache:
		return ReasonRequestNoCache
	case cc.maxAge.set && (d.Age > cc.maxAge.d || cc.maxAge.d == 0):
		return ReasonRequestMaxAge
	case cc.minFresh.set && d.TTL < cc.minFresh.d:
		return ReasonRequestMinFresh
	}
	return ""
}

// staleVerdict decides about a response that has been stale for so long
// (RFC 9111 §4.2.4, §5.2.1.2, RFC 5861 §3).
func (p *Policy) staleVerdict(r *Request, c *parsed, stale time.Duration) (Verdict, Fwd, Reason) {
	switch {
	case c.cc.forbidsStale():
		return Revalidate, FwdStale, ReasonMustRevalidate
	case within(stale, c.cc.staleWhileRevalidate, p.o.Stale.WhileRevalidate.D()):
		return HitStale, "", ReasonSWR
	case within(stale, r.cc.maxStale, p.o.Stale.OnRequest.D()):
		return HitStale, "", ReasonMaxStale
	}
	return Revalidate, FwdStale, ReasonStale
}

// within reports a staleness that a directive permits and the limit allows.
func within(stale time.Duration, permitted delta, limit time.Duration) bool {
	bound := min(permitted.d, limit)
	return bound > 0 && stale <= bound
}

// ReuseOnError decides whether m may be served although validating it failed:
// status is the origin's 5xx, or 0 when it could not be reached (RFC 9111
// §4.2.4, RFC 5861 §4, must-revalidate and friends).
func (p *Policy) ReuseOnError(r *Request, m *Meta, status int, now time.Time) (bool, Reason) {
	c := p.read(m)
	age := c.age(m, now)
	stale := age - c.life.d
	switch {
	case !serverError(status):
		return false, ReasonNotAnError
	case c.cc.forbidsStoring() && !c.rule.IgnoreNoStore:
		return false, ReasonNoStore
	case c.cc.private && !c.rule.IgnorePrivate:
		return false, ReasonPrivate
	case c.cc.noCache && !c.rule.IgnoreNoCache:
		return false, ReasonNoCache
	case r.cc.noCache:
		return false, ReasonRequestNoCache
	case stale < 0:
		return true, ReasonFresh
	case c.cc.forbidsStale():
		return false, ReasonMustRevalidate
	}
	limit, why := p.errorLimit(r, c, status)
	if stale > limit {
		return false, ReasonTooStale
	}
	return true, why
}

// errorLimit is how stale a response may be that stands in for an error,
// negative for not at all. What the response or the request say of
// stale-if-error counts, the lesser of both; else the operator's limit for
// origins that do not answer.
func (p *Policy) errorLimit(r *Request, c *parsed, status int) (time.Duration, Reason) {
	bound := c.cc.staleIfError
	if r.cc.staleIfErr.set {
		bound.lower(r.cc.staleIfErr.d)
	}
	switch {
	case bound.set:
		return min(bound.d, p.o.Stale.IfError.D()), ReasonSIE
	case status == http.StatusInternalServerError || p.o.Stale.Unreachable == 0:
		return -1, ReasonTooStale
	}
	return p.o.Stale.Unreachable.D(), ReasonUnreachable
}

// serverError reports the errors of RFC 5861 §4, and 0 for no answer at all.
func serverError(status int) bool {
	switch status {
	case 0, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// Shareable reports whether a response that was fetched for one request may
// answer other, collapsed, requests for the same key (it is admitted, fresh or
// just validated, selected by them).
func (p *Policy) Shareable(r *Request, m *Meta, now time.Time) bool {
	if ok, _, _ := p.Lookup(r); !ok || r.Key != m.Key || !r.matches(m.Vary, m.Vary) {
		return false
	}
	v := p.Reuse(r, m, now).Verdict
	return v == Hit || v == HitStale
}
