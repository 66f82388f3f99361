package cache

import (
	"strings"
	"testing"
)

// exchangeCase is one response and what a second request for it, three seconds
// later, must come to: hit, hit-stale, revalidate, miss, or refused (not stored).
type exchangeCase struct {
	name     string
	request  string // fields, separated by |
	status   int    // 0 is 200
	response string
	again    string // fields of the second request
	want     string
}

func split(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, "|")
}

func (c exchangeCase) run(t *testing.T) {
	t.Helper()
	p := policy(t)
	status := c.status
	if status == 0 {
		status = 200
	}
	m, why := tryAdmit(p, get(split(c.request)...), status, split(c.response)...)
	got := "refused"
	if m != nil {
		r := get(split(c.again)...)
		if i, _ := Select(r, []*Meta{m}); i < 0 {
			got = "vary-miss"
		} else {
			d := p.Reuse(r, m, after(3))
			got, why = verdictName(d.Verdict), d.Reason
		}
	}
	if got != c.want {
		t.Errorf("%s (%s), want %s", got, why, c.want)
	}
}

func runExchanges(t *testing.T, cases []exchangeCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, c.run)
	}
}

func TestFreshnessFromCacheControl(t *testing.T) {
	runExchanges(t, []exchangeCase{
		{name: "nothing said", response: "", want: "refused"},
		{name: "max-age", response: "Cache-Control: max-age=3600", want: "hit"},
		{name: "max-age over", response: "Cache-Control: max-age=2", want: "miss"},
		{name: "max-age 0", response: "Cache-Control: max-age=0", want: "refused"},
		{name: "max-age 0 with validator", response: `Cache-Control: max-age=0|ETag: "a"`, want: "revalidate"},
		{name: "2^31-1", response: "Cache-Control: max-age=2147483647", want: "hit"},
		{name: "2^31", response: "Cache-Control: max-age=2147483648", want: "hit"},
		{name: "2^31+1", response: "Cache-Control: max-age=2147483649", want: "hit"},
		{name: "eleven digits", response: "Cache-Control: max-age=99999999999", want: "hit"},
		{name: "twenty digits", response: "Cache-Control: max-age=99999999999999999999", want: "hit"},
		{name: "Age beyond max-age", response: "Cache-Control: max-age=3600|Age: 7200", want: "refused"},
		{name: "old Date", response: "Cache-Control: max-age=3600|Date: " + date(-7200), want: "refused"},
		{name: "max-age before past Expires", response: "Cache-Control: max-age=3600|Expires: " + date(-7200), want: "hit"},
		{name: "max-age before invalid Expires", response: "Cache-Control: max-age=3600|Expires: 0", want: "hit"},
		{name: "max-age 0 before future Expires", response: "Cache-Control: max-age=0|Expires: " + date(3600), want: "refused"},
		{name: "unknown directive", response: "Cache-Control: foobar, max-age=3600", want: "hit"},
		{name: "letter case", response: "Cache-Control: MaX-aGe=3600", want: "hit"},
		{name: "negative", response: "Cache-Control: max-age=-3600", want: "refused"},
		{name: "s-maxage", response: "Cache-Control: s-maxage=3600", want: "hit"},
		{name: "short s-maxage before max-age", response: "Cache-Control: max-age=3600, s-maxage=1", want: "miss"},
		{name: "short s-maxage, reversed", response: "Cache-Control: s-maxage=1, max-age=3600", want: "miss"},
		{name: "short s-maxage, own line", response: "Cache-Control: max-age=3600|Cache-Control: s-maxage=1", want: "miss"},
		{name: "long s-maxage", response: "Cache-Control: max-age=1, s-maxage=3600", want: "hit"},
		{name: "long s-maxage, past Expires", response: "Cache-Control: max-age=0, s-maxage=3600|Expires: " + date(-10), want: "hit"},
		{name: "two values, the lesser counts", response: "Cache-Control: max-age=1800, max-age=1", want: "miss"},
		{name: "two values in two lines", response: "Cache-Control: max-age=1|Cache-Control: max-age=1800", want: "miss"},
		{name: "quoted", response: `Cache-Control: max-age="3600"`, want: "hit"},
		{name: "single quotes", response: `Cache-Control: max-age='3600'`, want: "refused"},
		{name: "inside a quoted string, before", response: `Cache-Control: extension="max-age=3600", max-age=1`, want: "miss"},
		{name: "inside a quoted string, behind", response: `Cache-Control: max-age=1, extension="max-age=3600"`, want: "miss"},
		{name: "space before =", response: "Cache-Control: max-age =3600", want: "refused"},
		{name: "space behind =", response: "Cache-Control: max-age= 3600", want: "refused"},
		{name: "leading zeros", response: "Cache-Control: max-age=003600", want: "hit"},
		{name: "decimal point", response: "Cache-Control: max-age=3600.0", want: "refused"},
		{name: "letters before", response: "Cache-Control: max-age=a3600", want: "refused"},
		{name: "letters behind", response: "Cache-Control: max-age=3600a", want: "refused"},
		{name: "no argument", response: "Cache-Control: max-age", want: "refused"},
		{name: "empty argument", response: "Cache-Control: max-age=", want: "refused"},
		{name: "invalid max-age keeps its validator", response: `Cache-Control: max-age=abc|ETag: "a"`, want: "revalidate"},
		{name: "invalid s-maxage does not fall back", response: `Cache-Control: s-maxage=abc, max-age=3600|ETag: "a"`, want: "revalidate"},
		{name: "an error elsewhere harms nothing", response: "Cache-Control: stale-if-error=x, max-age=3600", want: "hit"},
		{name: "an open quote hides nothing", response: `Cache-Control: max-age=3600, x="y, no-store`, want: "refused"},
		{name: "CDN-Cache-Control is not for us", response: "CDN-Cache-Control: max-age=3600", want: "refused"},
		{name: "nor is Surrogate-Control", response: "Surrogate-Control: max-age=3600", want: "refused"},
		{name: "nor can they forbid", response: "CDN-Cache-Control: no-store|Cache-Control: max-age=3600", want: "hit"},
	})
}

func TestFreshnessFromExpires(t *testing.T) {
	runExchanges(t, []exchangeCase{
		{name: "future", response: "Expires: " + date(2592000), want: "hit"},
		{name: "past", response: "Expires: " + date(-2592000), want: "refused"},
		{name: "now", response: "Expires: " + date(0), want: "refused"},
		{name: "before Date, both fast", response: "Expires: " + date(300) + "|Date: " + date(400), want: "refused"},
		{name: "0", response: "Expires: 0", want: "refused"},
		{name: "0 with a validator", response: "Expires: 0|Last-Modified: " + date(-100000), want: "revalidate"},
		{name: "invalid Date", response: "Expires: " + date(10) + "|Date: foo", want: "hit"},
		{name: "Age, slow Date", response: "Date: " + date(-10) + "|Expires: " + date(10) + "|Age: 25", want: "refused"},
		{name: "Age, fast Date", response: "Date: " + date(10) + "|Expires: " + date(20) + "|Age: 15", want: "refused"},
		{name: "32 bits", response: "Expires: Tue, 19 Jan 2038 14:14:08 GMT", want: "hit"},
		{name: "far future", response: "Expires: Sun, 21 Nov 2286 04:46:39 GMT", want: "hit"},
		{name: "RFC 850", response: "Expires: Thursday, 18-Aug-50 02:01:18 GMT", want: "hit"},
		{name: "asctime", response: "Expires: Thu Aug  8 02:01:18 2050", want: "hit"},
		{name: "weekday in capitals", response: "Expires: THU, 18 Aug 2050 02:01:18 GMT", want: "hit"},
		{name: "month in capitals", response: "Expires: Thu, 18 AUG 2050 02:01:18 GMT", want: "hit"},
		{name: "zone in odd case", response: "Expires: Thu, 18 Aug 2050 02:01:18 gMT", want: "hit"},
		{name: "UTC", response: "Expires: Thu, 18 Aug 2050 02:01:18 UTC", want: "refused"},
		{name: "AEST", response: "Expires: Thu, 18 Aug 2050 02:01:18 AEST", want: "refused"},
		{name: "two-digit year", response: "Expires: Thu, 18 Aug 50 02:01:18 GMT", want: "refused"},
		{name: "no comma", response: "Expires: Thu 18 Aug 2050 02:01:18 GMT", want: "refused"},
		{name: "spaces", response: "Expires: Thu, 18  Aug  2050 02:01:18 GMT", want: "refused"},
		{name: "dashes", response: "Expires: Thu, 18-Aug-2050 02:01:18 GMT", want: "refused"},
		{name: "periods", response: "Expires: Thu, 18 Aug 2050 02.01.18 GMT", want: "refused"},
		{name: "one-digit hour", response: "Expires: Thu, 18 Aug 2050 2:01:18 GMT", want: "refused"},
		{name: "two invalid lines", response: "Expires: Thu, 18 Aug 2050 2:01:18 GMT|Expires: Thu, 18 Aug 2050 2:01:19 GMT", want: "refused"},
		{name: "two that differ", response: "Expires: " + date(100) + "|Expires: " + date(200), want: "refused"},
		{name: "two alike", response: "Expires: " + date(100) + "|Expires: " + date(100), want: "hit"},
	})
}

func TestAgeField(t *testing.T) {
	cases := []struct{ age, want string }{
		{"abc", "hit"}, {"-7200", "hit"}, {"7200.0", "hit"}, {"", "hit"},
		{"7200;foo=bar", "hit"}, {"7200;foo=111", "hit"}, // invalid, hence ignored
		{"2147483647", "refused"}, {"2147483648", "refused"}, {"2147483649", "refused"},
		{"99999999999999999999", "refused"},
		{"7200, 0", "refused"}, {"0, 7200", "hit"}, {"0, 0", "hit"},
		{"7200|Age: 0", "refused"}, {"0|Age: 7200", "hit"}, {"0|Age: 0", "hit"},
		{"1800|Age: 1800", "hit"},
	}
	for _, c := range cases {
		t.Run(c.age, exchangeCase{response: "Cache-Control: max-age=3600|Age: " + c.age, want: c.want}.run)
	}
}

func TestHeuristicFreshness(t *testing.T) {
	day := "Last-Modified: " + date(-86400)
	var cases []exchangeCase
	for _, status := range []int{200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501} {
		cases = append(cases, exchangeCase{name: "may", status: status, response: day, want: "hit"})
	}
	for _, status := range []int{201, 202, 302, 303, 307, 400, 403, 500, 502, 503, 504, 599} {
		cases = append(cases, exchangeCase{name: "must not", status: status, response: day, want: "refused"})
	}
	runExchanges(t, append(cases,
		exchangeCase{name: "public makes any status", status: 599, response: day + "|Cache-Control: public", want: "hit"},
		exchangeCase{name: "Pragma in a response means nothing", response: day + "|Pragma: no-cache", want: "hit"},
		exchangeCase{name: "attachment", response: day + "|Content-Disposition: attachment; filename=x", want: "hit"},
		exchangeCase{name: "modified just now", response: "Last-Modified: " + date(0), want: "revalidate"},
		exchangeCase{name: "modified at two times", response: day + "|Last-Modified: " + date(-10), want: "refused"},
		exchangeCase{name: "modified after Date", response: "Last-Modified: " + date(50), want: "revalidate"},
		exchangeCase{name: "a tenth has passed", response: "Last-Modified: " + date(-25), want: "revalidate"},
		exchangeCase{name: "invalid Expires is no invitation", response: day + "|Expires: 0", want: "revalidate"},
		exchangeCase{name: "cookie", response: day + "|Set-Cookie: a=b", want: "refused"},
	))
}

func TestStatusWithExplicitFreshness(t *testing.T) {
	var cases []exchangeCase
	for _, status := range []int{200, 203, 204, 299, 301, 302, 303, 307, 308, 400, 404, 410, 451, 499, 500, 502, 503, 504, 599} {
		cases = append(cases,
			exchangeCase{name: "fresh", status: status, response: "Cache-Control: max-age=3600", want: "hit"},
			exchangeCase{name: "stale", status: status, response: "Expires: " + date(-5000), want: "refused"})
	}
	for _, status := range []int{100, 101, 103, 206, 226, 304, 401, 407, 412, 416, 428, 429, 431, 511, 600, 999, 0x7fffffff} {
		cases = append(cases, exchangeCase{name: "never", status: status, response: "Cache-Control: max-age=3600", want: "refused"})
	}
	runExchanges(t, append(cases,
		exchangeCase{name: "599 not understood", status: 599, response: "Cache-Control: max-age=3600, no-store, must-understand", want: "refused"},
		exchangeCase{name: "200 understood", response: "Cache-Control: max-age=3600, no-store, must-understand", want: "hit"},
		exchangeCase{name: "599 not understood, no no-store", status: 599, response: "Cache-Control: max-age=3600, must-understand", want: "refused"},
	))
}

func TestResponseDirectives(t *testing.T) {
	runExchanges(t, []exchangeCase{
		{name: "private", response: "Cache-Control: private, max-age=3600", want: "refused"},
		{name: "private in a second line", response: "Cache-Control: max-age=3600|Cache-Control: private", want: "refused"},
		{name: "private with fields", response: `Cache-Control: private="x-user", max-age=3600`, want: "hit"},
		{name: "private with an unquoted field", response: "Cache-Control: private=x-user, max-age=3600", want: "refused"},
		{name: "private with an empty list", response: `Cache-Control: private="", max-age=3600`, want: "refused"},
		{name: "private with what we decide by", response: `Cache-Control: private="cache-control", max-age=3600`, want: "refused"},
		{name: "no-store", response: "Cache-Control: no-store", want: "refused"},
		{name: "no-store, odd case", response: "Cache-Control: No-StOrE, max-age=10", want: "refused"},
		{name: "no-store, fresh", response: "Cache-Control: max-age=10000, no-store|Expires: " + date(10000), want: "refused"},
		{name: "no-store with an argument", response: "Cache-Control: max-age=10000, no-store=1", want: "refused"},
		{name: "no-cache, no validator", response: "Cache-Control: max-age=10000, no-cache|Expires: " + date(10000), want: "refused"},
		{name: "no-cache with ETag", response: `Cache-Control: no-cache|ETag: "abcd"`, want: "revalidate"},
		{name: "no-cache, fresh, with ETag", response: `Cache-Control: max-age=10000, No-CaChE|ETag: "abcd"`, want: "revalidate"},
		{name: "no-cache with fields", response: `Cache-Control: no-cache="a"|A: 1|Cache-Control: max-age=3600`, want: "hit"},
		{name: "must-revalidate, fresh", response: `Cache-Control: max-age=10000, must-revalidate|ETag: "a"`, want: "hit"},
		{name: "must-revalidate, stale", response: `Cache-Control: max-age=2, must-revalidate|ETag: "a"`, want: "revalidate"},
		{name: "stale-while-revalidate", response: `Cache-Control: max-age=1, stale-while-revalidate=3600|ETag: "a"`, want: "hit-stale"},
		{name: "its window over", response: `Cache-Control: max-age=1, stale-while-revalidate=1|ETag: "a"`, want: "revalidate"},
		{name: "never against must-revalidate", response: `Cache-Control: max-age=1, stale-while-revalidate=3600, must-revalidate|ETag: "a"`, want: "revalidate"},
		{name: "never against s-maxage", response: `Cache-Control: s-maxage=1, stale-while-revalidate=3600|ETag: "a"`, want: "revalidate"},
		{name: "cookie with freshness", response: "Cache-Control: max-age=3600|Set-Cookie: a=b", want: "hit"},
		{name: "cookie that is validated each time", response: `Cache-Control: no-cache, max-age=60|ETag: "a"|Set-Cookie: a=b`, want: "refused"},
		{name: "cookie that is stale at once", response: `Cache-Control: max-age=0|ETag: "a"|Set-Cookie: a=b`, want: "refused"},
		{name: "cookie in the request", response: "Cache-Control: max-age=3600", again: "Cookie: a=b", want: "hit"},
		{name: "Pragma means nothing", response: "Cache-Control: max-age=3600|Pragma: no-cache", want: "hit"},
	})
}

func TestRequestDirectives(t *testing.T) {
	fresh := `Cache-Control: max-age=3600|ETag: "a"`
	runExchanges(t, []exchangeCase{
		{name: "max-age=0", response: fresh, again: "Cache-Control: max-age=0", want: "revalidate"},
		{name: "max-age=1", response: fresh, again: "Cache-Control: max-age=1", want: "revalidate"},
		{name: "max-age=5", response: fresh, again: "Cache-Control: max-age=5", want: "hit"},
		{name: "max-age, aged", response: fresh + "|Age: 1800", again: "Cache-Control: max-age=600", want: "revalidate"},
		{name: "invalid max-age", response: fresh, again: "Cache-Control: max-age=x", want: "revalidate"},
		{name: "max-stale", response: "Cache-Control: max-age=1", again: "Cache-Control: max-stale=1000", want: "hit-stale"},
		{name: "bare max-stale", response: "Cache-Control: max-age=1", again: "Cache-Control: max-stale", want: "hit-stale"},
		{name: "max-stale, aged", response: `Cache-Control: max-age=1500|Age: 2000|ETag: "a"`, again: "Cache-Control: max-stale=1000", want: "hit-stale"},
		{name: "too stale", response: "Cache-Control: max-age=1", again: "Cache-Control: max-stale=1", want: "miss"},
		{name: "invalid max-stale", response: "Cache-Control: max-age=1", again: "Cache-Control: max-stale=x", want: "miss"},
		{name: "max-stale against must-revalidate", response: "Cache-Control: max-age=1, must-revalidate", again: "Cache-Control: max-stale", want: "miss"},
		{name: "min-fresh", response: "Cache-Control: max-age=1500", again: "Cache-Control: min-fresh=2000", want: "miss"},
		{name: "min-fresh, aged", response: "Cache-Control: max-age=1500|Age: 1000", again: "Cache-Control: min-fresh=1000", want: "miss"},
		{name: "min-fresh met", response: "Cache-Control: max-age=1500", again: "Cache-Control: min-fresh=1000", want: "hit"},
		{name: "invalid min-fresh", response: "Cache-Control: max-age=1500", again: "Cache-Control: min-fresh=x", want: "miss"},
		{name: "no-cache", response: "Cache-Control: max-age=3600", again: "Cache-Control: no-cache", want: "miss"},
		{name: "no-cache with ETag", response: fresh, again: "Cache-Control: no-cache", want: "revalidate"},
		{name: "no-cache with Last-Modified", response: "Cache-Control: max-age=3600|Last-Modified: " + date(-10000), again: "Cache-Control: no-cache", want: "revalidate"},
		{name: "no-store is about storing", response: fresh, again: "Cache-Control: no-store", want: "hit"},
		{name: "no-store is not stored", request: "Cache-Control: no-store", response: fresh, want: "refused"},
		{name: "Pragma", response: fresh, again: "Pragma: no-cache", want: "revalidate"},
		{name: "another Pragma", response: fresh, again: "Pragma: foo", want: "hit"},
		{name: "Pragma beside Cache-Control", response: fresh, again: "Pragma: no-cache|Cache-Control: foo", want: "hit"},
		{name: "plain reload of immutable", response: `Cache-Control: max-age=3600, immutable|ETag: "a"`, again: "Cache-Control: max-age=0", want: "hit"},
		{name: "forced reload of immutable", response: `Cache-Control: max-age=3600, immutable|ETag: "a"`, again: "Cache-Control: no-cache", want: "revalidate"},
		{name: "stale immutable", response: `Cache-Control: max-age=2, immutable|ETag: "a"`, again: "Cache-Control: max-age=0", want: "revalidate"},
	})
}

func TestAuthorization(t *testing.T) {
	auth := "Authorization: Basic Zm9v"
	runExchanges(t, []exchangeCase{
		{name: "explicit freshness is not enough", request: auth, response: "Cache-Control: max-age=3600|Expires: " + date(9999), want: "refused"},
		{name: "public", request: auth, response: "Cache-Control: max-age=3600, public", want: "hit"},
		{name: "must-revalidate", request: auth, response: "Cache-Control: max-age=3600, must-revalidate", want: "hit"},
		{name: "s-maxage", request: auth, response: "Cache-Control: s-maxage=3600", want: "hit"},
		{name: "proxy-revalidate is no permission", request: auth, response: "Cache-Control: max-age=3600, proxy-revalidate", want: "refused"},
	})
}

func TestVaryMatching(t *testing.T) {
	const fresh = "Cache-Control: max-age=5000|Vary: "
	runExchanges(t, []exchangeCase{
		{name: "match", request: "Foo: 1", response: fresh + "Foo", again: "Foo: 1", want: "hit"},
		{name: "no match", request: "Foo: 1", response: fresh + "Foo", again: "Foo: 2", want: "vary-miss"},
		{name: "absent when stored", response: fresh + "Foo", again: "Foo: 1", want: "vary-miss"},
		{name: "absent now", request: "Foo: 1", response: fresh + "Foo", want: "vary-miss"},
		{name: "empty is not absent", request: "Foo:", response: fresh + "Foo", want: "vary-miss"},
		{name: "both absent", response: fresh + "Foo", want: "hit"},
		{name: "other fields do not matter", request: "Foo: 1|Other: 2", response: fresh + "Foo", again: "Foo: 1|Other: 3", want: "hit"},
		{name: "two fields", request: "Foo: 1|Bar: abc", response: fresh + "Foo, Bar", again: "Foo: 1|Bar: abc", want: "hit"},
		{name: "one of two", request: "Foo: 1|Bar: abc", response: fresh + "Foo, Bar", again: "Foo: 2|Bar: abc", want: "vary-miss"},
		{name: "two lines", request: "Foo: 1|Bar: abc", response: fresh + "Foo|Vary: Bar", again: "Foo: 1|Bar: x", want: "vary-miss"},
		{name: "three, one absent", request: "Foo: 1|Baz: 789", response: fresh + "Foo, Bar, Baz", again: "Foo: 1|Baz: 789", want: "hit"},
		{name: "order of the request", request: "Foo: 1|Bar: abc|Baz: 789", response: fresh + "Foo, Bar, Baz", again: "Foo: 1|Baz: 789|Bar: abcde", want: "vary-miss"},
		{name: "names in any case", request: "Foo: 1", response: fresh + "fOO", again: "Foo: 2", want: "vary-miss"},
		{name: "white space", request: "Foo: 1,2", response: fresh + "Foo", again: "Foo:  1, 2 ", want: "hit"},
		{name: "lines joined", request: "Foo: 1, 2", response: fresh + "Foo", again: "Foo: 1|Foo: 2", want: "hit"},
		{name: "order of a field nobody knows", request: "Foo: 1, 2", response: fresh + "Foo", again: "Foo: 2, 1", want: "vary-miss"},
		{name: "quoted commas", request: `Foo: "1, 2"`, response: fresh + "Foo", again: `Foo: "1,2"`, want: "vary-miss"},
		{name: "order of languages", request: "Accept-Language: en, de", response: fresh + "Accept-Language", again: "Accept-Language: de, en", want: "hit"},
		{name: "case of languages", request: "Accept-Language: en, de", response: fresh + "Accept-Language", again: "Accept-Language: eN, De", want: "hit"},
		{name: "space in languages", request: "Accept-Language: en, de", response: fresh + "Accept-Language", again: "Accept-Language:  en ,   de", want: "hit"},
		{name: "qvalues", request: "Accept-Language: en, de;q=0.5", response: fresh + "Accept-Language", again: "Accept-Language: de; q=0.50, en;q=1.000", want: "hit"},
		{name: "other qvalues", request: "Accept-Language: en, de;q=0.5", response: fresh + "Accept-Language", again: "Accept-Language: en, de;q=0.6", want: "vary-miss"},
		{name: "the language both like best", request: "Accept-Language: en, de", response: fresh + "Accept-Language|Content-Language: de", again: "Accept-Language: fr;q=0.5, de;q=1.0", want: "hit"},
		{name: "a language liked less", request: "Accept-Language: en, de", response: fresh + "Accept-Language|Content-Language: de", again: "Accept-Language: fr, de;q=0.5", want: "vary-miss"},
		{name: "a language nobody asked for", request: "Accept-Language: en", response: fresh + "Accept-Language|Content-Language: de", again: "Accept-Language: de", want: "vary-miss"},
		{name: "codings in any order", request: "Accept-Encoding: gzip, br", response: fresh + "Accept-Encoding", again: "Accept-Encoding: br,gzip", want: "hit"},
		{name: "fewer codings", request: "Accept-Encoding: gzip, br", response: fresh + "Accept-Encoding", again: "Accept-Encoding: gzip", want: "vary-miss"},
		{name: "*", response: fresh + "*", want: "refused"},
		{name: "*, *", response: fresh + "*, *", want: "refused"},
		{name: "* in two lines", response: fresh + "*|Vary: *", want: "refused"},
		{name: "empty and *", response: fresh + ", *", want: "refused"},
		{name: "empty line and *", response: fresh + "|Vary: *", want: "refused"},
		{name: "*, Foo", response: fresh + "*, Foo", want: "refused"},
		{name: "Foo, *", response: fresh + "Foo, *", want: "refused"},
		{name: "not a name", response: fresh + "Foo Bar", want: "refused"},
		{name: "empty", response: fresh + "", want: "hit"},
	})
}
