package proxy

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cachenode/cachenode/cache"
	"github.com/cachenode/cachenode/http1"
)

// A target that the short lane takes is one that the long way accepts, with the
// same destination, and with itself as key and log text.
func FuzzPlainTarget(f *testing.F) {
	for _, s := range []string{
		"http://example.com/", "https://example.com/a?b=c", "http://example.com:8080/a%20b?c=[d]|{e}",
		"http://example.com:80/", "https://example.com:443/", "http://example.com:080/", "http://example.com:/",
		"http://EXAMPLE.com/", "http://u@example.com/", "http://example.com", "http://example.com?q", "http:///a",
		"http://example.com/a#b", "http://example.com/%zz", "http://example.com/%", "http://example.com/a\\b",
		"http://example.com/é", "http://[::1]/", "http://127.1/", "HTTP://example.com/", "http://a..b/", "http://.a/",
		"http://example.com:65536/", "http://example.com:0/", "http://example.com//u@x/?", "ftp://example.com/", "/a", "*", "",
		"http://example.com:99999/", "http://a_b-c.d/;p=1?x#", "http://example.com/?%zz", "http://a/\x7f", "http://a%41/",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := plainTarget(s)
		if !ok {
			return
		}
		u, err := url.Parse(s)
		if err != nil {
			t.Fatalf("%q cannot be parsed: %v", s, err)
		}
		x := &exchange{p: &Proxy{o: DefaultOptions()}, w: httptest.NewRecorder(), r: &http.Request{
			Method: "GET", RequestURI: s, URL: u, Header: http.Header{},
		}}
		want, bad := x.check()
		switch {
		case len(s) > int(x.p.o.Client.MaxURI):
		case bad != nil:
			t.Errorf("%q: the long way refuses it: %s", s, bad.why)
		case got != want:
			t.Errorf("%q: %v, by the long way %v", s, got, want)
		case cache.Key(x.url) != s || withoutUserinfo(s) != s:
			t.Errorf("%q: key %q, log %q", s, cache.Key(x.url), withoutUserinfo(s))
		}
	})
}

func TestPlainTarget(t *testing.T) {
	for s, want := range map[string]bool{
		"http://example.com/": true, "https://example.com/a?b=c&d[]=e": true, "http://127.0.0.1:8080/x%2Fy": true,
		"http://example.com:80/": false, "http://Example.com/": false, "http://example.com": false,
		"http://u:p@example.com/": false, "http://example.com/%2": false, "http://example.com:080/": false,
	} {
		if _, ok := plainTarget(s); ok != want {
			t.Errorf("%q: %v", s, ok)
		}
	}
}

// pick is one of the options.
func pick(r *rand.Rand, options ...string) string { return options[r.IntN(len(options))] }

// randomResponse may be stored, and says unusual things.
func randomResponse(r *rand.Rand, now time.Time) http.Header {
	h := http.Header{"Date": {now.Add(-time.Duration(r.IntN(200)) * time.Second).UTC().Format(http.TimeFormat)}}
	h.Set("Cache-Control", pick(r, "max-age=100", "max-age=1000, public", "max-age=50, stale-while-revalidate=500",
		"max-age=1000, immutable", "no-cache", "max-age=100, must-revalidate", "s-maxage=100", "max-age=1000, no-cache=\"x-a\""))
	h.Set("Content-Length", "1000")
	options := map[string][]string{
		"Etag":          {`"a"`, `W/"a"`, `"b"`, "bad"},
		"Last-Modified": {"Mon, 02 Jan 2006 15:04:05 GMT", now.UTC().Format(http.TimeFormat), "bad"},
		"Vary": {
			"Accept-Encoding", "Accept-Language", "Cookie, X-A", "Authorization", "User-Agent", "X-Forwarded-For", "Host", "Range",
			"Cache-Control", "Referer, Via", "Connection", "Accept-Encoding, Accept-Language", "TE",
		},
		"Age": {"10", "x"}, "Content-Language": {"en"}, "Expires": {"0"},
	}
	for _, name := range slices.Sorted(maps.Keys(options)) {
		if r.IntN(2) == 0 {
			h.Set(name, pick(r, options[name]...))
		}
	}
	return h
}

// requestValues are fields that clients send, and more.
var requestValues = map[string][]string{
	"Cache-Control": {"no-cache", "max-age=0", "max-age=150", "max-stale", "max-stale=1000", "min-fresh=50", "only-if-cached", "no-store", "x=\"", ""},
	"Pragma":        {"no-cache", "x", ""}, "Range": {"bytes=0-9", "bytes=5-", "bytes=-7", "bytes=0-1,5-6", "bytes=2000-", "x", ""},
	"If-Range":      {`"a"`, `W/"a"`, "Mon, 02 Jan 2006 15:04:05 GMT", ""},
	"If-None-Match": {`"a"`, `"b"`, "*", `W/"a", "c"`, ""}, "If-Modified-Since": {"Mon, 02 Jan 2006 15:04:05 GMT", "Fri, 01 Jan 2100 00:00:00 GMT", "x"},
	"If-Match": {`"a"`}, "If-Unmodified-Since": {"Mon, 02 Jan 2006 15:04:05 GMT"}, "Authorization": {"Basic eDp5", "Bearer z"},
	"Accept-Encoding": {"gzip", "br;q=1.0, gzip", "identity", ""}, "Accept-Language": {"en", "de, en;q=0.5", "en;q=0.7, de;q=0.7"},
	"Cookie": {"a=b", "c"}, "X-A": {"1", "2, 3"}, "User-Agent": {"u", "v"}, "Referer": {"r"}, "Via": {"1.1 other", "1.1 n1 (cachenode)"},
	"Connection": {"keep-alive", "Close", "x-a", "keep-alive, cookie"}, "Te": {"trailers"}, "X-Forwarded-For": {"10.0.0.1"},
	"Content-Length": {"0", "7"}, "Transfer-Encoding": {"chunked"}, "Upgrade": {"x"}, "Expect": {"100-continue"}, "Accept": {"*/*"},
	"Forwarded":        {"for=192.0.2.1", "for=x", "for=x;Host=a", ""},
	"Proxy-Connection": {"keep-alive"}, "If-Foo": {"x"}, "Pragmatic": {"no-cache"}, "Max-Forwards": {"0"}, "Host": {"example.com"},
}

func randomCase(r *rand.Rand, s string) string {
	return pick(r, s, s, strings.ToLower(s), strings.ToUpper(s))
}

// randomFields are the fields of a request, as they come and as the long way
// has them.
func randomFields(r *rand.Rand) (wire []http1.Field, h http.Header) {
	h = http.Header{}
	for _, name := range slices.Sorted(maps.Keys(requestValues)) { // the same each time
		values := requestValues[name]
		for n := r.IntN(6); n < 2; n++ {
			as, value := randomCase(r, name), pick(r, values...)
			wire = append(wire, http1.Field{Name: []byte(as), Value: []byte(value)})
			if name != "Host" {
				h.Add(textproto.CanonicalMIMEHeaderKey(as), value)
			}
			if r.IntN(3) > 0 {
				break
			}
		}
	}
	return wire, h
}

// The policy decides and answers the same by the fields that the short lane
// shows it as by all of them.
func TestLaneFieldsAreAllThatThePolicyReads(t *testing.T) {
	const key = "http://example.com/"
	r := rand.New(rand.NewPCG(1, 2))
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	policy, err := cache.NewPolicy(cache.DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	var views fieldViews
	taken, hits, answers := 0, 0, map[int]int{}
	for range 30_000 {
		var stored []*cache.Meta
		for range 1 + r.IntN(2) {
			_, first := randomFields(r)
			if r.IntN(2) == 0 {
				first = http.Header{}
			}
			h := randomResponse(r, now)
			if m, _ := policy.Admit(cache.NewRequest("GET", key, first), 200, h, now, now); m != nil {
				stored = append(stored, m)
			}
		}
		wire, full := randomFields(r)
		views.reset()
		ok := len(stored) > 0 && views.read(wire, "n1")
		for _, m := range stored {
			ok = ok && views.selecting(m.Vary, wire, "keep")
		}
		if !ok {
			continue
		}
		taken++
		method := pick(r, "GET", "GET", "HEAD")
		got := judge(policy, cache.NewRequest(method, key, views.header), stored, now.Add(90*time.Second))
		want := judge(policy, cache.NewRequest(method, key, full), stored, now.Add(90*time.Second))
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%s %v\nstored %v\nlane %+v\nlong %+v", method, full, stored[0].Header, got, want)
		}
		if views.userAgent != full.Get("User-Agent") || views.referer != full.Get("Referer") {
			t.Fatalf("%q %q of %v", views.userAgent, views.referer, full)
		}
		if got.d.Verdict == cache.Hit {
			hits++
			answers[got.a.Status]++
		}
	}
	t.Logf("%d requests could go the short lane, %d hits: %v", taken, hits, answers)
	if taken < 400 || hits < 100 || answers[304] == 0 || answers[206] == 0 || answers[416] == 0 {
		t.Error("the cases are not worth much")
	}
}

// What steers an origin whatever Vary says is shown to the policy too.
func TestLaneShowsFieldsThatSteer(t *testing.T) {
	policy, err := cache.NewPolicy(cache.DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	fresh := http.Header{"Cache-Control": {"max-age=60"}}
	plain, _ := policy.Admit(cache.NewRequest("GET", "k", nil), 200, fresh, now, now)
	for _, name := range []string{
		"x-forwarded-host", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-FORWARDED-PROTO", "X-Forwarded-Scheme", "X-Forwarded-Server",
		"X-Host", "X-Original-Host", "X-Original-URL", "X-Rewrite-URL", "X-HTTP-Method", "x-http-method-override", "X-Method-Override", "Forwarded",
	} {
		var v fieldViews
		if !v.read([]http1.Field{{Name: []byte(name), Value: []byte("host=a")}}, "n1") {
			t.Errorf("%s takes the long way", name)
		}
		if i, _ := cache.Select(cache.NewRequest("GET", "k", v.header), []*cache.Meta{plain}); i >= 0 {
			t.Errorf("%s is not seen", name)
		}
	}
}

// judgement is all that the policy says of a request.
type judgement struct {
	ok   bool
	pick int
	d    cache.Decision
	a    cache.Answer
	only bool
}

func judge(p *cache.Policy, r *cache.Request, stored []*cache.Meta, now time.Time) (j judgement) {
	if j.ok, _, _ = p.Lookup(r); !j.ok {
		return j
	}
	j.only = r.OnlyIfCached()
	if j.pick, _ = cache.Select(r, stored); j.pick >= 0 {
		j.d = p.Reuse(r, stored[j.pick], now)
		j.a = cache.Evaluate(r, stored[j.pick])
	}
	return j
}

// A request takes nothing from the one before it in the same lane.
func TestLaneFieldsAreReset(t *testing.T) {
	field := func(name, value string) http1.Field { return http1.Field{Name: []byte(name), Value: []byte(value)} }
	var v fieldViews
	v.read([]http1.Field{field("range", "bytes=0-1"), field("range", "x"), field("user-agent", "u"), field("referer", "r")}, "n1")
	if got := fmt.Sprint(v.header["Range"], v.userAgent+v.referer); got != "[bytes=0-1 x]ur" {
		t.Error(got)
	}
	v.reset()
	v.read([]http1.Field{field("Accept", "x")}, "n1")
	if v.header != nil || v.userAgent+v.referer != "" || len(v.kept)+len(v.values) > 0 {
		t.Errorf("%+v", v)
	}
}
