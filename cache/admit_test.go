package cache

import (
	"maps"
	"net/http"
	"reflect"
	"testing"
)

func TestStoredHeader(t *testing.T) {
	p := policy(t)
	h := fields(
		"Cache-Control: max-age=3600", `Cache-Control: no-cache="a, b", private="x-user"`,
		"A: 1", "B: 2", "C: 3", "X-User: me", "Set-Cookie: a=b", "Content-Range: foo", "Content-Length: 3",
		"Connection: d, e", "D: 4", "E: 5", "Keep-Alive: timeout=5", "Te: x", "Transfer-Encoding: chunked", "Upgrade: h2c",
		"Trailer: T", "Proxy-Authenticate: Basic", "Proxy-Authentication-Info: x", "Proxy-Authorization: x", "Proxy-Connection: close",
	)
	before := h.Clone()
	m, why := p.Admit(get(), 200, h, t0, t0)
	if m == nil {
		t.Fatal(why)
	}
	want := fields("Cache-Control: max-age=3600", `Cache-Control: no-cache="a, b", private="x-user"`,
		"C: 3", "Set-Cookie: a=b", "Content-Range: foo", "Content-Length: 3", "Date: "+date(0))
	if !reflect.DeepEqual(m.Header, want) {
		t.Errorf("stored %v", m.Header)
	}
	if m.Length != 3 || m.Total != 3 {
		t.Errorf("length %d of %d", m.Length, m.Total)
	}
	m.Header.Set("C", "changed")
	if !reflect.DeepEqual(h, before) {
		t.Error("the response's own header changed")
	}
}

func TestDateIsAlwaysStored(t *testing.T) {
	p := policy(t)
	for _, lines := range [][]string{nil, {"Date: foo"}} {
		m, why := p.Admit(get(), 200, fields(append(lines, "Cache-Control: max-age=9")...), t0, after(2))
		if m == nil {
			t.Fatal(why)
		}
		if got := m.Header.Get("Date"); got != date(2) {
			t.Errorf("Date %q", got)
		}
	}
}

func TestLengthNotKnown(t *testing.T) {
	for _, value := range []string{"", "x", "-1", "1,1"} {
		m := admit(t, policy(t), get(), 200, "Cache-Control: max-age=9", "Content-Length: "+value)
		if m.Length != -1 || m.Total != -1 {
			t.Errorf("%q: %d of %d", value, m.Length, m.Total)
		}
	}
	if m := admit(t, policy(t), get(), 204, "Cache-Control: max-age=9"); m.Length != 0 {
		t.Errorf("204 with %d bytes", m.Length)
	}
}

func TestMethodsThatStore(t *testing.T) {
	p := policy(t)
	fresh := fields("Cache-Control: max-age=60", "Date: "+date(0))
	cases := []struct {
		method string
		lines  []string
		key    string
		status int
		want   Reason
	}{
		{"GET", nil, target, 200, ReasonStored},
		{"HEAD", nil, target, 200, ReasonMethod},
		{"PUT", nil, target, 200, ReasonMethod},
		{"POST", nil, target, 200, ReasonPostLocation},
		{"POST", []string{"Content-Location: " + target}, target, 200, ReasonStored},
		{"POST", []string{"Content-Location: HTTP://Origin.Example:80/a"}, target, 200, ReasonStored},
		{"POST", []string{"Content-Location: /a"}, target, 200, ReasonStored},
		{"POST", []string{"Content-Location:"}, target, 200, ReasonStored},
		{"POST", []string{"Content-Location: /b"}, target, 200, ReasonPostLocation},
		{"POST", []string{"Content-Location: /a"}, target, 201, ReasonPostLocation},
		{"POST", []string{"Content-Location: /a", "Content-Location: /a"}, target, 200, ReasonPostLocation},
	}
	for _, c := range cases {
		h := fresh.Clone()
		maps.Copy(h, fields(c.lines...))
		if _, why := p.Admit(NewRequest(c.method, c.key, http.Header{}), c.status, h, t0, t0); why != c.want {
			t.Errorf("%s %v %d: %s, want %s", c.method, c.lines, c.status, why, c.want)
		}
	}
	heuristic := fields("Content-Location: /a", "Last-Modified: "+date(-9999), "Date: "+date(0))
	if _, why := p.Admit(NewRequest("POST", target, http.Header{}), 200, heuristic, t0, t0); why != ReasonPostLocation {
		t.Errorf("a POST without explicit freshness: %s", why)
	}
	if _, why := p.Admit(get("Content-Length: 5"), 200, fresh, t0, t0); why != ReasonRequestBody {
		t.Errorf("a GET with content: %s", why)
	}
}

func TestSetCookieOption(t *testing.T) {
	cases := []struct {
		option SetCookie
		cc     string
		want   Reason
	}{
		{SetCookieExplicit, "max-age=60", ReasonStored},
		{SetCookieExplicit, "public", ReasonSetCookie},
		{SetCookiePublic, "max-age=60", ReasonSetCookie},
		{SetCookiePublic, "max-age=60, public", ReasonStored},
		{SetCookiePublic, "s-maxage=60", ReasonStored},
		{SetCookieNever, "s-maxage=60, public", ReasonSetCookie},
		{SetCookieNever, `max-age=60, no-cache="set-cookie"`, ReasonStored}, // without it
	}
	for _, c := range cases {
		p := policy(t, func(o *Options) { o.SetCookie = c.option })
		if _, why := tryAdmit(p, get(), 200, "Set-Cookie: a=b", "Cache-Control: "+c.cc); why != c.want {
			t.Errorf("%s, %s: %s, want %s", c.option, c.cc, why, c.want)
		}
	}
}

func TestNegativeTTL(t *testing.T) {
	if _, why := tryAdmit(policy(t), get(), 503); why != ReasonNotCacheable {
		t.Errorf("off by default, but %s", why)
	}
	p := policy(t, func(o *Options) { o.NegativeTTL = 30e9 })
	m := admit(t, p, get(), 503)
	if d := p.Reuse(get(), m, after(29)); d.Verdict != Hit {
		t.Errorf("within: %+v", d)
	}
	if d := p.Reuse(get(), m, after(30)); d.Verdict != Miss {
		t.Errorf("over: %+v", d)
	}
	for _, lines := range []string{"Cache-Control: no-store", "Cache-Control: max-age=0", "Cache-Control: private"} {
		if m, _ := tryAdmit(p, get(), 404, lines); m != nil {
			t.Errorf("%s is stored", lines)
		}
	}
	if _, why := tryAdmit(p, get(), 403); why != ReasonNotCacheable {
		t.Errorf("403 is not listed, but %s", why)
	}
}

func TestPartialResponses(t *testing.T) {
	p := policy(t)
	ranged := get("Range: bytes=0-4")
	cases := []struct {
		name  string
		r     *Request
		lines []string
		want  Reason
	}{
		{"asked for", ranged, []string{"Content-Range: bytes 0-4/10"}, ReasonStored},
		{"not asked for", get(), []string{"Content-Range: bytes 0-4/10"}, ReasonStatus},
		{"no Content-Range", ranged, nil, ReasonContentRange},
		{"two", ranged, []string{"Content-Range: bytes 0-4/10", "Content-Range: bytes 5-9/10"}, ReasonContentRange},
		{"total not known", ranged, []string{"Content-Range: bytes 0-4/*"}, ReasonContentRange},
		{"contradicts its length", ranged, []string{"Content-Range: bytes 0-4/10", "Content-Length: 6"}, ReasonContentRange},
		{"agrees with its length", ranged, []string{"Content-Range: bytes 0-4/10", "Content-Length: 5"}, ReasonStored},
	}
	for _, c := range cases {
		m, why := tryAdmit(p, c.r, 206, append(c.lines, "Cache-Control: max-age=60")...)
		if why != c.want {
			t.Errorf("%s: %s, want %s", c.name, why, c.want)
		}
		if m == nil {
			continue
		}
		if !reflect.DeepEqual(m.Spans, []Span{{0, 5}}) || m.Length != 5 || m.Total != 10 || m.Status != 206 {
			t.Errorf("%s: %d, %v, %d of %d", c.name, m.Status, m.Spans, m.Length, m.Total)
		}
		if m.Header["Content-Range"] != nil || m.Header["Content-Length"] != nil {
			t.Errorf("%s: %v", c.name, m.Header)
		}
	}
	m := admit(t, p, ranged, 206, "Content-Range: bytes 0-9/10", "Cache-Control: max-age=60")
	if m.Status != 200 || m.Spans != nil || m.Length != 10 {
		t.Errorf("all of it in a 206: %d, %v, %d", m.Status, m.Spans, m.Length)
	}
}
