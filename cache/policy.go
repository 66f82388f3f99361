package cache

import (
	"net/http"
	"net/url"
	"time"

	"github.com/cachenode/cachenode/internal/units"
)

// Policy decides. It is immutable and safe for concurrent use.
type Policy struct{ o Options }

// NewPolicy checks o and compiles its rules.
func NewPolicy(o Options) (*Policy, error) { panic("todo") }

// Options of the caching policy. (yaml tags: lower_snake.)
type Options struct {
	_ units.Duration
}

// DefaultOptions returns the defaults.
func DefaultOptions() Options { panic("todo") }

// Key normalises a request's target URI into the primary cache key: scheme and
// host in lower case, no default port, no fragment or userinfo, an empty path
// as "/"; path and query bytes stay as they are.
func Key(u *url.URL) string { panic("todo") }

// Request is what the policy needs of a request; its directives are read once.
type Request struct {
	Method string
	Key    string
	Header http.Header
	// … unexported: parsed Cache-Control etc.
}

// NewRequest reads the header once. header is not changed, and must not be
// changed while the Request is in use.
func NewRequest(method, key string, header http.Header) *Request { panic("todo") }

// OnlyIfCached reports the request directive (RFC 9111 §5.2.1.7).
func (r *Request) OnlyIfCached() bool { panic("todo") }

type parsed struct{}

// Verdict says how a stored response may be used for a request (RFC 9111 §4).
type Verdict uint8

// The verdicts.
const (
	Miss       Verdict = iota // nothing usable is stored: fetch
	Hit                       // fresh: serve it
	HitStale                  // stale within limits: serve it and refresh behind
	Revalidate                // ask the origin with its validators first
)

// Reason is why a decision fell, a short constant phrase in kebab case, for
// Cache-Status' detail, the log and tests.
type Reason string

// Decision is a verdict with its arithmetic.
type Decision struct {
	Verdict Verdict
	Reason  Reason
	Fwd     Fwd           // for all but Hit and HitStale: the fwd parameter of RFC 9211
	Age     time.Duration // current_age (RFC 9111 §4.2.3), never negative
	TTL     time.Duration // freshness lifetime less Age; negative when stale
}

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

// Lookup reports whether the store may be asked for this request at all, and
// if not, why it goes forward (method, or bypass).
func (p *Policy) Lookup(r *Request) (ok bool, fwd Fwd, why Reason) { panic("todo") }

// Select picks the stored response whose selecting fields match (RFC 9111
// §4.1), the newest of several; -1 with FwdURIMiss or FwdVary when none does.
func Select(r *Request, stored []*Meta) (i int, fwd Fwd) { panic("todo") }

// Reuse decides about the selected response (freshness, request and response
// directives, stale-while-revalidate, refresh rules).
func (p *Policy) Reuse(r *Request, m *Meta, now time.Time) Decision { panic("todo") }

// ReuseOnError decides whether m may be served although validating it failed:
// status is the origin's 5xx, or 0 when it could not be reached (RFC 9111
// §4.2.4, RFC 5861 §4, must-revalidate and friends).
func (p *Policy) ReuseOnError(r *Request, m *Meta, status int, now time.Time) (bool, Reason) {
	panic("todo")
}

// Admit decides whether a response may be stored and builds its Meta (Length
// and Total from Content-Length or -1 when not known); nil with the reason when not. h has lost its
// hop-by-hop fields already and is not kept or changed. A 206 is admitted as a
// partial response with one Span when its Content-Range and validator allow.
func (p *Policy) Admit(r *Request, status int, h http.Header, requested, received time.Time) (*Meta, Reason) {
	panic("todo")
}

// Shareable reports whether a response that was fetched for one request may
// answer other, collapsed, requests for the same key (it is admitted, fresh or
// just validated, selected by them).
func (p *Policy) Shareable(r *Request, m *Meta, now time.Time) bool { panic("todo") }

// SetValidators makes h, the header of an outgoing request, conditional on m:
// If-None-Match from its ETag and If-Modified-Since from its Last-Modified
// (RFC 9111 §4.3.1), after removing the client's own conditions. False: m has
// no validator, h is unchanged but for that removal.
func SetValidators(h http.Header, m *Meta) bool { panic("todo") }

// Freshen applies a 304 to m (RFC 9111 §4.3.4, §3.2) and returns the new Meta;
// false when the 304's validators say that it is about another response.
func Freshen(m *Meta, h http.Header, requested, received time.Time) (*Meta, bool) { panic("todo") }

// FreshenHead applies the answer to a HEAD (RFC 9111 §4.3.5): the updated Meta,
// or nil when the stored response must be invalidated.
func FreshenHead(m *Meta, h http.Header, requested, received time.Time) *Meta { panic("todo") }

// Answer is how a reusable stored response answers a request.
type Answer struct {
	// Status is 200 (or the stored status), 206, 304, 412 or 416.
	Status int
	// Spans are the ranges to send, in the request's order, for 206; several
	// mean multipart/byteranges.
	Spans []Span
	// Missing are the byte runs a partial response lacks to give this answer;
	// not empty: it must be completed from the origin first (RFC 9111 §3.4).
	Missing []Span
	Reason  Reason
}

// Evaluate answers r from m: If-Match, If-None-Match, If-Modified-Since,
// If-Unmodified-Since, If-Range and Range with the precedence of RFC 9110
// §13.2.2 and §14; ranges that are too many or overlap get the whole 200.
func Evaluate(r *Request, m *Meta) Answer { panic("todo") }

// Combine joins the header of a 206 that fills gaps with the partial response
// m (RFC 9111 §3.4). It returns the Meta of the combined response (Spans nil
// and Status 200 when it is whole now); false when they are not parts of one
// representation (strong validators differ, or the total).
func Combine(m *Meta, h http.Header, got Span, requested, received time.Time) (*Meta, bool) {
	panic("todo")
}

// Invalidates lists the keys that a non-error response to an unsafe request
// makes invalid (RFC 9111 §4.4): the target and, on the same origin, Location
// and Content-Location.
func Invalidates(r *Request, u *url.URL, status int, h http.Header) []string { panic("todo") }
