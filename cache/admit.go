package cache

import (
	"net/http"
	"net/url"
	"slices"
	"time"
)

// Admit decides whether a response may be stored and builds its Meta (Length
// and Total from Content-Length or -1 when not known); nil with the reason when not. h has lost its
// hop-by-hop fields already. It is not changed here, and must not be by anybody when
// there is a Meta, which may have it for its Header. A 206 is admitted as a
// partial response with one Span when its Content-Range and validator allow.
//
// The Header of the Meta has a Date in any case (RFC 9110 §6.6.1) and, for a
// partial response, neither Content-Range nor Content-Length: those follow from
// the Answer.
func (p *Policy) Admit(r *Request, status int, h http.Header, requested, received time.Time) (*Meta, Reason) {
	c := &parsed{facts: readFacts(h, requested, received), policy: p, rule: p.rule(r.Key)}
	c.life = p.lifetime(r.Key, status, c)
	if why := p.refuse(r, status, h, c); why != "" {
		return nil, why
	}
	vary, ok := r.selectors(h["Vary"])
	if !ok {
		return nil, ReasonVary
	}
	m := &Meta{
		Key: r.Key, Vary: vary, Status: status,
		Header:    h,
		Requested: requested, Received: received,
	}
	if status == http.StatusPartialContent || !storedWhole(h, c.cc.withheld, received) {
		m.Header = storedHeader(h, c.cc.withheld, received)
	}
	m.Length = contentLength(status, h)
	m.Total = m.Length
	if status == http.StatusPartialContent && !m.takePart(h) {
		return nil, ReasonContentRange
	}
	return m, ReasonStored
}

// refuse is the first reason not to store a response (RFC 9111 §3); "" is none.
func (p *Policy) refuse(r *Request, status int, h http.Header, c *parsed) Reason {
	switch {
	case r.cc.noStore:
		return ReasonRequestNoStore
	case r.Method != http.MethodGet && r.Method != http.MethodPost:
		return ReasonMethod
	case r.Method == http.MethodGet && r.hasContent():
		return ReasonRequestBody
	case r.Method == http.MethodPost && !standsForTarget(r.Key, status, h, c):
		return ReasonPostLocation
	case !reusableStatus(r, status):
		return ReasonStatus
	case c.cc.mustUnderstand && !understood(status):
		return ReasonNotUnderstood
	case c.cc.forbidsStoring() && !c.rule.IgnoreNoStore:
		return ReasonNoStore
	case c.cc.private && !c.rule.IgnorePrivate:
		return ReasonPrivate
	case r.Header["Authorization"] != nil && !c.cc.sharesAuthorized():
		return ReasonAuthorization
	case h["Set-Cookie"] != nil && !slices.Contains(c.cc.withheld, "Set-Cookie") && !p.keepsCookie(c):
		return ReasonSetCookie
	case !c.life.explicit && c.life.d == 0 && !heuristicallyCacheable(status) && !c.cc.public:
		return ReasonNotCacheable
	case c.useless(status, p):
		return ReasonUseless
	}
	return ""
}

// forbidsStoring is no-store, which must-understand overrides for statuses that
// are understood (RFC 9111 §5.2.2.3).
func (d *responseDirectives) forbidsStoring() bool { return d.noStore && !d.mustUnderstand }

// sharesAuthorized is the permission of RFC 9111 §3.5 to store an answer to a
// request with Authorization.
func (d *responseDirectives) sharesAuthorized() bool {
	return d.public || d.mustRevalidate || d.sMaxAge.set
}

// keepsCookie reports whether a response may be stored together with its cookie.
// It must be good for some time without asking: where each use is validated, a
// 304 would hand one user's cookie to the next.
func (p *Policy) keepsCookie(c *parsed) bool {
	if c.cc.noCache || c.life.d == 0 {
		return false
	}
	switch p.o.SetCookie {
	case SetCookieExplicit:
		return c.life.explicit
	case SetCookiePublic:
		return c.cc.public || c.cc.sMaxAge.set
	}
	return false
}

// useless reports that no request could ever be answered: the response is stale
// from the start, or must be validated each time, and has nothing to validate
// it by, nor may it be used without.
func (c *parsed) useless(status int, p *Policy) bool {
	if c.validatable(status) {
		return false
	}
	if c.cc.noCache && !c.rule.IgnoreNoCache {
		return true
	}
	stale := !c.cc.forbidsStale() && (c.cc.staleWhileRevalidate.d > 0 && p.o.Stale.WhileRevalidate > 0 ||
		c.cc.staleIfError.d > 0 && p.o.Stale.IfError > 0)
	return c.life.d <= c.initialAge && !stale
}

// reusableStatus reports a final status that says something to other requests:
// not those that answer this one's conditions, range or credentials (RFC 9110
// §15), nor its A-IM (RFC 3229 §10.4.1), nor those of RFC 6585, which no cache may
// store.
func reusableStatus(r *Request, status int) bool {
	switch status {
	case http.StatusNotModified, http.StatusPreconditionFailed, http.StatusRequestedRangeNotSatisfiable,
		http.StatusUnauthorized, http.StatusProxyAuthRequired,
		http.StatusIMUsed,
		http.StatusPreconditionRequired, http.StatusTooManyRequests, http.StatusRequestHeaderFieldsTooLarge,
		http.StatusNetworkAuthenticationRequired:
		return false
	case http.StatusPartialContent:
		return r.Method == http.MethodGet && r.Header["Range"] != nil
	}
	return status >= 200 && status <= 599
}

// understood lists the statuses whose caching this package knows all about, for
// must-understand: those of RFC 9110.
func understood(status int) bool {
	switch {
	case status >= 200 && status <= 206, status >= 300 && status <= 303, status >= 307 && status <= 308,
		status >= 400 && status <= 417, status == 421, status == 422, status == 426,
		status >= 500 && status <= 505:
		return true
	}
	return false
}

// standsForTarget reports an answer to POST that later GETs may get (RFC 9110
// §9.3.3): a 200 with explicit freshness and the target as Content-Location.
func standsForTarget(key string, status int, h http.Header, c *parsed) bool {
	location := h["Content-Location"]
	if status != http.StatusOK || !c.life.explicit || len(location) != 1 {
		return false
	}
	base, err := url.Parse(key)
	if err != nil {
		return false
	}
	u, err := base.Parse(location[0])
	return err == nil && Key(u) == key
}

// storedHeader copies what may be stored (RFC 9111 §3.1, §5.2.2.4, §5.2.2.7)
// and sees to a Date that can be read.
func storedHeader(h http.Header, withheld []string, received time.Time) http.Header {
	kept := make(http.Header, len(h)+1)
	n := 0
	for _, lines := range h {
		n += len(lines)
	}
	all := make([]string, 0, n) // one array for all values: a store keeps many headers
	for name, lines := range h {
		if !neverStored(name) && !slices.Contains(withheld, name) {
			all = append(all, lines...)
			kept[name] = all[len(all)-len(lines) : len(all) : len(all)]
		}
	}
	dropConnectionFields(kept, h["Connection"])
	if _, ok := parseDate(firstLine(h["Date"]), received); !ok {
		kept["Date"] = []string{received.UTC().Format(http.TimeFormat)}
	}
	return kept
}

// storedWhole reports that there is nothing in h that must not be stored.
func storedWhole(h http.Header, withheld []string, received time.Time) bool {
	for name := range h {
		if neverStored(name) || slices.Contains(withheld, name) {
			return false
		}
	}
	_, dated := parseDate(firstLine(h["Date"]), received)
	return dated
}

// neverStored lists the fields of one connection or one message.
func neverStored(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
		"Proxy-Authenticate", "Proxy-Authentication-Info", "Proxy-Authorization":
		return true
	}
	return false
}

func dropConnectionFields(h http.Header, connection []string) {
	for name := range elements(connection) {
		delete(h, http.CanonicalHeaderKey(name))
	}
}

// contentLength is the body length that the header states, -1 for none.
func contentLength(status int, h http.Header) int64 {
	if status == http.StatusNoContent || status == http.StatusResetContent {
		return 0
	}
	lines := h["Content-Length"]
	if len(lines) == 0 {
		return -1
	}
	n, ok := digits(trimOWS(lines[0]), maxOffset)
	if !ok {
		return -1
	}
	return n
}
