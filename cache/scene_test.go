package cache

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// t0 is when the stored responses of the tests are fetched.
var t0 = time.Date(2026, time.March, 4, 12, 0, 0, 0, time.UTC)

const target = "http://origin.example/a"

// date is an HTTP-date so many seconds after t0.
func date(seconds int) string {
	return t0.Add(time.Duration(seconds) * time.Second).Format(http.TimeFormat)
}

// fields makes a header of "Name: value" lines.
func fields(lines ...string) http.Header {
	h := make(http.Header)
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ":")
		h.Add(name, strings.TrimPrefix(value, " "))
	}
	return h
}

func get(lines ...string) *Request { return NewRequest("GET", target, fields(lines...)) }

func policy(t testing.TB, change ...func(*Options)) *Policy {
	t.Helper()
	o := DefaultOptions()
	for _, f := range change {
		f(&o)
	}
	p, err := NewPolicy(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// admit stores a response with Date t0, fails the test when it is refused.
func admit(t testing.TB, p *Policy, r *Request, status int, lines ...string) *Meta {
	t.Helper()
	m, why := tryAdmit(p, r, status, lines...)
	if m == nil {
		t.Fatalf("not stored: %s", why)
	}
	return m
}

func tryAdmit(p *Policy, r *Request, status int, lines ...string) (*Meta, Reason) {
	h := fields(lines...)
	if h["Date"] == nil {
		h.Set("Date", date(0))
	}
	return p.Admit(r, status, h, t0, t0)
}

// whole is a stored 200 of n bytes.
func whole(t testing.TB, n int64, lines ...string) *Meta {
	t.Helper()
	m := admit(t, policy(t), get(), 200, append(lines, "Cache-Control: max-age=3600")...)
	m, ok := Complete(m, n)
	if !ok {
		t.Fatalf("%d bytes contradict %d", n, m.Length)
	}
	return m
}

// after is so many seconds after t0.
func after(seconds int) time.Time { return t0.Add(time.Duration(seconds) * time.Second) }

func verdictName(v Verdict) string {
	return [...]string{"miss", "hit", "hit-stale", "revalidate"}[v]
}
