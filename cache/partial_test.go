package cache

import (
	"net/http"
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

// part is a stored 206 of bytes 4 to 8 of 10.
func part(t testing.TB, lines ...string) *Meta {
	t.Helper()
	lines = append(lines, "Cache-Control: max-age=3600", "Content-Range: bytes 4-8/10", "Content-Length: 5")
	return admit(t, policy(t), get("Range: bytes=4-8"), 206, lines...)
}

func TestAnsweringFromAPart(t *testing.T) {
	m := part(t, `ETag: "a"`)
	cases := []struct {
		ask     string
		status  int
		spans   []Span
		missing []Span
	}{
		{"bytes=4-8", 206, []Span{{4, 5}}, nil},
		{"bytes=6-8", 206, []Span{{6, 3}}, nil},
		{"bytes=4-4,8-8", 206, []Span{{4, 1}, {8, 1}}, nil},
		{"bytes=6-", 206, []Span{{6, 4}}, []Span{{9, 1}}},
		{"bytes=-1", 206, []Span{{9, 1}}, []Span{{9, 1}}},
		{"bytes=0-9", 206, []Span{{0, 10}}, []Span{{0, 4}, {9, 1}}},
		{"bytes=0-1,5-6", 206, []Span{{0, 2}, {5, 2}}, []Span{{0, 2}}},
		{"bytes=10-", 416, nil, nil},
		{"lines=1-2", 200, nil, []Span{{0, 4}, {9, 1}}},
		{"", 200, nil, []Span{{0, 4}, {9, 1}}},
	}
	for _, c := range cases {
		r := get()
		if c.ask != "" {
			r = get("Range: " + c.ask)
		}
		a := Evaluate(r, m)
		if a.Status != c.status || !reflect.DeepEqual(a.Spans, c.spans) || !reflect.DeepEqual(a.Missing, c.missing) {
			t.Errorf("%q: %+v, want %d %v missing %v", c.ask, a, c.status, c.spans, c.missing)
		}
	}
	if a := Evaluate(get(`If-None-Match: "a"`), m); a.Status != 304 {
		t.Errorf("validating a part: %+v", a)
	}
	if a := Evaluate(get("Range: bytes=4-5", `If-Range: "b"`), m); a.Status != 200 || len(a.Missing) == 0 {
		t.Errorf("If-Range names another representation: %+v", a)
	}
}

// A HEAD needs no bytes: a part answers it whole.
func TestHeadOfAPart(t *testing.T) {
	if a := Evaluate(NewRequest("HEAD", target, http.Header{}), part(t)); a.Status != 200 || a.Missing != nil {
		t.Errorf("%+v", a)
	}
}

func TestSetRange(t *testing.T) {
	cases := []struct {
		name   string
		stored []string
		want   Span
		fields http.Header
	}{
		{"ETag", []string{`ETag: "a"`, yesterday}, Span{0, 4}, fields("Range: bytes=0-3", `If-Range: "a"`)},
		{"to the end", []string{`ETag: "a"`}, Span{9, 1}, fields("Range: bytes=9-", `If-Range: "a"`)},
		{"Last-Modified", []string{yesterday}, Span{0, 4}, fields("Range: bytes=0-3", "If-Range: Tue, 03 Mar 2026 12:00:00 GMT")},
		{"weak", []string{`ETag: W/"a"`, yesterday}, Span{0, 4}, fields()},
		{"none", nil, Span{0, 4}, fields()},
	}
	for _, c := range cases {
		h := fields("Range: bytes=0-", `If-Range: "x"`, `If-None-Match: "x"`)
		ok := SetRange(h, part(t, c.stored...), c.want)
		if ok != (len(c.fields) > 0) || !reflect.DeepEqual(h, c.fields) {
			t.Errorf("%s: %v %v", c.name, ok, h)
		}
	}
}

func TestCombine(t *testing.T) {
	rest := Span{9, 1}
	cases := []struct {
		name   string
		stored []string
		got    []string
		span   Span
		want   []Span // nil: refused
	}{
		{"same ETag", []string{`ETag: "a"`}, []string{`ETag: "a"`, "Content-Range: bytes 9-9/10"}, rest, []Span{{4, 6}}},
		{"a gap between", []string{`ETag: "a"`}, []string{`ETag: "a"`, "Content-Range: bytes 0-1/10"}, Span{0, 2}, []Span{{0, 2}, {4, 5}}},
		{"overlap", []string{`ETag: "a"`}, []string{`ETag: "a"`, "Content-Range: bytes 2-5/10"}, Span{2, 4}, []Span{{2, 7}}},
		{"less than announced", []string{`ETag: "a"`}, []string{`ETag: "a"`, "Content-Range: bytes 0-3/10"}, Span{0, 1}, []Span{{0, 1}, {4, 5}}},
		{"strong date", []string{yesterday}, []string{yesterday, "Content-Range: bytes 9-9/10"}, rest, []Span{{4, 6}}},
		{"another ETag", []string{`ETag: "a"`}, []string{`ETag: "b"`, "Content-Range: bytes 9-9/10"}, rest, nil},
		{"weak ETag", []string{`ETag: W/"a"`}, []string{`ETag: W/"a"`, "Content-Range: bytes 9-9/10"}, rest, nil},
		{"no validators", nil, []string{"Content-Range: bytes 9-9/10"}, rest, nil},
		{"validator lost", []string{`ETag: "a"`, yesterday}, []string{yesterday, "Content-Range: bytes 9-9/10"}, rest, nil},
		{"another total", []string{`ETag: "a"`}, []string{`ETag: "a"`, "Content-Range: bytes 9-9/11"}, rest, nil},
		{"total not known", []string{`ETag: "a"`}, []string{`ETag: "a"`, "Content-Range: bytes 9-9/*"}, rest, nil},
		{"other bytes than announced", []string{`ETag: "a"`}, []string{`ETag: "a"`, "Content-Range: bytes 9-9/10"}, Span{0, 1}, nil},
		{"no Content-Range", []string{`ETag: "a"`}, []string{`ETag: "a"`}, rest, nil},
	}
	for _, c := range cases {
		m := part(t, c.stored...)
		joined, ok := Combine(m, fields(append(c.got, "New: 1")...), c.span, after(5), after(5))
		if ok != (c.want != nil) {
			t.Errorf("%s: %v", c.name, ok)
			continue
		}
		if ok && (!reflect.DeepEqual(joined.Spans, c.want) || joined.Status != 206 || joined.Header.Get("New") != "1" || joined.Header["Content-Range"] != nil) {
			t.Errorf("%s: %+v", c.name, joined)
		}
	}
}

func TestCombiningToAWhole(t *testing.T) {
	m := part(t, `ETag: "a"`)
	m, ok := Combine(m, fields(`ETag: "a"`, "Content-Range: bytes 9-9/10"), Span{9, 1}, after(1), after(1))
	if !ok {
		t.Fatal("refused")
	}
	m, ok = Combine(m, fields(`ETag: "a"`, "Content-Range: bytes 0-3/10"), Span{0, 4}, after(2), after(2))
	if !ok || m.Status != 200 || m.Spans != nil || m.Length != 10 || m.Total != 10 {
		t.Fatalf("%v %+v", ok, m)
	}
	if a := Evaluate(get(), m); a.Status != 200 || a.Missing != nil {
		t.Errorf("%+v", a)
	}
	if _, ok := Combine(m, fields(`ETag: "a"`, "Content-Range: bytes 0-3/10"), Span{0, 4}, after(2), after(2)); ok {
		t.Error("a whole response is combined with a part")
	}
}

func TestComplete(t *testing.T) {
	p := policy(t)
	chunked := admit(t, p, get(), 200, "Cache-Control: max-age=60")
	if m, ok := Complete(chunked, 7); !ok || m.Length != 7 || m.Total != 7 || chunked.Length != -1 {
		t.Errorf("%v %+v", ok, m)
	}
	sized := admit(t, p, get(), 200, "Cache-Control: max-age=60", "Content-Length: 7")
	if _, ok := Complete(sized, 6); ok {
		t.Error("6 of 7 bytes are complete")
	}
	if m, ok := Complete(sized, 7); !ok || m != sized {
		t.Errorf("%v %+v", ok, m)
	}
	if _, ok := Complete(admit(t, p, get("Range: bytes=4-8"), 206, "Cache-Control: max-age=60", "Content-Range: bytes 4-8/10"), 4); ok {
		t.Error("a chunked 206 shorter than its Content-Range is complete")
	}
}

func drawSpans(t *rapid.T, total int64) []Span {
	var spans []Span
	for range rapid.IntRange(0, 6).Draw(t, "spans") {
		off := rapid.Int64Range(0, total-1).Draw(t, "off")
		spans = append(spans, Span{off, rapid.Int64Range(1, total-off).Draw(t, "len")})
	}
	return spans
}

func TestJoinedSpansHoldTheSameBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const total = 40
		spans := drawSpans(t, total)
		joined := joinSpans(spans)
		checkSpans(t, joined, total)
		for i := 1; i < len(joined); i++ {
			if joined[i].Off == joined[i-1].End() {
				t.Fatalf("%v touch", joined)
			}
		}
		if bytesOf(spans) != bytesOf(joined) {
			t.Fatalf("%v became %v", spans, joined)
		}
	})
}

// bytesOf is the set of the first 64 bytes that spans hold.
func bytesOf(spans []Span) (set uint64) {
	for _, s := range spans {
		for i := s.Off; i < s.End(); i++ {
			set |= 1 << i
		}
	}
	return set
}

func TestPlansCoverWhatIsWanted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const total = 40
		have := joinSpans(drawSpans(t, total))
		off := rapid.Int64Range(0, total).Draw(t, "off")
		want := Span{off, rapid.Int64Range(0, total-off).Draw(t, "len")}
		at, stored := want.Off, bytesOf(have)
		for _, p := range Plan(have, want) {
			if p.Span.Off != at || p.Span.Len <= 0 {
				t.Fatalf("%v does not start at %d", p, at)
			}
			at = p.Span.End()
			for i := p.Span.Off; i < at; i++ {
				if p.FromStore != (stored>>i&1 == 1) {
					t.Fatalf("byte %d: %+v of %v", i, p, have)
				}
				if p.FromStore && bodyOffset(have, i) != p.BodyOff+i-p.Span.Off {
					t.Fatalf("byte %d is not at %d", i, p.BodyOff)
				}
			}
		}
		if at != want.End() {
			t.Fatalf("the plan ends at %d of %v", at, want)
		}
	})
}

// bodyOffset counts the stored bytes before byte i.
func bodyOffset(have []Span, i int64) (n int64) {
	for _, s := range have {
		n += max(0, min(s.End(), i)-s.Off)
	}
	return n
}

func FuzzContentRange(f *testing.F) {
	for _, s := range []string{"bytes 0-4/10", "bytes 0-4/*", "bytes */10", "bytes 4-0/10", "bytes 0-99999999999999999999/99999999999999999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if span, total, ok := ParseContentRange(s); ok {
			checkSpans(t, []Span{span}, total)
		}
	})
}

func TestParseContentRange(t *testing.T) {
	for s, want := range map[string]Span{"bytes 0-4/10": {0, 5}, "BYTES 4-9/10": {4, 6}, "bytes 9-9/10": {9, 1}} {
		if span, total, ok := ParseContentRange(s); !ok || span != want || total != 10 {
			t.Errorf("%s: %v %d %v", s, span, total, ok)
		}
	}
	for _, s := range []string{
		"", "bytes", "bytes 0-4", "bytes 0-4/*", "bytes */10", "bytes 4-3/10", "bytes 0-10/10", "bytes 0-4/4", "bytes=0-4/10",
		"items 0-4/10", "bytes -4/10", "bytes 0-/10", "bytes 0-4/x", "bytes 0-4/10, bytes 5-9/10", "bytes +0-4/10",
	} {
		if span, total, ok := ParseContentRange(s); ok {
			t.Errorf("%q: %v of %d", s, span, total)
		}
	}
}
