package cache

import "testing"

// hit is the policy's part of serving a plain fresh hit.
func hit(p *Policy, r *Request, stored []*Meta) bool {
	i, _ := Select(r, stored)
	d := p.Reuse(r, stored[i], after(1))
	a := Evaluate(r, stored[i])
	return d.Verdict == Hit && a.Status == 200
}

func TestHitsDoNotAllocate(t *testing.T) {
	p := policy(t, func(o *Options) { o.Refresh = []Refresh{{URL: `\.iso$`, Min: 1}} })
	gzip := []string{"Accept-Encoding: gzip, br", "Accept: */*", "Cookie: a=b"}
	cases := map[string][]*Meta{
		"plain":  {admit(t, p, get(), 200, "Cache-Control: max-age=60", `ETag: "a"`, yesterday, "Content-Length: 9")},
		"varied": {admit(t, p, get("Accept-Encoding: br,gzip"), 200, "Cache-Control: max-age=60", "Vary: Accept-Encoding")},
	}
	for name, stored := range cases {
		r := get(gzip...)
		if name == "varied" {
			r = get("Accept-Encoding: br,gzip")
		}
		if !hit(p, r, stored) {
			t.Errorf("%s: no hit", name)
		}
		if n := testing.AllocsPerRun(100, func() { hit(p, r, stored) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkHit(b *testing.B) {
	p := policy(b)
	stored := []*Meta{admit(b, p, get(), 200, "Cache-Control: max-age=60", `ETag: "a"`, yesterday)}
	header := fields("Accept-Encoding: gzip", "User-Agent: x", "Accept: */*")
	var r Request
	b.ReportAllocs()
	for b.Loop() {
		r.Reset("GET", target, header)
		if !hit(p, &r, stored) {
			b.Fatal("no hit")
		}
	}
}

func BenchmarkHitVaried(b *testing.B) {
	p := policy(b)
	stored := []*Meta{admit(b, p, get("Accept-Encoding: gzip, br"), 200, "Cache-Control: max-age=60", "Vary: Accept-Encoding")}
	r := get("Accept-Encoding: gzip, br")
	b.ReportAllocs()
	for b.Loop() {
		if !hit(p, r, stored) {
			b.Fatal("no hit")
		}
	}
}

func BenchmarkAdmit(b *testing.B) {
	p := policy(b)
	r := get("Accept-Encoding: gzip")
	h := fields("Cache-Control: public, max-age=60", `ETag: "a"`, "Date: "+date(0), yesterday, "Vary: Accept-Encoding",
		"Content-Type: text/html", "Content-Length: 9", "Server: x")
	b.ReportAllocs()
	for b.Loop() {
		if m, why := p.Admit(r, 200, h, t0, t0); m == nil {
			b.Fatal(why)
		}
	}
}

func BenchmarkEvaluateConditional(b *testing.B) {
	m := whole(b, 10, `ETag: "abc"`)
	r := get(`If-None-Match: "1", "2", W/"abc"`)
	b.ReportAllocs()
	for b.Loop() {
		if a := Evaluate(r, m); a.Status != 304 {
			b.Fatal(a)
		}
	}
}

func BenchmarkKey(b *testing.B) {
	u := mustParse(b, "http://origin.example/some/path?query=1")
	b.ReportAllocs()
	for b.Loop() {
		Key(u)
	}
}
