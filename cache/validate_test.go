package cache

import (
	"maps"
	"net/http"
	"reflect"
	"testing"
)

const yesterday = "Last-Modified: Tue, 03 Mar 2026 12:00:00 GMT"

func TestSetValidators(t *testing.T) {
	p := policy(t)
	cases := []struct {
		name   string
		status int
		stored []string
		want   http.Header
	}{
		{"strong ETag", 200, []string{`ETag: "a"`}, fields(`If-None-Match: "a"`)},
		{"weak ETag", 200, []string{`ETag: W/"a"`}, fields(`If-None-Match: W/"a"`)},
		{"an ETag without quotes, as it came", 200, []string{"ETag: a"}, fields("If-None-Match: a")},
		{"Last-Modified", 200, []string{yesterday}, fields("If-Modified-Since: Tue, 03 Mar 2026 12:00:00 GMT")},
		{"both", 200, []string{`ETag: "a"`, yesterday}, fields(`If-None-Match: "a"`, "If-Modified-Since: Tue, 03 Mar 2026 12:00:00 GMT")},
		{"none", 200, nil, nil},
		{"two ETags", 200, []string{`ETag: "a"`, `ETag: "b"`}, nil},
		{"two Last-Modified", 200, []string{yesterday, "Last-Modified: Wed, 04 Mar 2026 11:00:00 GMT"}, nil},
		{"invalid Last-Modified", 200, []string{"Last-Modified: yesterday"}, nil},
		{"a 304 says nothing about an error", 404, []string{`ETag: "a"`}, nil},
	}
	for _, c := range cases {
		m := admit(t, p, get(), c.status, append(c.stored, "Cache-Control: max-age=60")...)
		h := fields("X: y", `If-None-Match: "theirs"`, "If-Modified-Since: "+date(-5), `If-Match: "t"`, "If-Unmodified-Since: "+date(0),
			"Range: bytes=0-1", `If-Range: "theirs"`)
		ok := SetValidators(h, m)
		want := fields("X: y", "Range: bytes=0-1", `If-Range: "theirs"`)
		maps.Copy(want, c.want)
		if ok != (c.want != nil) || !reflect.DeepEqual(h, want) {
			t.Errorf("%s: %v %v", c.name, ok, h)
		}
	}
}

func TestWhich304Freshens(t *testing.T) {
	p := policy(t)
	cases := []struct {
		name        string
		stored, got []string
		want        bool
	}{
		{"same strong ETag", []string{`ETag: "a"`}, []string{`ETag: "a"`}, true},
		{"another", []string{`ETag: "a"`}, []string{`ETag: "b"`}, false},
		{"strong for weak", []string{`ETag: W/"a"`}, []string{`ETag: "a"`}, false},
		{"weak for strong", []string{`ETag: "a"`}, []string{`ETag: W/"a"`}, true},
		{"same weak", []string{`ETag: W/"a"`}, []string{`ETag: W/"a"`}, true},
		{"another weak", []string{`ETag: W/"a"`}, []string{`ETag: W/"b"`}, false},
		{"no validators at all", []string{`ETag: "a"`, yesterday}, nil, true},
		{"only Last-Modified", []string{`ETag: "a"`, yesterday}, []string{yesterday}, true},
		{"another Last-Modified", []string{yesterday}, []string{"Last-Modified: " + date(-7)}, false},
		{"ETag counts more than Last-Modified", []string{`ETag: "a"`, yesterday}, []string{`ETag: "b"`, yesterday}, false},
		{"a new ETag beside the same Last-Modified", []string{yesterday}, []string{`ETag: "b"`, yesterday}, true},
		{"a new ETag alone", []string{yesterday}, []string{`ETag: "b"`}, false},
		{"malformed ETag, same bytes", []string{"ETag: a"}, []string{"ETag: a"}, true},
	}
	for _, c := range cases {
		m := admit(t, p, get(), 200, append(c.stored, "Cache-Control: max-age=60")...)
		if _, ok := Freshen(m, fields(c.got...), after(70), after(70)); ok != c.want {
			t.Errorf("%s: %v", c.name, ok)
		}
	}
}

func TestFreshenUpdatesFields(t *testing.T) {
	p := policy(t)
	m := admit(t, p, get(), 200, "Cache-Control: max-age=2", `ETag: "a"`, "Age: 1", "Test-Header: A", "Content-Foo: A", "X-Kept: A", "Gone: A",
		"Content-Type: text/plain", "Content-Location: /foo", "Content-Encoding: gzip", "Content-Length: 5", "Content-Range: A", "Expires: "+date(2))
	before := m.Header.Clone()
	u, ok := Freshen(m, fields(`Cache-Control: max-age=3600, private="gone, secret"`, `ETag: "a"`, "Date: "+date(10),
		"Test-Header: B", "Content-Foo: B", "Content-Type: text/html", "Content-Location: /bar", "New: B",
		"Content-Encoding: br", "Content-Length: 0", "Content-Range: B", "Connection: Hop", "Hop: B", "Secret: B", "Transfer-Encoding: chunked"),
		after(10), after(11))
	if !ok {
		t.Fatal("not freshened")
	}
	want := fields(`Cache-Control: max-age=3600, private="gone, secret"`, `Etag: "a"`, "Date: "+date(10),
		"Test-Header: B", "Content-Foo: B", "Content-Type: text/html", "Content-Location: /bar", "New: B", "X-Kept: A",
		"Content-Encoding: gzip", "Content-Length: 5", "Content-Range: A", "Expires: "+date(2))
	if !reflect.DeepEqual(u.Header, want) {
		t.Errorf("updated:\n%v\nwant\n%v", u.Header, want)
	}
	if !reflect.DeepEqual(m.Header, before) {
		t.Error("the stored header changed")
	}
	if d := p.Reuse(get(), u, after(13)); d.Verdict != Hit || d.Age != 3e9 {
		t.Errorf("afterwards: %+v", d)
	}
	if u.Length != m.Length || u.Key != m.Key || u.Status != 200 || !u.Requested.Equal(after(10)) {
		t.Errorf("%+v", u)
	}
}

// A field that private or no-cache lists is its client's alone, also where only
// the stored response lists it (RFC 9111 §3.2, §5.2.2.4, §5.2.2.7).
func TestFreshenWithholdsListedFields(t *testing.T) {
	p := policy(t)
	m := admit(t, p, get(), 200, `Cache-Control: max-age=2, private="user"`, `ETag: "a"`, "User: ann")
	cases := []struct {
		name string
		got  []string
		want string // User of the stored response
		own  http.Header
	}{
		{"listed again", []string{`Cache-Control: max-age=2, no-cache="user"`, "User: bob"}, "", fields("User: bob")},
		{"not said again", []string{"User: bob", "Set-Cookie: c"}, "", fields("User: bob", "Set-Cookie: c")},
		{"not listed any more", []string{"Cache-Control: max-age=2", "User: all"}, "all", fields()},
	}
	for _, c := range cases {
		u, ok := Freshen(m, fields(c.got...), after(5), after(5))
		if !ok || u.Header.Get("User") != c.want {
			t.Errorf("%s: %v %v", c.name, ok, u.Header)
		}
		own := fields()
		if CopyOwn(own, u, fields(c.got...)); !reflect.DeepEqual(own, c.own) {
			t.Errorf("%s: for the client %v", c.name, own)
		}
	}
}

// Without a Date of its own a 304 counts from when it was received, or the old
// Date would make the response stale again.
func TestFreshenWithoutDate(t *testing.T) {
	p := policy(t)
	m := admit(t, p, get(), 200, "Cache-Control: max-age=20", `ETag: "a"`)
	u, ok := Freshen(m, fields(), after(100), after(100))
	if !ok || u.Header.Get("Date") != date(100) {
		t.Fatalf("%v %v", ok, u)
	}
	if d := p.Reuse(get(), u, after(110)); d.Verdict != Hit {
		t.Errorf("%+v", d)
	}
}

func TestCookieOfA304(t *testing.T) {
	p := policy(t)
	cases := []struct {
		name   string
		stored string
		want   string
	}{
		{"states no freshness", "X: y", ""},
		{"states it", "Cache-Control: max-age=60", "new=1"},
	}
	for _, c := range cases {
		m := admit(t, p, get(), 200, `ETag: "a"`, c.stored)
		u, ok := Freshen(m, fields("Set-Cookie: new=1"), after(9), after(9))
		if !ok || u.Header.Get("Set-Cookie") != c.want {
			t.Errorf("%s: %q", c.name, u.Header.Get("Set-Cookie"))
		}
	}
}

func TestA304CanWithdrawThePermission(t *testing.T) {
	p := policy(t)
	m := admit(t, p, get(), 200, `ETag: "a"`, "Cache-Control: max-age=60")
	for cc, want := range map[string]Reason{"no-store": ReasonNoStore, "private, max-age=60": ReasonPrivate} {
		u, ok := Freshen(m, fields("Cache-Control: "+cc), after(1), after(1))
		if !ok {
			t.Fatal("not freshened")
		}
		if d := p.Reuse(get(), u, after(2)); d.Verdict != Miss || d.Reason != want {
			t.Errorf("%s: %+v", cc, d)
		}
		if ok, _ := p.ReuseOnError(get(), u, 0, after(2)); ok {
			t.Errorf("%s: served on error", cc)
		}
	}
}

func TestA304ThatVariesByMore(t *testing.T) {
	p := policy(t)
	m := admit(t, p, get("Foo: 1"), 200, `ETag: "a"`, "Cache-Control: max-age=60", "Vary: Foo")
	for vary, want := range map[string]bool{"Foo": true, "foo": true, "": true, "Foo, Bar": false, "*": false} {
		u, ok := Freshen(m, fields("Vary: "+vary), after(1), after(1))
		if ok != want {
			t.Errorf("%q: %v", vary, ok)
		}
		if ok && u.Header.Get("Vary") != "Foo" {
			t.Errorf("%q: Vary is %q now", vary, u.Header.Get("Vary"))
		}
	}
}

func TestFreshenHead(t *testing.T) {
	p := policy(t)
	stored := []string{"Cache-Control: max-age=2", "Template-A: 1", "Content-Length: 10", `ETag: "a"`, yesterday}
	cases := []struct {
		name string
		got  []string
		want bool
	}{
		{"nothing new", nil, true},
		{"new lifetime", []string{"Cache-Control: max-age=1000", "Template-A: 2"}, true},
		{"same validators and length", []string{`ETag: "a"`, yesterday, "Content-Length: 10"}, true},
		{"another ETag", []string{`ETag: "b"`}, false},
		{"another Last-Modified", []string{"Last-Modified: " + date(-5)}, false},
		{"another length", []string{"Content-Length: 11"}, false},
		{"varies by more", []string{"Vary: Foo"}, false},
	}
	for _, c := range cases {
		m := admit(t, p, get(), 200, stored...)
		u := FreshenHead(m, fields(c.got...), after(5), after(5))
		if (u != nil) != c.want {
			t.Errorf("%s: %v", c.name, u)
		}
	}
	m := admit(t, p, get(), 200, stored...)
	u := FreshenHead(m, fields("Cache-Control: max-age=1000"), after(5), after(5))
	if d := p.Reuse(get(), u, after(100)); d.Verdict != Hit || u.Header.Get("Template-A") != "1" || u.Header.Get("Content-Length") != "10" {
		t.Errorf("%+v %v", d, u.Header)
	}
	bare := admit(t, p, get(), 200, "Cache-Control: max-age=2")
	if FreshenHead(bare, fields(`ETag: "a"`), after(5), after(5)) != nil {
		t.Error("an ETag that the stored bytes never had is given to them")
	}
}
