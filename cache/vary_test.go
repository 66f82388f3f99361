package cache

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestSelectors(t *testing.T) {
	list, ok := get("Foo: 1 , 2", "X:").selectors([]string{"Foo, bar", "fOO,X"})
	want := []Selector{{"bar", "", false}, {"foo", "1,2", true}, {"x", "", true}}
	if !ok || !reflect.DeepEqual(list, want) {
		t.Errorf("%+v, %v", list, ok)
	}
}

func TestNewestMatchIsSelected(t *testing.T) {
	p := policy(t)
	fresh := "Cache-Control: max-age=3600"
	stored := []*Meta{
		admit(t, p, get("Foo: 1"), 200, fresh, "Vary: Foo", "Date: "+date(-20)),
		admit(t, p, get("Foo: 1", "Bar: 1"), 200, fresh, "Vary: Foo, Bar", "Date: "+date(-10)),
		admit(t, p, get("Foo: 2"), 200, fresh, "Vary: Foo", "Date: "+date(-5)),
	}
	cases := []struct {
		r    *Request
		want int
		fwd  Fwd
	}{
		{get("Foo: 1"), 0, ""},
		{get("Foo: 1", "Bar: 1"), 1, ""},
		{get("Foo: 2", "Bar: 1"), 2, ""},
		{get("Foo: 3"), -1, FwdVary},
	}
	for _, c := range cases {
		if i, fwd := Select(c.r, stored); i != c.want || fwd != c.fwd {
			t.Errorf("%v: %d %s, want %d %s", c.r.Header, i, fwd, c.want, c.fwd)
		}
	}
	if i, fwd := Select(get(), nil); i != -1 || fwd != FwdURIMiss {
		t.Errorf("nothing stored: %d %s", i, fwd)
	}
}

// An origin that leaves Vary out of its default response (RFC 9111 §4.1).
func TestWhatVariesIsSelectedBeforeWhatDoesNot(t *testing.T) {
	p := policy(t)
	fresh := "Cache-Control: max-age=3600"
	stored := []*Meta{
		admit(t, p, get(), 200, fresh, "Date: "+date(0)),
		admit(t, p, get("Foo: 1"), 200, fresh, "Vary: Foo", "Date: "+date(-20)),
		admit(t, p, get("Foo: 1"), 200, fresh, "Vary: Foo, Bar", "Date: "+date(-10)),
	}
	for _, c := range []struct {
		foo  string
		want int
	}{{"1", 2}, {"2", 0}} {
		for range 2 { // in whatever order they are stored
			if i, _ := Select(get("Foo: "+c.foo), stored); i != c.want {
				t.Errorf("Foo: %s: %d, want %d", c.foo, i, c.want)
			}
			slices.Reverse(stored)
			c.want = len(stored) - 1 - c.want
		}
	}
	if i, _ := Select(get(), stored); i != 0 {
		t.Errorf("no Foo: %d", i)
	}
}

func TestOfEqualDatesTheLaterReceivedIsSelected(t *testing.T) {
	p := policy(t)
	store := func(received int) *Meta {
		m, why := p.Admit(get(), 200, fields("Cache-Control: max-age=60", "Date: "+date(0)), after(received), after(received))
		if m == nil {
			t.Fatal(why)
		}
		return m
	}
	if i, _ := Select(get(), []*Meta{store(1), store(3), store(2)}); i != 1 {
		t.Errorf("selected %d", i)
	}
}

// The answer to a request that says it is another one is for none but its like,
// and nobody's answer is for it.
func TestFieldsThatSteerSelectWithoutVary(t *testing.T) {
	p := policy(t)
	const fresh = "Cache-Control: max-age=60"
	plain := admit(t, p, get("X-Forwarded-For: 192.0.2.1"), 200, fresh)
	for _, field := range []string{
		"X-Forwarded-Host: a", "X-Forwarded-Port: 1", "X-Forwarded-Prefix: /a", "X-Forwarded-Proto: http", "X-Forwarded-Scheme: http",
		"X-Forwarded-Server: a", "X-Host: a", "X-Original-Host: a", "X-Original-URL: /a", "X-Rewrite-URL: /a",
		"X-HTTP-Method: PUT", "X-HTTP-Method-Override: PUT", "X-Method-Override: PUT", "Forwarded: for=192.0.2.1;Host=a",
	} {
		steered := admit(t, p, get(field), 200, fresh, "Vary: Foo")
		stored := []*Meta{plain, steered}
		for _, c := range []struct {
			r    *Request
			want int
		}{
			{get(), 0}, {get("X-Forwarded-For: 192.0.2.2", "Forwarded: for=192.0.2.2"), 0}, {get(field), 1},
			{get(field, "Foo: 1"), -1}, {get(field + "x"), -1}, {get(field, "X-Http-Method: HEAD"), -1},
		} {
			if i, _ := Select(c.r, stored); i != c.want {
				t.Errorf("stored for %s: %v selects %d, want %d", field, c.r.Header, i, c.want)
			}
		}
		if p.Shareable(get(), steered, steered.Received) || p.Shareable(get(field), plain, plain.Received) {
			t.Errorf("%s: the fetch is shared", field)
		}
	}
}

func TestVaryOfFiftyFields(t *testing.T) {
	p := policy(t)
	var names, lines []string
	for i := range 50 {
		names = append(names, fmt.Sprintf("X-%d", i))
		lines = append(lines, fmt.Sprintf("X-%d: v%d", i, i))
	}
	m := admit(t, p, get(lines...), 200, "Cache-Control: max-age=60", "Vary: "+strings.Join(names, ", "))
	if i, _ := Select(get(lines...), []*Meta{m}); i != 0 {
		t.Error("the same request does not select it")
	}
	for i := range lines {
		other := append([]string(nil), lines...)
		other[i] += "x"
		if i, _ := Select(get(other...), []*Meta{m}); i != -1 {
			t.Errorf("selected although field %d differs", i)
		}
	}
}

var selectingNames = []string{"foo", "accept-encoding", "accept-language", "accept-charset"}

func drawLines(t *rapid.T, label string) []string {
	value := rapid.StringOf(rapid.SampledFrom([]rune(`ab*A ,;=q."\01	-`)))
	return rapid.SliceOfN(value, 0, 3).Draw(t, label)
}

func TestNormalFormsStayAsTheyAre(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(selectingNames).Draw(t, "name")
		once := normalise(name, drawLines(t, "lines"))
		if twice := normalise(name, []string{once}); twice != once {
			t.Fatalf("%s: %q becomes %q", name, once, twice)
		}
	})
}

// Whether one request's response answers another does not depend on which came
// first.
func TestMatchingIsSymmetric(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		vary := rapid.SliceOfN(rapid.SampledFrom(selectingNames), 1, 3).Draw(t, "vary")
		header := func(label string) http.Header {
			h := make(http.Header)
			for _, name := range selectingNames {
				if lines := drawLines(t, label+name); len(lines) > 0 {
					h[http.CanonicalHeaderKey(name)] = lines
				}
			}
			return h
		}
		a, b := header("a"), header("b")
		forA, _ := NewRequest("GET", target, a).selectors(vary)
		forB, _ := NewRequest("GET", target, b).selectors(vary)
		matches := func(h http.Header, list []Selector) bool { return NewRequest("GET", target, h).matches(list, list) }
		if !matches(a, forA) {
			t.Fatalf("%v does not match itself", a)
		}
		if matches(a, forB) != matches(b, forA) {
			t.Fatalf("%v and %v match one way only", a, b)
		}
	})
}
