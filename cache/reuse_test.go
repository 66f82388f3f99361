package cache

import (
	"net/http"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestWhatAsksTheStore(t *testing.T) {
	p := policy(t)
	cases := []struct {
		method string
		line   string
		fwd    Fwd
		why    Reason
	}{
		{"GET", "X: y", "", ""},
		{"HEAD", "X: y", "", ""},
		{"GET", "Content-Length: 0", "", ""},
		{"GET", "Cache-Control: no-cache", "", ""},
		{"GET", "Range: bytes=0-", "", ""},
		{"GET", "Content-Length: 5", FwdBypass, ReasonRequestBody},
		{"GET", "Transfer-Encoding: chunked", FwdBypass, ReasonRequestBody},
		{"GET", `If-Match: "a"`, FwdBypass, ReasonPrecondition},
		{"GET", "If-Unmodified-Since: " + date(0), FwdBypass, ReasonPrecondition},
		{"POST", "X: y", FwdMethod, ReasonMethod},
		{"OPTIONS", "X: y", FwdMethod, ReasonMethod},
		{"get", "X: y", FwdMethod, ReasonMethod}, // methods are case-sensitive
	}
	for _, c := range cases {
		ok, fwd, why := p.Lookup(NewRequest(c.method, target, fields(c.line)))
		if ok != (c.fwd == "") || fwd != c.fwd || why != c.why {
			t.Errorf("%s %s: %v %s %s", c.method, c.line, ok, fwd, why)
		}
	}
	if !get("Cache-Control: foo, only-if-cached").OnlyIfCached() {
		t.Error("only-if-cached is lost")
	}
	if !get("Cache-Control: x", "Cache-Control: No-Store").NoStore() {
		t.Error("no-store in a second line is lost")
	}
}

func TestDecisionsSayWhy(t *testing.T) {
	p := policy(t)
	fresh := admit(t, p, get(), 200, "Cache-Control: max-age=60", `ETag: "a"`)
	cases := []struct {
		name string
		r    *Request
		m    *Meta
		at   int
		want Decision
	}{
		{"fresh", get(), fresh, 10, Decision{Hit, ReasonFresh, "", 10 * time.Second, 50 * time.Second}},
		{"just stale", get(), fresh, 60, Decision{Revalidate, ReasonStale, FwdStale, 60 * time.Second, 0}},
		{"stale", get(), fresh, 70, Decision{Revalidate, ReasonStale, FwdStale, 70 * time.Second, -10 * time.Second}},
		{"reload", get("Cache-Control: no-cache"), fresh, 10, Decision{Revalidate, ReasonRequestNoCache, FwdRequest, 10 * time.Second, 50 * time.Second}},
		{"soft reload at once", get("Cache-Control: max-age=0"), fresh, 0, Decision{Revalidate, ReasonRequestMaxAge, FwdRequest, 0, 60 * time.Second}},
		{"reload of something stale", get("Cache-Control: no-cache"), fresh, 70, Decision{Revalidate, ReasonRequestNoCache, FwdStale, 70 * time.Second, -10 * time.Second}},
		{"error", get(), admit(t, p, get(), 404, "Cache-Control: max-age=5", `ETag: "a"`), 9, Decision{Miss, ReasonStale, FwdStale, 9 * time.Second, -4 * time.Second}},
	}
	for _, c := range cases {
		if got := p.Reuse(c.r, c.m, after(c.at)); got != c.want {
			t.Errorf("%s:\n got %+v\nwant %+v", c.name, got, c.want)
		}
	}
}

func TestAgeArithmetic(t *testing.T) {
	p := policy(t)
	cases := []struct {
		name                string
		lines               []string
		requested, received int
		at                  int
		want                int
	}{
		{"resident time", nil, 0, 0, 7, 7},
		{"apparent age", []string{"Date: " + date(-5)}, 0, 0, 7, 12},
		{"Age and delay", []string{"Age: 10"}, 0, 3, 3, 13},
		{"the greater of both", []string{"Date: " + date(-20), "Age: 10"}, 0, 3, 4, 24},
		{"Date in the future", []string{"Date: " + date(500)}, 0, 0, 7, 7},
		{"clock back during the exchange", nil, 10, 0, 7, 7},
		{"clock a little back afterwards", nil, 0, 0, -30, 0},
		{"saturates", []string{"Age: 99999999999"}, 0, 0, 7, 1 << 31},
	}
	for _, c := range cases {
		h := fields(append(c.lines, "Cache-Control: max-age=100", `ETag: "a"`)...)
		if h["Date"] == nil {
			h.Set("Date", date(0))
		}
		m, why := p.Admit(get(), 200, h, after(c.requested), after(c.received))
		if m == nil {
			t.Fatal(why)
		}
		if d := p.Reuse(get(), m, after(c.at)); d.Age != time.Duration(c.want)*time.Second {
			t.Errorf("%s: age %v, want %d s", c.name, d.Age, c.want)
		}
	}
}

// The wall clock of this node steps by a day: nothing gets a negative age, and
// what seems to come from the future is validated.
func TestClockSteps(t *testing.T) {
	p := policy(t)
	m := admit(t, p, get(), 200, "Cache-Control: max-age=3600", `ETag: "a"`)
	if d := p.Reuse(get(), m, after(-86400)); d.Verdict != Revalidate || d.Reason != ReasonClockStepped || d.Age != 0 {
		t.Errorf("a day back: %+v", d)
	}
	if d := p.Reuse(get(), m, after(86400)); d.Verdict != Revalidate || d.Reason != ReasonStale {
		t.Errorf("a day on: %+v", d)
	}
}

// The clock is set while a response is stored: it is not fresh for longer, and
// its age counts the time that has passed. A clock set back by three hours since
// is one by which the response was received three hours later.
func TestClockIsSetMeanwhile(t *testing.T) {
	p := policy(t)
	start := time.Now() // with a monotonic reading, which time.Time cannot be given else
	for _, tt := range []struct {
		name    string
		stored  time.Duration // ago
		back    time.Duration // the clock was set since; negative: forth
		verdict Verdict
		age     time.Duration
	}{
		{"not set", 10 * time.Minute, 0, Hit, 10 * time.Minute},
		{"back", 10 * time.Minute, 3 * time.Hour, Hit, 10 * time.Minute},
		{"back, outlived", 2 * time.Hour, 3 * time.Hour, Revalidate, 2 * time.Hour},
		{"back by less, outlived", 2 * time.Hour, 90 * time.Minute, Revalidate, 2 * time.Hour},
		{"forth, or asleep", 10 * time.Minute, -3 * time.Hour, Revalidate, 190 * time.Minute},
	} {
		received := start.Add(-tt.stored)
		m := admit(t, p, get(), 200, "Cache-Control: max-age=3600", `ETag: "a"`)
		m = m.clone()
		m.Steady = received
		m.Received = received.Add(tt.back).Round(0)
		m.Requested = m.Received
		m.Header["Date"] = []string{m.Received.UTC().Format(http.TimeFormat)}
		d := p.Reuse(get(), m, start)
		if off := d.Age - tt.age; d.Verdict != tt.verdict || off < 0 || off > time.Second { // Date has whole seconds
			t.Errorf("%s: %s, %s, age %v, want %s, %v", tt.name, verdictName(d.Verdict), d.Reason, d.Age, verdictName(tt.verdict), tt.age)
		}
		u, ok := Freshen(m, fields(`ETag: "a"`), start, start)
		if !ok || !u.Steady.IsZero() {
			t.Errorf("%s: validated, it keeps the age it had: %v, %v", tt.name, u, ok)
		}
	}
}

func TestAgeIsNeverNegative(t *testing.T) {
	p := policy(t)
	rapid.Check(t, func(t *rapid.T) {
		m, r := drawStored(t, p)
		if m == nil {
			return
		}
		now := after(rapid.IntRange(-1<<40, 1<<40).Draw(t, "now"))
		d := p.Reuse(r, m, now)
		if d.Age < 0 || d.Age > maxDelta {
			t.Fatalf("age %v", d.Age)
		}
		if d.TTL < -maxDelta || d.TTL > maxDelta {
			t.Fatalf("ttl %v", d.TTL)
		}
		if d.Verdict == Hit && d.TTL <= 0 || (d.Verdict == Hit || d.Verdict == HitStale) != (d.Fwd == "") || d.Reason == "" {
			t.Fatalf("%+v", d)
		}
	})
}

// As time goes by a response goes from hit to stale hit to validation, and never
// back.
func TestReuseIsMonotoneInTime(t *testing.T) {
	p := policy(t)
	rank := map[Verdict]int{Hit: 0, HitStale: 1, Revalidate: 2, Miss: 2}
	rapid.Check(t, func(t *rapid.T) {
		m, r := drawStored(t, p)
		if m == nil {
			return
		}
		first := rapid.IntRange(0, 1<<20).Draw(t, "first")
		then := first + rapid.IntRange(0, 1<<20).Draw(t, "then")
		a, b := p.Reuse(r, m, after(first)), p.Reuse(r, m, after(then))
		if rank[b.Verdict] < rank[a.Verdict] || b.Age < a.Age || b.TTL > a.TTL {
			t.Fatalf("after %d s %+v, after %d s %+v", first, a, then, b)
		}
		now, _ := p.ReuseOnError(r, m, 0, after(first))
		later, _ := p.ReuseOnError(r, m, 0, after(then))
		if later && !now {
			t.Fatal("too stale, and then not")
		}
	})
}

func drawStored(t *rapid.T, p *Policy) (*Meta, *Request) {
	seconds := rapid.SampledFrom([]string{"0", "1", "60", "3600", "x", "99999999999"})
	var lines []string
	for _, name := range []string{"max-age", "s-maxage", "stale-while-revalidate", "stale-if-error"} {
		if rapid.Bool().Draw(t, name) {
			lines = append(lines, "Cache-Control: "+name+"="+seconds.Draw(t, "value"))
		}
	}
	for _, line := range []string{"Cache-Control: must-revalidate", "Cache-Control: immutable", `ETag: "a"`, "Age: 30"} {
		if rapid.Bool().Draw(t, line) {
			lines = append(lines, line)
		}
	}
	day := rapid.IntRange(-1<<30, 1<<30)
	for _, name := range []string{"Date", "Expires", "Last-Modified"} {
		if rapid.Bool().Draw(t, name) {
			lines = append(lines, name+": "+date(day.Draw(t, "date")))
		}
	}
	requested := rapid.IntRange(-1<<20, 1<<20).Draw(t, "requested")
	m, _ := p.Admit(get(), 200, fields(lines...), after(requested), t0)
	var ask []string
	for _, name := range []string{"max-age", "max-stale", "min-fresh", "stale-if-error"} {
		if rapid.IntRange(0, 3).Draw(t, "ask "+name) == 0 {
			ask = append(ask, "Cache-Control: "+name+"="+seconds.Draw(t, "value"))
		}
	}
	return m, get(ask...)
}

func TestServingStaleOnError(t *testing.T) {
	p := policy(t)
	cases := []struct {
		name    string
		cc      string
		request string
		status  int
		at      int
		want    Reason
		ok      bool
	}{
		{"unreachable", "max-age=2", "", 0, 10, ReasonUnreachable, true},
		{"503", "max-age=2", "", 503, 10, ReasonUnreachable, true},
		{"500 is an answer", "max-age=2", "", 500, 10, ReasonTooStale, false},
		{"404 is no error", "max-age=2", "", 404, 10, ReasonNotAnError, false},
		{"501 is no error of RFC 5861", "max-age=2", "", 501, 10, ReasonNotAnError, false},
		{"more than a day", "max-age=2", "", 0, 90000, ReasonTooStale, false},
		{"stale-if-error, unreachable", "max-age=2, stale-if-error=60", "", 0, 10, ReasonSIE, true},
		{"stale-if-error, 500", "max-age=2, stale-if-error=60", "", 500, 10, ReasonSIE, true},
		{"stale-if-error over", "max-age=2, stale-if-error=5", "", 0, 10, ReasonTooStale, false},
		{"stale-if-error beyond the limit", "max-age=2, stale-if-error=99999999", "", 0, 700000, ReasonTooStale, false},
		{"the client's", "max-age=2", "stale-if-error=60", 500, 10, ReasonSIE, true},
		{"the client's, over", "max-age=2", "stale-if-error=1", 500, 10, ReasonTooStale, false},
		{"the lesser of both", "max-age=2, stale-if-error=60", "stale-if-error=1", 500, 10, ReasonTooStale, false},
		{"must-revalidate", "max-age=2, must-revalidate, stale-if-error=60", "", 0, 10, ReasonMustRevalidate, false},
		{"proxy-revalidate", "max-age=2, proxy-revalidate", "", 0, 10, ReasonMustRevalidate, false},
		{"s-maxage", "max-age=2, s-maxage=2", "", 0, 10, ReasonMustRevalidate, false},
		{"no-cache", "max-age=2, no-cache", "", 0, 10, ReasonNoCache, false},
		{"still fresh", "max-age=60, must-revalidate", "max-age=0", 0, 10, ReasonFresh, true},
		{"forced reload", "max-age=60", "no-cache", 0, 10, ReasonRequestNoCache, false},
	}
	for _, c := range cases {
		m := admit(t, p, get(), 200, "Cache-Control: "+c.cc, `ETag: "a"`)
		ok, why := p.ReuseOnError(get("Cache-Control: "+c.request), m, c.status, after(c.at))
		if ok != c.ok || why != c.want {
			t.Errorf("%s: %v %s, want %v %s", c.name, ok, why, c.ok, c.want)
		}
	}
	off := policy(t, func(o *Options) { o.Stale = StaleLimits{} })
	m := admit(t, off, get(), 200, "Cache-Control: max-age=2, stale-while-revalidate=60, stale-if-error=60")
	if ok, _ := off.ReuseOnError(get(), m, 0, after(3)); ok {
		t.Error("stale on error although all limits are 0")
	}
	if d := off.Reuse(get("Cache-Control: max-stale"), m, after(3)); d.Verdict != Miss {
		t.Errorf("stale although all limits are 0: %+v", d)
	}
}

func TestCollapsedRequestsShare(t *testing.T) {
	p := policy(t)
	fresh := admit(t, p, get("Foo: 1"), 200, "Cache-Control: max-age=60", "Vary: Foo")
	unchecked := admit(t, p, get(), 200, "Cache-Control: no-cache", `ETag: "a"`)
	cases := []struct {
		name string
		r    *Request
		m    *Meta
		want bool
	}{
		{"the same", get("Foo: 1"), fresh, true},
		{"another variant", get("Foo: 2"), fresh, false},
		{"a reload", get("Foo: 1", "Cache-Control: no-cache"), fresh, false},
		{"another key", NewRequest("GET", target+"b", fields("Foo: 1")), fresh, false},
		{"another method", NewRequest("POST", target, fields("Foo: 1")), fresh, false},
		{"no-cache", get(), unchecked, false},
	}
	for _, c := range cases {
		if got := p.Shareable(c.r, c.m, after(1)); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
