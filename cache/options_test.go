package cache

import (
	"strings"
	"testing"
)

func TestOptionsReportEveryProblem(t *testing.T) {
	o := DefaultOptions()
	o.HeuristicPercent = -1
	o.HeuristicMax = -1
	o.NegativeTTL = -1
	o.SetCookie = "sometimes"
	o.NegativeStatuses = []int{404, 200, 999}
	o.Stale = StaleLimits{-1, -1, -1, -1}
	o.Refresh = []Refresh{{URL: "."}, {URL: "(", Min: -1, Percent: 5000, Max: -1}, {}}
	_, err := NewPolicy(o)
	if err == nil {
		t.Fatal("accepted")
	}
	for _, key := range []string{
		"cache.heuristic_percent:", "cache.heuristic_max:", "cache.negative_ttl:", "cache.set_cookie:",
		"cache.negative_statuses[1]:", "cache.negative_statuses[2]:",
		"cache.stale.while_revalidate:", "cache.stale.if_error:", "cache.stale.unreachable:", "cache.stale.on_request:",
		"cache.refresh[1].url:", "cache.refresh[1].min:", "cache.refresh[1].percent:", "cache.refresh[1].max:", "cache.refresh[2].url:",
	} {
		if !strings.Contains(err.Error(), key) {
			t.Errorf("%s is missing", key)
		}
	}
	if n := strings.Count(err.Error(), "\n") + 1; n != 15 {
		t.Errorf("%d problems:\n%v", n, err)
	}
}

func TestHeuristicOptions(t *testing.T) {
	const modified = "Last-Modified: Fri, 01 Mar 2024 00:00:00 GMT" // two years
	withQuery := NewRequest("GET", target+"?q", fields())
	cases := []struct {
		name   string
		change func(*Options)
		r      *Request
		at     int
		want   Verdict
	}{
		{"a day at most", func(*Options) {}, get(), 86399, Hit},
		{"and then no more", func(*Options) {}, get(), 86400, Revalidate},
		{"off", func(o *Options) { o.HeuristicPercent = 0 }, get(), 1, Revalidate},
		{"query", func(*Options) {}, withQuery, 1, Hit},
		{"query switched off", func(o *Options) { o.HeuristicQuery = false }, withQuery, 1, Revalidate},
		{"no query", func(o *Options) { o.HeuristicQuery = false }, get(), 1, Hit},
	}
	for _, c := range cases {
		p := policy(t, c.change)
		m := admit(t, p, c.r, 200, modified)
		if d := p.Reuse(c.r, m, after(c.at)); d.Verdict != c.want {
			t.Errorf("%s: %+v", c.name, d)
		}
	}
}

func TestRefreshRules(t *testing.T) {
	const hour = 3600e9
	cases := []struct {
		name     string
		rule     Refresh
		response string
		again    string
		at       int
		want     string
	}{
		{"another URL", Refresh{URL: `\.iso$`, Min: hour}, "", "", 1, "refused"},
		{"min where nothing is said", Refresh{URL: "origin", Min: hour}, "", "", 3599, "hit"},
		{"min is over", Refresh{URL: "origin", Min: hour}, "", "", 3600, "miss"},
		{"percent", Refresh{URL: "origin", Percent: 50}, "Last-Modified: " + date(-100), "", 49, "hit"},
		{"percent of decades", Refresh{URL: "origin", Percent: 1000, Max: 1 << 62}, "Last-Modified: Thu, 01 Jan 1970 00:00:00 GMT", "", 1 << 30, "hit"},
		{"max", Refresh{URL: "origin", Percent: 50, Max: 10e9}, "Last-Modified: " + date(-100), "", 11, "revalidate"},
		{"min against Last-Modified", Refresh{URL: "origin", Min: hour}, "Last-Modified: " + date(0), "", 11, "revalidate"},
		{"override_lastmod", Refresh{URL: "origin", Min: hour, OverrideLastmod: true}, "Last-Modified: " + date(0), "", 11, "hit"},
		{"explicit freshness wins", Refresh{URL: "origin", Min: hour}, "Cache-Control: max-age=1", "", 11, "miss"},
		{"override_expire", Refresh{URL: "origin", Min: hour, OverrideExpire: true}, "Cache-Control: max-age=1", "", 11, "hit"},
		{"override_expire shortens nothing", Refresh{URL: "origin", OverrideExpire: true}, "Cache-Control: max-age=60", "", 11, "hit"},
		{"ignore_reload", Refresh{URL: "origin", IgnoreReload: true}, "Cache-Control: max-age=60", "Cache-Control: no-cache", 1, "hit"},
		{"ignore_reload of something stale", Refresh{URL: "origin", IgnoreReload: true}, "Cache-Control: max-age=60", "Cache-Control: no-cache", 61, "miss"},
		{"ignore_no_store", Refresh{URL: "origin", IgnoreNoStore: true}, "Cache-Control: no-store, max-age=60", "", 1, "hit"},
		{"ignore_private", Refresh{URL: "origin", IgnorePrivate: true}, "Cache-Control: private, max-age=60", "", 1, "hit"},
		{"ignore_no_cache", Refresh{URL: "origin", IgnoreNoCache: true}, "Cache-Control: no-cache, max-age=60", "", 1, "hit"},
	}
	for _, c := range cases {
		p := policy(t, func(o *Options) { o.Refresh = []Refresh{{URL: `^http://other/`, Min: 1}, c.rule} })
		m, why := tryAdmit(p, get(), 200, split(c.response)...)
		got := "refused"
		if m != nil {
			d := p.Reuse(get(split(c.again)...), m, after(c.at))
			got, why = verdictName(d.Verdict), d.Reason
		}
		if got != c.want {
			t.Errorf("%s: %s (%s), want %s", c.name, got, why, c.want)
		}
	}
}

// A reload makes a new Policy; what is stored follows it at once.
func TestPoliciesDoNotMixTheirConclusions(t *testing.T) {
	long := policy(t, func(o *Options) { o.Refresh = []Refresh{{URL: ".", Min: 3600e9, OverrideExpire: true}} })
	short := policy(t)
	m := admit(t, long, get(), 200, "Cache-Control: max-age=1")
	for range 3 {
		if d := long.Reuse(get(), m, after(10)); d.Verdict != Hit {
			t.Errorf("with the rule: %+v", d)
		}
		if d := short.Reuse(get(), m, after(10)); d.Verdict != Miss {
			t.Errorf("without: %+v", d)
		}
	}
}
