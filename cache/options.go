package cache

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/cachenode/cachenode/internal/units"
)

// Options of the caching policy.
type Options struct {
	// HeuristicPercent is how long, in percent of the time since it was last modified, a response stays fresh that does not say so itself.
	// 0 switches this off: such responses are validated at every use.
	HeuristicPercent int `yaml:"heuristic_percent"`
	// HeuristicMax is the longest time a response stays fresh by heuristic_percent.
	HeuristicMax units.Duration `yaml:"heuristic_max"`
	// HeuristicQuery lets heuristic_percent also apply to URLs with a query.
	HeuristicQuery bool `yaml:"heuristic_query"`
	// SetCookie says when a response that sets a cookie is stored: explicit (it states how long it is fresh), public (it says public or s-maxage) or never.
	SetCookie SetCookie `yaml:"set_cookie"`
	// NegativeTTL is how long an error stays fresh that does not say so itself; 0 is off.
	NegativeTTL units.Duration `yaml:"negative_ttl"`
	// NegativeStatuses are the status codes, 400 to 599, that negative_ttl applies to.
	NegativeStatuses []int `yaml:"negative_statuses"`
	// Stale limits how long past its freshness a response may still be served.
	Stale StaleLimits `yaml:"stale"`
	// Refresh overrides the freshness of responses by URL; the first rule whose url matches counts. These rules break what origins ask for: use them with care.
	Refresh []Refresh `yaml:"refresh"`
}

// StaleLimits bound the use of stale responses. must-revalidate,
// proxy-revalidate, s-maxage and no-cache forbid it whatever these say.
type StaleLimits struct {
	// WhileRevalidate is the most of a response's stale-while-revalidate that is honoured; 0 ignores the directive.
	WhileRevalidate units.Duration `yaml:"while_revalidate"`
	// IfError is the most of a stale-if-error that is honoured; 0 ignores the directive.
	IfError units.Duration `yaml:"if_error"`
	// Unreachable is how stale a response without stale-if-error may be that is served while its origin does not answer, or answers 502, 503 or 504; 0 is off.
	Unreachable units.Duration `yaml:"unreachable"`
	// OnRequest is the most of a client's max-stale that is honoured; 0 ignores the directive.
	OnRequest units.Duration `yaml:"on_request"`
}

// Refresh is a rule in the spirit of squid's refresh_pattern.
type Refresh struct {
	// URL is a regular expression (RE2) that the rule's URLs match, scheme and host in lower case.
	URL string `yaml:"url"`
	// Min is how long a response stays fresh that neither states its freshness nor when it was last modified.
	Min units.Duration `yaml:"min"`
	// Percent replaces heuristic_percent; 0 keeps it.
	Percent int `yaml:"percent"`
	// Max replaces heuristic_max; 0 keeps it.
	Max units.Duration `yaml:"max"`
	// OverrideExpire keeps responses fresh for at least min even where they state less themselves.
	OverrideExpire bool `yaml:"override_expire"`
	// OverrideLastmod keeps responses fresh for at least min even where percent says less.
	OverrideLastmod bool `yaml:"override_lastmod"`
	// IgnoreReload serves fresh responses also to clients that ask for a reload.
	IgnoreReload bool `yaml:"ignore_reload"`
	// IgnoreNoStore stores responses in spite of no-store.
	IgnoreNoStore bool `yaml:"ignore_no_store"`
	// IgnorePrivate stores responses in spite of private. One user's page can reach another then.
	IgnorePrivate bool `yaml:"ignore_private"`
	// IgnoreNoCache serves fresh responses in spite of no-cache.
	IgnoreNoCache bool `yaml:"ignore_no_cache"`
}

// SetCookie says when a response with Set-Cookie may be stored.
type SetCookie string

// The choices for Set-Cookie. A heuristic alone never stores a cookie.
const (
	SetCookieExplicit SetCookie = "explicit" // max-age, s-maxage or Expires is there
	SetCookiePublic   SetCookie = "public"   // public or s-maxage is there
	SetCookieNever    SetCookie = "never"
)

// DefaultOptions returns the defaults.
func DefaultOptions() Options {
	const day = units.Duration(24 * 3600e9)
	return Options{
		HeuristicPercent: 10,
		HeuristicMax:     day,
		HeuristicQuery:   true,
		SetCookie:        SetCookieExplicit,
		NegativeStatuses: []int{404, 405, 410, 414, 500, 501, 502, 503, 504},
		Stale: StaleLimits{
			WhileRevalidate: day,
			IfError:         7 * day,
			Unreachable:     day,
			OnRequest:       7 * day,
		},
	}
}

// rule is a compiled Refresh.
type rule struct {
	Refresh
	url *regexp.Regexp
}

func (o Options) compile() ([]rule, error) {
	errs := []error{
		checkPercent("cache.heuristic_percent", o.HeuristicPercent),
		checkNotNegative("cache.heuristic_max", o.HeuristicMax),
		checkNotNegative("cache.negative_ttl", o.NegativeTTL),
		checkNotNegative("cache.stale.while_revalidate", o.Stale.WhileRevalidate),
		checkNotNegative("cache.stale.if_error", o.Stale.IfError),
		checkNotNegative("cache.stale.unreachable", o.Stale.Unreachable),
		checkNotNegative("cache.stale.on_request", o.Stale.OnRequest),
	}
	switch o.SetCookie {
	case SetCookieExplicit, SetCookiePublic, SetCookieNever:
	default:
		errs = append(errs, fmt.Errorf("cache.set_cookie: unknown choice %q: want explicit, public or never", string(o.SetCookie)))
	}
	for i, s := range o.NegativeStatuses {
		if s < 400 || s > 599 {
			errs = append(errs, fmt.Errorf("cache.negative_statuses[%d]: %d is not an error status: want 400 to 599", i, s))
		}
	}
	rules := make([]rule, len(o.Refresh))
	for i, r := range o.Refresh {
		var err error
		rules[i], err = r.compile(fmt.Sprintf("cache.refresh[%d]", i))
		errs = append(errs, err)
	}
	return rules, errors.Join(errs...)
}

func (r Refresh) compile(key string) (rule, error) {
	re, err := regexp.Compile(r.URL)
	switch {
	case err != nil:
		err = fmt.Errorf("%s.url: %w", key, err)
	case r.URL == "":
		err = fmt.Errorf("%s.url: a rule needs one; . matches every URL", key)
	}
	return rule{Refresh: r, url: re}, errors.Join(
		err,
		checkNotNegative(key+".min", r.Min),
		checkPercent(key+".percent", r.Percent),
		checkNotNegative(key+".max", r.Max),
	)
}

func checkPercent(key string, v int) error {
	if v < 0 || v > 1000 {
		return fmt.Errorf("%s: %d is out of range: want 0 to 1000", key, v)
	}
	return nil
}

func checkNotNegative(key string, d units.Duration) error {
	if d < 0 {
		return fmt.Errorf("%s: %s is negative", key, d)
	}
	return nil
}

// rule returns the first refresh rule that matches key; for none, one that
// changes nothing.
func (p *Policy) rule(key string) *rule {
	for i := range p.rules {
		if p.rules[i].url.MatchString(key) {
			return &p.rules[i]
		}
	}
	return &p.plain
}
