package bench

import (
	"strings"
	"testing"
)

func TestParseHead(t *testing.T) {
	for _, tt := range []struct {
		text   string
		status int // 0: an error
		length int64
		closes bool
	}{
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 200, 5, false},
		{"HTTP/1.1 200 \r\ncontent-length:5\r\n\r\n", 200, 5, false},
		{"HTTP/1.1 200\r\n\r\n", 200, -1, false},
		{"HTTP/1.0 404 Not Found\r\n\r\n", 404, -1, true},
		{"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", 200, -1, false},
		{"HTTP/1.1 200 OK\r\nConnection: x, Close\r\n\r\n", 200, -1, true},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", 200, 5, false},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200, -1, false},
		{"HTTP/1.1 200 OK\r\nX-A:\r\n\r\n", 200, -1, false},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 0, 0, false},
		{"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n", 0, 0, false},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n", 0, 0, false},
		{"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n", 0, 0, false},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 0, 0, false},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 0, 0, false},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 0, 0, false},
		{"HTTP/1.1 200 OK\nContent-Length: 5\n\n", 0, 0, false},
		{"HTTP/1.1 200 OK\r\nX: a\n b\r\n\r\n", 0, 0, false},
		{"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", 0, 0, false},
		{"HTTP/1.1 200 OK\r\nX : a\r\n\r\n", 0, 0, false},
		{"HTTP/1.1 200 OK\r\n: a\r\n\r\n", 0, 0, false},
		{"HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n", 0, 0, false},
		{"HTTP/1.1 200 OK\r\n0\n", 0, 0, false},
		{"HTTP/1.1 099 OK\r\n\r\n", 0, 0, false},
		{"HTTP/1.1 20x OK\r\n\r\n", 0, 0, false},
		{"HTTP/2.0 200 OK\r\n\r\n", 0, 0, false},
		{"ICY 200 OK\r\n\r\n", 0, 0, false},
	} {
		var h head
		n, err := parseHead([]byte(tt.text+"body"), &h)
		if tt.status == 0 {
			if err == nil {
				t.Errorf("%q passes", tt.text)
			}
			continue
		}
		if err != nil || n != len(tt.text) || h.status != tt.status || h.length != tt.length || h.closes != tt.closes {
			t.Errorf("%q: %d %v %+v", tt.text, n, err, h)
		}
		for i := range len(tt.text) - 1 {
			if n, err := parseHead([]byte(tt.text[:i]), &h); n != 0 || err != nil {
				t.Errorf("%q: %d %v", tt.text[:i], n, err)
			}
		}
	}
}

func TestReadClaim(t *testing.T) {
	for _, tt := range []struct {
		fields  string
		class   Class
		node    string
		fetched bool
	}{
		{"Cache-Status: cachenode-n2; hit; ttl=376", Hit, "cachenode-n2", false},
		{"Cache-Status: n2; hit; detail=disk", DiskHit, "n2", false},
		{"Cache-Status: n2; hit; ttl=9; detail=revalidated", Revalidated, "n2", true},
		{"Cache-Status: n2; fwd=stale; fwd-status=304", Revalidated, "n2", true},
		{"Cache-Status: n2; fwd=uri-miss; fwd-status=200; stored", Miss, "n2", true},
		{"Cache-Status: n2; fwd=uri-miss; collapsed", Miss, "n2", false},
		{"Cache-Status: n1; hit; ttl=9, n2; fwd=uri-miss", SiblingHit, "n2", false},
		{"Cache-Status: n1; hit; ttl=9\r\nCache-Status: n2; fwd=uri-miss", SiblingHit, "n2", false},
		{"Cache-Status: n1; fwd=uri-miss, n2; hit", Hit, "n2", false},
		{`Cache-Status: "a, b; hit"; fwd=uri-miss; key="x; hit, y"`, Miss, "a, b; hit", true},
		{`Cache-Status: n2; fwd=miss; detail="a \" , z; hit"`, Miss, "n2", true},
		{"Cache-Status: n2; hit=?0; fwd=bypass", Miss, "n2", true},
		{"Cache-Status: n2", Direct, "n2", false},
		{"X-Cache: HIT from n1", Hit, "n1", false},
		{"X-Cache: MISS from n1", Miss, "n1", true},
		{"X-Cache: HIT from n1, MISS from n2", SiblingHit, "n2", false},
		{"X-Cache: TCP_MEM_HIT", Hit, "", false},
		{"X-Cache-Status: REVALIDATED", Revalidated, "", true},
		{"X-Cache-Status: EXPIRED", Miss, "", true},
		{"X-Cache-Status: STALE", Hit, "", false},
		{"Server: x", Direct, "", false},
	} {
		var h head
		if _, err := parseHead([]byte("HTTP/1.1 200 OK\r\n"+tt.fields+"\r\n\r\n"), &h); err != nil {
			t.Fatal(err)
		}
		c := readClaim(&h)
		if c.class != tt.class || string(c.node) != tt.node || c.fetched != tt.fetched {
			t.Errorf("%s: %s %q %v", tt.fields, c.class, c.node, c.fetched)
		}
	}
}

func FuzzHead(f *testing.F) {
	f.Add("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nCache-Status: a; hit, b; fwd=miss\r\nBench-Object: id=a/1; v=1; n=5; s=9; validated\r\nX-Cache: HIT from x\r\nAge: 3\r\n\r\n")
	f.Add("HTTP/1.0 304 X\r\nTransfer-Encoding: chunked\r\nX-Cache-Status: HIT\r\nCache-Status: \"\\\"; key=\"\r\n\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		var h head
		n, err := parseHead([]byte(text), &h)
		if err != nil || n == 0 {
			return
		}
		if n > len(text) || h.status < 100 || h.status > 999 || h.length < -1 || !strings.HasSuffix(text[:n], "\r\n") {
			t.Fatalf("%d of %q: %+v", n, text, h)
		}
		if h.chunked && h.length >= 0 {
			t.Fatalf("two framings: %q", text)
		}
		if c := readClaim(&h); c.class == "" {
			t.Fatalf("no class: %q", text)
		}
		if s, ok := parseStamp(h.object); ok && s.length < 0 {
			t.Fatalf("%+v", s)
		}
	})
}

func TestLimits(t *testing.T) {
	for text, want := range map[string]limits{
		"":                       {},
		"public":                 {},
		"max-age=60":             {fresh: 60e9, known: true},
		"Max-Age=\"60\", public": {fresh: 60e9, known: true},
		"s-maxage=10, max-age=60, stale-while-revalidate=30": {fresh: 10e9, stale: 30e9, known: true, behind: true},
		"max-age=5, stale-if-error=7":                        {fresh: 5e9, stale: 7e9, known: true},
		"no-store":                                           {known: true, neverStore: true},
		"max-age=60, no-cache":                               {known: true},
		"max-age=x":                                          {},
	} {
		if got := readLimits(text); got != want {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
}

func TestValidateTellsEverything(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Fatal(err)
	}
	c := DefaultConfig()
	c.Proxy, c.Connections, c.Duration, c.Rate, c.Timeout = "nowhere", 0, 0, -1, 0
	c.ClientIPs, c.URLs, c.Sizes, c.HitRatio, c.Warm = []string{"127.0.0.9-127.0.0.2"}, "zipf:x", "big", 2, "soon"
	c.HeadShare, c.RangeShare, c.Vary, c.RunID, c.TTFB = 0.6, 0.6, "a b", "x/y", -1
	err := c.Validate()
	if err == nil {
		t.Fatal("passes")
	}
	for _, flag := range []string{"proxy", "connections", "duration", "rate", "timeout", "client-ips", "urls", "sizes", "hit-ratio", "warm", "head, ranges", "cache-control, vary", "run-id", "ttfb"} {
		if !strings.Contains(err.Error(), "--"+flag) {
			t.Errorf("nothing of --%s in\n%v", flag, err)
		}
	}
}

func TestSourceAddresses(t *testing.T) {
	all, err := sourceAddresses([]string{"127.0.0.2-127.0.0.9", "::1"})
	if err != nil || len(all) != 9 || all[0] != "127.0.0.2" || all[7] != "127.0.0.9" {
		t.Errorf("%v %v", all, err)
	}
	for _, bad := range []string{"x", "127.0.0.1-::1", "10.0.0.0-11.0.0.0", "255.255.255.255-0.0.0.0"} {
		if _, err := sourceAddresses([]string{bad}); err == nil {
			t.Errorf("%s passes", bad)
		}
	}
}
