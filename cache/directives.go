package cache

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/pquerna/cachecontrol/cacheobject"
)

// maxDelta is where delta-seconds saturate (RFC 9111 §1.2.2).
const maxDelta = (1 << 31) * time.Second

// delta is the argument of a directive that counts seconds.
type delta struct {
	d   time.Duration // 0 to maxDelta
	set bool
}

// lower keeps the more restrictive of two values where less time is stricter.
func (x *delta) lower(d time.Duration) {
	if !x.set || d < x.d {
		*x = delta{d, true}
	}
}

func (x *delta) raise(d time.Duration) {
	if !x.set || d > x.d {
		*x = delta{d, true}
	}
}

// responseDirectives is the Cache-Control of a response (RFC 9111 §5.2.2,
// RFC 5861, RFC 8246). Of several values of a directive the strictest counts.
type responseDirectives struct {
	noStore, noCache, private          bool // the bare forms
	mustRevalidate, proxyRevalidate    bool
	public, immutable, mustUnderstand  bool
	maxAge, sMaxAge                    delta
	staleWhileRevalidate, staleIfError delta
	withheld                           []string // canonical names that no-cache="…" and private="…" list
}

// parseResponseDirectives reads each directive on its own: cacheobject would
// let the last of several values win, lose all of them to one error, and take
// what follows an unquoted list for part of it. What it does not read counts as
// the strictest thing it could mean.
func parseResponseDirectives(lines []string) responseDirectives {
	var d responseDirectives
	for e := range elements(lines) {
		name, known := responseDirective(e)
		if !known {
			continue
		}
		c, err := cacheobject.ParseResponseCacheControl(e)
		if err != nil || !wellFormed(e) || unquotedList(name, e) {
			d.addStrictly(name)
			continue
		}
		d.add(name, c)
	}
	return d
}

// responseDirective is the name of a directive, in lower case, and whether it
// concerns a shared cache.
func responseDirective(element string) (name string, known bool) {
	name = directiveName(element)
	switch name {
	case "no-store", "no-cache", "private", "must-revalidate", "proxy-revalidate", "public",
		"immutable", "must-understand", "max-age", "s-maxage", "stale-while-revalidate", "stale-if-error":
		return name, true
	}
	return name, false
}

func directiveName(element string) string {
	name, _, _ := strings.Cut(element, "=")
	return lowerASCII(trimOWS(name))
}

// wellFormed reports token [ "=" ( token / quoted-string ) ] without white space
// between the parts.
func wellFormed(element string) bool {
	name, arg, has := strings.Cut(element, "=")
	switch {
	case !isToken(name):
		return false
	case !has:
		return true
	case strings.HasPrefix(arg, `"`):
		return quotedEnd(arg, 0) == len(arg)
	}
	return isToken(arg)
}

// unquotedList reports a list of fields in token form. It ends at its first
// comma, where the origin may well mean more, so it counts as no list.
func unquotedList(name, element string) bool {
	_, arg, has := strings.Cut(element, "=")
	return has && (name == "no-cache" || name == "private") && !strings.HasPrefix(arg, `"`)
}

func (d *responseDirectives) add(name string, c *cacheobject.ResponseCacheDirectives) {
	switch name {
	case "no-store":
		d.noStore = true
	case "no-cache":
		d.noCache = d.withhold(c.NoCache) || d.noCache
	case "private":
		d.private = d.withhold(c.Private) || d.private
	case "must-revalidate":
		d.mustRevalidate = true
	case "proxy-revalidate":
		d.proxyRevalidate = true
	case "public":
		d.public = true
	case "immutable":
		d.immutable = true
	case "must-understand":
		// cacheobject does not know it; with an argument it is something else.
		d.mustUnderstand = slices.Equal(c.Extensions, []string{name})
	case "max-age":
		d.maxAge.lower(deltaSeconds(c.MaxAge))
	case "s-maxage":
		d.sMaxAge.lower(deltaSeconds(c.SMaxAge))
	case "stale-while-revalidate":
		d.staleWhileRevalidate.lower(deltaSeconds(c.StaleWhileRevalidate))
	case "stale-if-error":
		d.staleIfError.lower(deltaSeconds(c.StaleIfError))
	}
}

// addStrictly counts a directive whose argument cannot be read. The ones that
// permit something permit nothing then.
func (d *responseDirectives) addStrictly(name string) {
	switch name {
	case "no-store":
		d.noStore = true
	case "no-cache":
		d.noCache = true
	case "private":
		d.private = true
	case "must-revalidate":
		d.mustRevalidate = true
	case "proxy-revalidate":
		d.proxyRevalidate = true
	case "max-age":
		d.maxAge.lower(0)
	case "s-maxage":
		d.sMaxAge.lower(0)
	case "stale-while-revalidate":
		d.staleWhileRevalidate.lower(0)
	case "stale-if-error":
		d.staleIfError.lower(0)
	}
}

// withhold notes the listed fields. It reports true when the directive must
// count as its bare form: there is no list, an entry is no field name, or
// the decisions of this package, or what the stored bytes mean, depend on a listed
// field.
func (d *responseDirectives) withhold(names cacheobject.FieldNames) (bare bool) {
	if len(names) == 0 {
		return true
	}
	for name := range names {
		switch name {
		case "Cache-Control", "Expires", "Date", "Age", "Vary",
			"Content-Encoding", "Content-Type", "Content-Range", "Location":
			return true
		}
		if !isToken(name) {
			return true
		}
		d.withheld = append(d.withheld, http.CanonicalHeaderKey(name))
	}
	return false
}

// forbidsStale reports the directives that let a shared cache never serve the
// response stale (RFC 9111 §4.2.4, §5.2.2.2, §5.2.2.8, §5.2.2.10).
func (d *responseDirectives) forbidsStale() bool {
	return d.mustRevalidate || d.proxyRevalidate || d.sMaxAge.set
}

// requestDirectives is the Cache-Control of a request (RFC 9111 §5.2.1).
type requestDirectives struct {
	noCache, noStore, onlyIfCached         bool
	maxAge, minFresh, maxStale, staleIfErr delta // a bare max-stale is maxDelta
}

func parseRequestDirectives(lines []string) requestDirectives {
	var d requestDirectives
	for e := range elements(lines) {
		name := directiveName(e)
		switch name {
		case "no-cache", "no-store", "only-if-cached", "max-age", "min-fresh", "max-stale", "stale-if-error":
		default:
			continue
		}
		c, err := cacheobject.ParseRequestCacheControl(e)
		if err != nil || !wellFormed(e) {
			c = unreadable(name)
		}
		d.add(name, c)
	}
	return d
}

// unreadable is the strict reading of a request directive with a bad argument:
// validate rather than reuse.
func unreadable(name string) *cacheobject.RequestCacheDirectives {
	c := new(cacheobject.RequestCacheDirectives)
	if name == "min-fresh" {
		c.MinFresh = cacheobject.DeltaSeconds(maxDelta/time.Second - 1)
	}
	return c
}

func (d *requestDirectives) add(name string, c *cacheobject.RequestCacheDirectives) {
	switch name {
	case "no-cache":
		d.noCache = true
	case "no-store":
		d.noStore = true
	case "only-if-cached":
		d.onlyIfCached = true
	case "max-age":
		d.maxAge.lower(deltaSeconds(c.MaxAge))
	case "min-fresh":
		d.minFresh.raise(deltaSeconds(c.MinFresh))
	case "max-stale":
		if c.MaxStaleSet {
			d.maxStale.lower(maxDelta)
		} else {
			d.maxStale.lower(deltaSeconds(c.MaxStale))
		}
	case "stale-if-error":
		d.staleIfErr.lower(deltaSeconds(c.StaleIfError))
	}
}

func deltaSeconds(s cacheobject.DeltaSeconds) time.Duration {
	return max(0, time.Duration(s)*time.Second)
}
