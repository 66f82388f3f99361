package accesslog

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func sample() *Entry {
	return &Entry{
		Time:        time.UnixMilli(1763634000123).UTC(),
		Duration:    125 * time.Millisecond,
		TTFB:        12500 * time.Microsecond,
		Client:      netip.MustParseAddr("10.0.0.5"),
		Method:      "GET",
		URL:         "http://example.com/",
		Proto:       "HTTP/1.1",
		Result:      Result{Tag: TagMiss},
		Status:      200,
		BytesOut:    5123,
		Hier:        HierDirect,
		Peer:        "93.184.216.34",
		ContentType: "text/html; charset=utf-8",
		Referer:     "http://u:p@r.example/x",
		UserAgent:   "curl/8.0",
		RequestID:   37,
		CacheStatus: `n1; fwd=uri-miss`,
	}
}

func TestFormats(t *testing.T) {
	tests := []struct {
		name string
		f    Format
		edit func(*Entry)
		want string
	}{
		{"squid", FormatSquid, nil,
			`1763634000.123    125 10.0.0.5 TCP_MISS/200 5123 GET http://example.com/ - HIER_DIRECT/93.184.216.34 text/html`},
		{"nothing understood", FormatSquid, func(e *Entry) {
			*e = Entry{Time: e.Time, Client: e.Client, Status: 400, Result: Result{None: true}}
		}, `1763634000.123      0 10.0.0.5 NONE_NONE/400 0 - error:invalid-request - HIER_NONE/- -`},
		{"nothing sent", FormatSquid, func(e *Entry) { e.Status, e.BytesOut, e.Result.Aborted = 0, 0, true },
			`1763634000.123    125 10.0.0.5 TCP_MISS_ABORTED/000 0 GET http://example.com/ - HIER_DIRECT/93.184.216.34 text/html`},
		{"tunnel", FormatSquid, func(e *Entry) {
			e.Method, e.URL, e.ContentType = "CONNECT", "u:p@example.com:443", ""
			e.Result, e.User, e.Duration = Result{Tag: TagTunnel}, "alice smith%", time.Hour
		}, `1763634000.123 3600000 10.0.0.5 TCP_TUNNEL/200 5123 CONNECT example.com:443 alice%20smith%25 HIER_DIRECT/93.184.216.34 -`},
		{"userinfo", FormatSquid, func(e *Entry) { e.URL = "https://user:p@ss@[::1]:81/a@b?c=d@e#@" },
			`1763634000.123    125 10.0.0.5 TCP_MISS/200 5123 GET https://[::1]:81/a@b?c=d@e#@ - HIER_DIRECT/93.184.216.34 text/html`},
		{"mapped client", FormatSquid, func(e *Entry) { e.Client = netip.MustParseAddr("::ffff:10.0.0.6") },
			`1763634000.123    125 10.0.0.6 TCP_MISS/200 5123 GET http://example.com/ - HIER_DIRECT/93.184.216.34 text/html`},
		{"hostile", FormatSquid, func(e *Entry) { e.URL = "http://e/\r\n\x1b[31m \"\\é" },
			`1763634000.123    125 10.0.0.5 TCP_MISS/200 5123 GET http://e/%0D%0A%1B[31m%20%22%5C%C3%A9 - HIER_DIRECT/93.184.216.34 text/html`},
		{"common", FormatCommon, func(e *Entry) { e.User = "bob" },
			`10.0.0.5 - bob [20/Nov/2025:10:20:00 +0000] "GET http://example.com/ HTTP/1.1" 200 5123 TCP_MISS:HIER_DIRECT`},
		{"combined", FormatCombined, func(e *Entry) { e.UserAgent = "Mozilla \"5\"\n" },
			`10.0.0.5 - - [20/Nov/2025:10:20:00 +0000] "GET http://example.com/ HTTP/1.1" 200 5123 "http://r.example/x" "Mozilla %225%22%0A" TCP_MISS:HIER_DIRECT`},
		{"json", FormatJSON, func(e *Entry) { e.URL = "http://u@e/\"\u009b\xff😀" },
			`{"ts":1763634000.123,"dur_ms":125.000,"client":"10.0.0.5","result":"TCP_MISS","status":200,"bytes":5123,"method":"GET","url":"http://e/\"\u009B\uFFFD\uD83D\uDE00","user":"","hier":"HIER_DIRECT","peer":"93.184.216.34","ctype":"text/html; charset=utf-8","node":"n1","req_id":"11","ttfb_ms":12.500,"cache_status":"n1; fwd=uri-miss","proxy_error":""}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := sample()
			if tt.edit != nil {
				tt.edit(e)
			}
			got := string(Append([]byte("before\n"), tt.f, e, "n1"))
			if want := "before\n" + tt.want + "\n"; got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func TestResultNames(t *testing.T) {
	for want, r := range map[string]Result{
		"TCP_MEM_HIT":            {Tag: TagMemHit},
		"TCP_CF_MISS_ABORTED":    {Tag: TagMiss, Collapsed: true, Aborted: true},
		"TCP_MISS_TIMEDOUT":      {Tag: TagMiss, TimedOut: true},
		"NONE_NONE":              {None: true},
		"NONE_NONE_ABORTED":      {Aborted: true},
		"NONE_REDIRECT":          {Tag: TagRedirect, None: true},
		"TCP_TUNNEL":             {Tag: TagTunnel},
		"TCP_REFRESH_UNMODIFIED": {Tag: TagRefreshUnmodified},
	} {
		if got := r.String(); got != want {
			t.Errorf("%+v = %s, want %s", r, got, want)
		}
	}
	if got := (Result{Tag: 200}).String(); got != "NONE_NONE" {
		t.Errorf("unknown tag = %s", got)
	}
	if got := Hier(200).String(); got != "HIER_NONE" {
		t.Errorf("unknown hierarchy = %s", got)
	}
}

func TestHitsAreThoseOfSquid(t *testing.T) {
	for tag := range Tag(len(tagNames)) {
		name := tag.String()
		want := strings.HasSuffix(name, "HIT") || tag == TagRefreshUnmodified || tag == TagRefreshFailOld
		if tag.Hit() != want {
			t.Errorf("%s.Hit() = %v", name, tag.Hit())
		}
	}
}

func TestFormatNames(t *testing.T) {
	for want := range Format(len(formatNames)) {
		text, err := want.MarshalText()
		var got Format
		if err != nil || got.UnmarshalText(text) != nil || got != want {
			t.Errorf("%s came back as %s (%v)", want, got, err)
		}
	}
	if err := new(Format).UnmarshalText([]byte("apache")); err == nil || !strings.Contains(err.Error(), "combined") {
		t.Errorf("unknown format: %v", err)
	}
}

// FuzzAppend holds for any entry: one line, plain ASCII, no credentials, the
// right number of fields.
func FuzzAppend(f *testing.F) {
	f.Add("http://u:secret@e/\r\n", "agent \"x\"", "u ser", "text/html;x", "peer", "GET")
	f.Add("", "", "", "", "", "")
	f.Add("//a@b\\c", "\x00\x1b[0m", "\xff\xfe", " ; ", "\u2028", "G T")
	f.Fuzz(func(t *testing.T, url, agent, user, ctype, peer, method string) {
		e := sample()
		e.URL, e.UserAgent, e.User, e.ContentType, e.Peer, e.Method = url, agent, user, ctype, peer, method
		for format := range Format(len(formatNames)) {
			line := Append(nil, format, e, "n1")
			checkLine(t, format, line)
		}
	})
}

func checkLine(t *testing.T, format Format, line []byte) {
	t.Helper()
	if strings.Count(string(line), "\n") != 1 || line[len(line)-1] != '\n' {
		t.Fatalf("%s: not one line: %q", format, line)
	}
	for _, c := range line[:len(line)-1] {
		if c < ' ' || c >= utf8.RuneSelf-1 {
			t.Fatalf("%s: byte %#x in %q", format, c, line)
		}
	}
	switch format {
	case FormatSquid:
		if n := len(strings.Fields(string(line))); n != 10 {
			t.Fatalf("%d fields: %q", n, line)
		}
	case FormatJSON:
		if !json.Valid(line) {
			t.Fatalf("not JSON: %q", line)
		}
	case FormatCommon:
		if n := strings.Count(string(line), `"`); n != 2 {
			t.Fatalf("%d quotes: %q", n, line)
		}
	case FormatCombined:
		if n := strings.Count(string(line), `"`); n != 6 {
			t.Fatalf("%d quotes: %q", n, line)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	for format := range Format(len(formatNames)) {
		b.Run(format.String(), func(b *testing.B) {
			e, buf := sample(), make([]byte, 0, 1024)
			b.ReportAllocs()
			for b.Loop() {
				buf = Append(buf[:0], format, e, "n1")
			}
		})
	}
}
