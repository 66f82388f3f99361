package cache

// Reason is why a decision fell, a short constant phrase in kebab case, for
// Cache-Status' detail, the log and tests.
type Reason string

// Why a request does not ask the store (Lookup).
const (
	ReasonMethod       Reason = "method"              // neither GET nor HEAD
	ReasonRequestBody  Reason = "request-body"        // a GET or HEAD with content
	ReasonPrecondition Reason = "origin-precondition" // If-Match and If-Unmodified-Since are the origin's to judge
)

// Why a stored response is used or not (Reuse, ReuseOnError).
const (
	ReasonFresh           Reason = "fresh"
	ReasonStale           Reason = "stale"
	ReasonImmutable       Reason = "immutable"
	ReasonIgnoreReload    Reason = "refresh-ignore-reload"
	ReasonSWR             Reason = "stale-while-revalidate"
	ReasonSIE             Reason = "stale-if-error"
	ReasonUnreachable     Reason = "origin-unreachable"
	ReasonMaxStale        Reason = "request-max-stale"
	ReasonRequestNoCache  Reason = "request-no-cache"
	ReasonRequestMaxAge   Reason = "request-max-age"
	ReasonRequestMinFresh Reason = "request-min-fresh"
	ReasonNoCache         Reason = "no-cache"
	ReasonMustRevalidate  Reason = "must-revalidate"
	ReasonClockStepped    Reason = "clock-stepped" // received in what is now the future
	ReasonNotAnError      Reason = "not-a-server-error"
	ReasonTooStale        Reason = "too-stale"
)

// Why a response is stored or not (Admit). Reuse gives ReasonNoStore and
// ReasonPrivate too, for a stored response that a 304 forbade to keep.
const (
	ReasonStored         Reason = "stored"
	ReasonRequestNoStore Reason = "request-no-store"
	ReasonNoStore        Reason = "no-store"
	ReasonPrivate        Reason = "private"
	ReasonNotUnderstood  Reason = "must-understand"
	ReasonAuthorization  Reason = "authorization"
	ReasonSetCookie      Reason = "set-cookie"
	ReasonVary           Reason = "vary"           // Vary: * or one that cannot be read
	ReasonStatus         Reason = "status"         // not a final response, or one that only this request can use, or that no cache may store
	ReasonNotCacheable   Reason = "not-cacheable"  // nothing permits to store it
	ReasonUseless        Reason = "never-reusable" // stale at once, with nothing to validate it by
	ReasonContentRange   Reason = "content-range"  // a 206 that does not say clearly what it holds
	ReasonPostLocation   Reason = "post-location"  // a POST answer that does not stand for its target
)

// How a stored response answers (Evaluate).
const (
	ReasonWhole           Reason = "whole"
	ReasonETagMatch       Reason = "etag-match"
	ReasonNotModified     Reason = "not-modified-since"
	ReasonRange           Reason = "range"
	ReasonUnsatisfiable   Reason = "range-not-satisfiable"
	ReasonRangeIgnored    Reason = "range-ignored"
	ReasonIfRangeMismatch Reason = "if-range-mismatch"
)
