package cache

import (
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestElements(t *testing.T) {
	cases := []struct {
		lines []string
		want  []string
	}{
		{nil, nil},
		{[]string{""}, nil},
		{[]string{" , ,,\t"}, nil},
		{[]string{"a, b ,c"}, []string{"a", "b", "c"}},
		{[]string{"a", "b"}, []string{"a", "b"}},
		{[]string{`a="b,c", d`}, []string{`a="b,c"`, "d"}},
		{[]string{`a="b\",c", d`}, []string{`a="b\",c"`, "d"}},
		{[]string{`a="b, c`, "d"}, []string{`a="b`, "c", "d"}},
		{[]string{`a="b", c="d, e`}, []string{`a="b"`, `c="d`, "e"}},
		{[]string{`"a\`}, []string{`"a\`}},
	}
	for _, c := range cases {
		if got := slices.Collect(elements(c.lines)); !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.lines, got, c.want)
		}
	}
}

func TestResponseDirectivesAreReadStrictly(t *testing.T) {
	seconds := func(n int) delta { return delta{time.Duration(n) * time.Second, true} }
	cases := []struct {
		value string
		want  responseDirectives
	}{
		{"", responseDirectives{}},
		{"max-age=5, max-age=3, max-age=9", responseDirectives{maxAge: seconds(3)}},
		{"max-age=5, max-age=x", responseDirectives{maxAge: seconds(0)}},
		{`max-age="5"x`, responseDirectives{maxAge: seconds(0)}},
		{"max-age=5 x", responseDirectives{maxAge: seconds(0)}},
		{"max-age=5;x", responseDirectives{maxAge: seconds(0)}},
		{"s-maxage=+5", responseDirectives{sMaxAge: seconds(0)}},
		{"max-age=0x10", responseDirectives{maxAge: seconds(0)}},
		{"no-cache=x", responseDirectives{noCache: true}},
		{`no-cache="X-A , x-b"`, responseDirectives{withheld: []string{"X-A", "X-B"}}},
		{`no-cache="x-a", no-cache`, responseDirectives{noCache: true, withheld: []string{"X-A"}}},
		{`private="x a"`, responseDirectives{private: true}},
		{`private="vary"`, responseDirectives{private: true}},
		{`no-cache="content-encoding", private="Location"`, responseDirectives{noCache: true, private: true}},
		{"private=a, b", responseDirectives{private: true}},
		{"public=1, immutable=x", responseDirectives{}},
		{"must-revalidate=0, proxy-revalidate =1", responseDirectives{mustRevalidate: true, proxyRevalidate: true}},
		{"must-understand=1, no-store", responseDirectives{noStore: true}},
		{"stale-while-revalidate, stale-if-error=9", responseDirectives{staleWhileRevalidate: seconds(0), staleIfError: seconds(9)}},
		{"no-transform, foo=bar, =, ;", responseDirectives{}},
		{"max-age=99999999999999999999", responseDirectives{maxAge: seconds(1<<31 - 1)}},
	}
	for _, c := range cases {
		got := parseResponseDirectives([]string{c.value})
		slices.Sort(got.withheld)
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s:\n got %+v\nwant %+v", c.value, got, c.want)
		}
	}
}

// A field of 60 KB is read in one pass, whatever its quotes do.
func TestHugeCacheControl(t *testing.T) {
	for _, unit := range []string{"a,", `a\",`, `"a",`, "max-age=1,", ",", `"`} {
		value := strings.Repeat(unit, 60<<10/len(unit))
		d := parseResponseDirectives([]string{value, "no-store"})
		if !d.noStore {
			t.Errorf("%s…: no-store in the next line is lost", unit)
		}
	}
}

// Whatever stands around them, private and no-store keep a response out.
func TestNothingHidesPrivacy(t *testing.T) {
	p := policy(t)
	junk := rapid.StringOf(rapid.SampledFrom([]rune(`ab=," \;1-`)))
	rapid.Check(t, func(t *rapid.T) {
		forbid := rapid.SampledFrom([]string{"private", "no-store", "No-Store", "private=x", "no-store=\"", `private=""`}).Draw(t, "forbid")
		lines := []string{junk.Draw(t, "line"), "max-age=60," + forbid + "," + junk.Draw(t, "behind")}
		h := http.Header{"Cache-Control": lines, "Etag": {`"a"`}}
		if m, _ := p.Admit(get(), 200, h, t0, t0); m != nil {
			t.Fatalf("%q is stored", lines)
		}
	})
}

func FuzzResponseDirectives(f *testing.F) {
	for _, s := range []string{
		"max-age=3600", `max-age="3600", private="a, b"`, `no-store, x="`, "s-maxage=99999999999999", "max-age =1",
		`no-cache="\"a\""`, "must-understand,no-store,immutable", `a\",b"c,d`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d := parseResponseDirectives([]string{s})
		for _, x := range []delta{d.maxAge, d.sMaxAge, d.staleWhileRevalidate, d.staleIfError} {
			if x.d < 0 || x.d > maxDelta {
				t.Fatalf("%v is no delta", x.d)
			}
		}
		for _, name := range d.withheld {
			if !isToken(name) {
				t.Fatalf("%q is no field name", name)
			}
		}
		// A directive in front or behind never makes a field milder.
		if both := parseResponseDirectives([]string{"no-store, max-age=0", s, "private"}); !both.noStore || !both.private || both.maxAge.d != 0 {
			t.Fatalf("%q hides its neighbours", s)
		}
		parseRequestDirectives([]string{s})
	})
}
