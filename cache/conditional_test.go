package cache

import (
	"net/http"
	"reflect"
	"testing"
)

func TestConditionalRequests(t *testing.T) {
	strong := []string{`ETag: "abc"`, "Last-Modified: " + date(-3000)}
	cases := []struct {
		name   string
		stored []string
		ask    []string
		want   int
	}{
		{"no condition", strong, nil, 200},
		{"If-None-Match", strong, []string{`If-None-Match: "abc"`}, 304},
		{"no match", strong, []string{`If-None-Match: "abd"`}, 200},
		{"weak comparison", strong, []string{`If-None-Match: W/"abc"`}, 304},
		{"weak stored", []string{`ETag: W/"abc"`}, []string{`If-None-Match: W/"abc"`}, 304},
		{"weak stored, strong asked", []string{`ETag: W/"abc"`}, []string{`If-None-Match: "abc"`}, 304},
		{"first of several", strong, []string{`If-None-Match: "abc", "1", "2"`}, 304},
		{"middle of several", strong, []string{`If-None-Match: "1", W/"abc","2"`}, 304},
		{"last of several", strong, []string{`If-None-Match: "1","2" ,"abc"`}, 304},
		{"in a second line", strong, []string{`If-None-Match: "1"`, `If-None-Match: "abc"`}, 304},
		{"comma inside a tag", []string{`ETag: "a,b"`}, []string{`If-None-Match: "a,b"`}, 304},
		{"part of a tag", []string{`ETag: "a,b"`}, []string{`If-None-Match: "a"`}, 200},
		{"backslash is an ordinary byte", []string{`ETag: "a\"`}, []string{`If-None-Match: "a\", "b"`}, 304},
		{"obs-text", []string{"ETag: \"\xfc\""}, []string{"If-None-Match: \"\xfc\""}, 304},
		{"*", strong, []string{"If-None-Match: *"}, 304},
		{"* without an ETag", nil, []string{"If-None-Match: *"}, 304},
		{"no ETag stored", nil, []string{`If-None-Match: "abc"`}, 200},
		{"empty", strong, []string{"If-None-Match:"}, 200},
		{"unquoted both", []string{"ETag: abc"}, []string{"If-None-Match: abc"}, 304},
		{"lower-case w", []string{`ETag: w/"abc"`}, []string{`If-None-Match: w/"abc"`}, 304},
		{"If-None-Match goes before If-Modified-Since", strong, []string{`If-None-Match: "abc"`, "If-Modified-Since: " + date(-4000)}, 304},
		{"and keeps it from matching", strong, []string{`If-None-Match: "x"`, "If-Modified-Since: " + date(0)}, 200},
		{"If-Modified-Since, same", strong, []string{"If-Modified-Since: " + date(-3000)}, 304},
		{"later", strong, []string{"If-Modified-Since: " + date(-2000)}, 304},
		{"earlier", strong, []string{"If-Modified-Since: " + date(-3001)}, 200},
		{"RFC 850", strong, []string{"If-Modified-Since: Wednesday, 04-Mar-26 11:10:00 GMT"}, 304},
		{"invalid", strong, []string{"If-Modified-Since: tomorrow"}, 200},
		{"two", strong, []string{"If-Modified-Since: " + date(0), "If-Modified-Since: " + date(0)}, 200},
		{"no Last-Modified: Date counts", nil, []string{"If-Modified-Since: " + date(0)}, 304},
		{"no Last-Modified, before Date", nil, []string{"If-Modified-Since: " + date(-1)}, 200},
	}
	for _, c := range cases {
		m := whole(t, 10, c.stored...)
		for _, method := range []string{"GET", "HEAD"} {
			a := Evaluate(NewRequest(method, target, fields(c.ask...)), m)
			if a.Status != c.want || a.Spans != nil || a.Missing != nil || a.Reason == "" {
				t.Errorf("%s %s: %+v, want %d", method, c.name, a, c.want)
			}
		}
	}
}

// Conditions count only where the answer without them is a success
// (RFC 9110 §13.2.1).
func TestConditionsOnErrors(t *testing.T) {
	p := policy(t)
	m := admit(t, p, get(), 404, `ETag: "a"`, "Cache-Control: max-age=60", "Content-Length: 10")
	for _, line := range []string{`If-None-Match: "a"`, "If-None-Match: *", "If-Modified-Since: " + date(50), "Range: bytes=0-1", "Range: bytes=50-"} {
		if a := Evaluate(get(line), m); a.Status != 404 || a.Spans != nil {
			t.Errorf("%s: %+v", line, a)
		}
	}
}

func TestRanges(t *testing.T) {
	cases := []struct {
		ask    string
		status int
		want   []Span
	}{
		{"bytes=0-1", 206, []Span{{0, 2}}},
		{"bytes=1-", 206, []Span{{1, 9}}},
		{"bytes=-1", 206, []Span{{9, 1}}},
		{"bytes=-10", 206, []Span{{0, 10}}},
		{"bytes=-11", 206, []Span{{0, 10}}},
		{"bytes=9-9", 206, []Span{{9, 1}}},
		{"bytes=5-500", 206, []Span{{5, 5}}},
		{"bytes=0-99999999999999999999999", 206, []Span{{0, 10}}},
		{"bytes=-99999999999999999999999", 206, []Span{{0, 10}}},
		{"Bytes=0-0", 206, []Span{{0, 1}}},
		{" bytes= 0 - 1 ,\t3-4 ", 206, []Span{{0, 2}, {3, 2}}},
		{"bytes=0-1,2-3", 206, []Span{{0, 2}, {2, 2}}},
		{"bytes=0-1,,5-", 206, []Span{{0, 2}, {5, 5}}},
		{"bytes=0-1,50-60", 206, []Span{{0, 2}}},
		{"bytes=0-1,-0", 206, []Span{{0, 2}}},
		{"bytes=10-", 416, nil},
		{"bytes=10-20,30-", 416, nil},
		{"bytes=-0", 416, nil},
		{"bytes=99999999999999999999999-", 416, nil},
		{"bytes=2-1", 200, nil},
		{"bytes=0-1,2-1", 200, nil},
		{"bytes=", 200, nil},
		{"bytes=,", 200, nil},
		{"bytes", 200, nil},
		{"bytes=a-b", 200, nil},
		{"bytes=--1", 200, nil},
		{"bytes=0-1-2", 200, nil},
		{"bytes=+0-1", 200, nil},
		{"bytes=0x0-1", 200, nil},
		{"bytes=-", 200, nil},
		{"items=0-1", 200, nil},
		{"bytes=0-5,3-4", 200, nil}, // overlap
		{"bytes=5-6,0-1", 200, nil}, // descending
		{"bytes=0-0,1-1,2-2,3-3,4-4,5-5,6-6,7-7", 206, []Span{{0, 1}, {1, 1}, {2, 1}, {3, 1}, {4, 1}, {5, 1}, {6, 1}, {7, 1}}},
		{"bytes=0-0,1-1,2-2,3-3,4-4,5-5,6-6,7-7,8-8", 200, nil}, // too many
	}
	m := whole(t, 10)
	for _, c := range cases {
		a := Evaluate(get("Range: "+c.ask), m)
		if a.Status != c.status || !reflect.DeepEqual(a.Spans, c.want) {
			t.Errorf("%q: %+v, want %d %v", c.ask, a, c.status, c.want)
		}
		if a := Evaluate(NewRequest("HEAD", target, fields("Range: "+c.ask)), m); a.Status != 200 {
			t.Errorf("HEAD %q: %+v", c.ask, a) // RFC 9110 §14.2: GET only
		}
	}
	if a := Evaluate(get("Range: bytes=0-1", "Range: bytes=3-4"), m); a.Status != 200 {
		t.Errorf("two lines: %+v", a)
	}
	unknown := admit(t, policy(t), get(), 200, "Cache-Control: max-age=60")
	if a := Evaluate(get("Range: bytes=0-1"), unknown); a.Status != 200 {
		t.Errorf("length not known: %+v", a)
	}
}

func TestRangesOfNothing(t *testing.T) {
	m := whole(t, 0)
	for ask, want := range map[string]int{"bytes=0-": 416, "bytes=0-0": 416, "bytes=-5": 200, "bytes=-0": 416, "bytes=x": 200} {
		if a := Evaluate(get("Range: "+ask), m); a.Status != want {
			t.Errorf("%s: %+v", ask, a)
		}
	}
}

func TestIfRange(t *testing.T) {
	strong := []string{`ETag: "abc"`, "Last-Modified: " + date(-3000)}
	cases := []struct {
		name   string
		stored []string
		ask    []string
		want   int
	}{
		{"same ETag", strong, []string{`If-Range: "abc"`}, 206},
		{"another", strong, []string{`If-Range: "abd"`}, 200},
		{"weak asked", strong, []string{`If-Range: W/"abc"`}, 200},
		{"weak both", []string{`ETag: W/"abc"`}, []string{`If-Range: W/"abc"`}, 200},
		{"unquoted both", []string{"ETag: abc"}, []string{"If-Range: abc"}, 200},
		{"no ETag stored", nil, []string{`If-Range: "abc"`}, 200},
		{"same date", strong, []string{"If-Range: " + date(-3000)}, 206},
		{"later date", strong, []string{"If-Range: " + date(-2000)}, 200},
		{"a date too young to be strong", []string{"Last-Modified: " + date(-1)}, []string{"If-Range: " + date(-1)}, 200},
		{"two", strong, []string{`If-Range: "abc"`, `If-Range: "abc"`}, 200},
		{"empty", strong, []string{"If-Range:"}, 200},
		{"If-None-Match goes before", strong, []string{`If-Range: "abc"`, `If-None-Match: "abc"`}, 304},
		{"and lets pass", strong, []string{`If-Range: "abc"`, `If-None-Match: "x"`}, 206},
		{"unsatisfiable and mismatching", strong, []string{`If-Range: "x"`, "Range: bytes=90-"}, 200},
	}
	for _, c := range cases {
		r := get(c.ask...)
		if r.Header["Range"] == nil {
			r.Header.Set("Range", "bytes=2-4")
		}
		if a := Evaluate(r, whole(t, 10, c.stored...)); a.Status != c.want {
			t.Errorf("%s: %+v, want %d", c.name, a, c.want)
		}
	}
}

func FuzzEntityTags(f *testing.F) {
	for _, s := range []string{`"a"`, `W/"a", "b"`, `w/"a"`, `"a`, `*`, `a,b`, `"a" "b"`, `W\"a"`} {
		f.Add(s, `"a"`)
	}
	f.Fuzz(func(t *testing.T, list, stored string) {
		tag := parseEntityTag(stored)
		if tag.matchStrongly(tag) && !tag.matchWeakly(tag) {
			t.Fatalf("%+v matches itself strongly only", tag)
		}
		if !tag.none() && !tag.anyMatchesWeakly([]string{stored}) && tag.valid {
			t.Fatalf("%q does not match itself", stored)
		}
		tag.anyMatchesWeakly([]string{list})
		Evaluate(NewRequest("GET", target, http.Header{"If-None-Match": {list}, "If-Range": {stored}, "Range": {list}}), &Meta{Status: 200, Total: 9, Length: 9})
	})
}

func FuzzRange(f *testing.F) {
	for _, s := range []string{"bytes=0-1", "bytes=-5,7-", "bytes=0-99999999999999999999", "bytes= 1 - 2 , 3-"} {
		f.Add(s, int64(10))
	}
	f.Fuzz(func(t *testing.T, s string, total int64) {
		if total < 0 || total > maxOffset {
			return
		}
		spans, result := parseRange(s, total)
		if (len(spans) > 0) != (result == rangeSatisfiable) || len(spans) > maxRanges {
			t.Fatalf("%v, result %d", spans, result)
		}
		checkSpans(t, spans, total)
	})
}

type failer interface {
	Helper()
	Fatalf(string, ...any)
}

// checkSpans fails unless spans are ascending, disjoint, not empty and within total.
func checkSpans(t failer, spans []Span, total int64) {
	t.Helper()
	end := int64(0)
	for _, s := range spans {
		if s.Off < end || s.Len <= 0 || s.End() > total {
			t.Fatalf("%v of %d", spans, total)
		}
		end = s.End()
	}
}
