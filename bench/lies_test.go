package bench

import (
	"bytes"
	"context"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// small is a run through the scripted proxy that asks for each of a few objects
// several times.
func small() Config {
	c := DefaultConfig()
	c.Proxy, c.RunID, c.Connections, c.Requests, c.Duration = proxyAddr, "t", 1, 60, 0
	c.URLs, c.Objects, c.Sizes, c.Timeout = "uniform", 10, "fixed:40KiB", 5*time.Second
	return c
}

// through runs c through the proxy that script spoils, in virtual time.
func through(t *testing.T, c Config, script func(*badProxy, *answer)) (res *Result) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := &network{}
		p := startBadProxy(n, script)
		defer p.close()
		res = runIn(t, n, c)
	})
	return res
}

func runIn(t *testing.T, n *network, c Config) *Result {
	t.Helper()
	res, err := runWith(context.Background(), c, nil, surroundings{dial: n.dial, listen: n.listen, sleep: sleepRuntime})
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func failures(r *Result) map[FailureClass]int64 {
	m := map[FailureClass]int64{}
	for _, f := range r.Failures {
		m[f.Class] = f.Count
	}
	return m
}

// An honest cache has no failures, in every kind of workload.
func TestHonestProxy(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"plain":       func(*Config) {},
		"parallel":    func(c *Config) { c.Connections = 8 },
		"tunnel":      func(c *Config) { c.Tunnel = true },
		"new":         func(c *Config) { c.NewConnections = true },
		"ranges":      func(c *Config) { c.RangeShare = 1 },
		"conditional": func(c *Config) { c.ConditionShare = 0.5 },
		"head":        func(c *Config) { c.HeadShare = 0.5 },
		"post":        func(c *Config) { c.PostShare = 0.3 },
		"vary":        func(c *Config) { c.Vary = "accept-language=en,it,de" },
		"slow":        func(c *Config) { c.SlowReaders, c.SlowRate = 1, 64<<10 },
		"open":        func(c *Config) { c.Rate = 20 },
		"empty":       func(c *Config) { c.Sizes = "0" },
		"tiny":        func(c *Config) { c.Sizes = "uniform:0-50" },
		"large":       func(c *Config) { c.Sizes, c.Requests = "1MiB", 20 },
		"unique":      func(c *Config) { c.HitRatio = 0.5 },
		"changing":    func(c *Config) { c.ChangeEvery, c.CacheControl, c.Rate = 10*time.Second, "max-age=60", 2 },
		"warm":        func(c *Config) { c.Warm = "all" },
		"direct":      func(c *Config) { c.Proxy = "" },
		"no etag":     func(c *Config) { c.NoETag = true },
		"not stored":  func(c *Config) { c.CacheControl = "no-store" },
	} {
		t.Run(name, func(t *testing.T) {
			c := small()
			change(&c)
			r := through(t, c, nil)
			if len(r.Failures) > 0 || r.Errors() > 0 || r.Total.Requests != c.Requests {
				t.Errorf("%d requests, %d errors, %+v", r.Total.Requests, r.Errors(), r.Failures)
			}
			if c.Proxy != "" && !c.Tunnel && r.Origin.Requests != r.Origin.Claimed {
				t.Errorf("the origin counted %d, the answers admit %d", r.Origin.Requests, r.Origin.Claimed)
			}
		})
	}
}

// every spoils one request in ten.
func every(spoil func(*answer)) func(*badProxy, *answer) {
	return func(_ *badProxy, a *answer) {
		if a.n%10 == 0 {
			spoil(a)
		}
	}
}

// Every lie is caught, and called by its name.
func TestLies(t *testing.T) {
	for _, tt := range []struct {
		name   string
		want   FailureClass
		count  int64 // 0: at least one
		config func(*Config)
		script func(*badProxy, *answer)
	}{
		{"drops", ConnectionLost, 6, nil, every(func(a *answer) { a.raw = " " })},
		{"does not answer", TimedOut, 6, nil, every(func(a *answer) { a.wait = time.Minute })},
		{"stalls in the body", TimedOut, 6, nil, every(func(a *answer) { a.stall = time.Minute })},
		{"truncates", Truncated, 6, nil, every(func(a *answer) { a.cut = 5000 })},
		{"truncates within chunks", Truncated, 6, nil, every(func(a *answer) { a.length, a.cut = -1, 5000 })},
		{"closes where the length is not known", WrongLength, 6, nil, every(func(a *answer) { a.length, a.cut = -2, 5000 })},
		{"makes a truncated body whole", WrongLength, 6, nil, every(func(a *answer) { a.body = a.body[:5000]; a.length = 5000 })},
		{"makes a truncated chunked body whole", WrongLength, 6, nil, every(func(a *answer) { a.body = a.body[:5000]; a.length = -1 })},
		{"adds bytes", WrongLength, 6, nil, every(func(a *answer) { a.body = append(a.body, 'x'); a.length = -1 })},
		{"flips a byte", Corrupt, 6, nil, every(func(a *answer) { a.body[33333] ^= 1 })},
		{"flips the last byte", Corrupt, 6, nil, every(func(a *answer) { a.body[len(a.body)-1] ^= 1 })},
		{"repeats a block", Corrupt, 6, nil, every(func(a *answer) { copy(a.body[32<<10:], a.body[16<<10:24<<10]) })},
		{"loses a block", Corrupt, 6, nil, every(func(a *answer) {
			a.body = append(a.body[:8192], a.body[12288:]...)
			a.body = append(a.body, a.body[:4096]...)
		})},
		{"replaces an answer by another URL's", Foreign, 6, nil, swap(true)},
		{"replaces a body by another URL's", Foreign, 6, nil, swap(false)},
		{"makes up an answer", Foreign, 6, nil, every(func(a *answer) { a.header.Del("Bench-Object") })},
		{"answers twice", Surplus, 6, nil, every(func(a *answer) { a.twice = true })},
		{"sends bytes behind", Surplus, 6, nil, every(func(a *answer) { a.behind = "\r\n" })},
		{"answers 500", BadStatus, 6, nil, every(func(a *answer) { a.status = 500 })},
		{"is not HTTP", Malformed, 6, nil, every(func(a *answer) { a.raw = "SSH-2.0-x\r\n\r\n" })},
		{"ends lines with LF", Malformed, 6, nil, every(func(a *answer) { a.raw = "HTTP/1.1 200 OK\nContent-Length: 0\n\n" })},
		{"frames twice", Malformed, 6, nil, every(func(a *answer) { a.header.Set("Transfer-Encoding", "chunked") })},
		{"claims hits", StatusLies, 0, nil, func(_ *badProxy, a *answer) { a.claim(true) }},
		{"claims misses", StatusLies, 0, nil, func(_ *badProxy, a *answer) { a.claim(false) }},
		{"is older than allowed, by Age", Stale, 6, nil, every(func(a *answer) { a.header.Set("Age", "3700") })},
		{"is older than allowed, by Date", Stale, 6, nil, every(func(a *answer) {
			a.header.Set("Date", time.Now().Add(-2*time.Hour).UTC().Format(http.TimeFormat))
		})},
		{"stores what must not be", Stale, 0, func(c *Config) { c.CacheControl = "no-store" }, func(p *badProxy, _ *answer) { p.keep = true }},
		{"serves old versions", OldVersion, 0, oldVersions, func(p *badProxy, a *answer) {
			p.keep = true
			a.header.Del("Age")
			a.header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
		}},
		{"mixes versions", MixedVersions, 6, nil, every(func(a *answer) {
			a.header.Set("Bench-Object", strings.Replace(a.header.Get("Bench-Object"), "v=0", "v=1", 1))
		})},
		{"serves another range", WrongRange, 6, func(c *Config) { c.RangeShare = 1 }, every(func(a *answer) { a.header.Set("Content-Range", "bytes 0-5/40960") })},
		{"serves a shifted range", Corrupt, 6, func(c *Config) { c.RangeShare = 1 }, every(func(a *answer) { a.body[0]++ })},
		{"answers 304 unasked", WrongValidation, 6, nil, every(func(a *answer) { a.status = 304 })},
		{"answers 304 of another version", WrongValidation, 6, func(c *Config) { c.ConditionShare = 1 }, every(func(a *answer) { a.header.Set("ETag", `"other"`) })},
		{"mixes variants up", Foreign, 0, func(c *Config) { c.Vary = "accept-language=en,it" }, func(p *badProxy, a *answer) {
			if a.n%10 == 0 {
				other := a.req.Clone(context.Background())
				other.Header.Set("Accept-Language", map[string]string{"en": "it", "it": "en"}[a.req.Header.Get("Accept-Language")])
				s := p.fetch(other)
				a.header, a.body = s.header, s.body
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := small()
			if tt.config != nil {
				tt.config(&c)
			}
			// The first request is the preflight: let the tenth of the run be the first bad one.
			r := through(t, c, func(p *badProxy, a *answer) {
				a.n--
				if a.n > 0 || tt.want == StatusLies {
					tt.script(p, a)
				}
			})
			got := failures(r)
			if len(got) != 1 || got[tt.want] == 0 || tt.count > 0 && got[tt.want] != tt.count {
				t.Fatalf("want %d of %s, got %+v", tt.count, tt.want, r.Failures)
			}
			if ex := r.Failures[0].Example; ex == "" || tt.want != StatusLies && !strings.Contains(ex, "http://127.0.0.1:8080/o/t/") {
				t.Errorf("example %q", ex)
			}
			if tt.want != StatusLies && r.Errors() != got[tt.want] {
				t.Errorf("%d errors, %d failures", r.Errors(), got[tt.want])
			}
			t.Log(r.Failures[0].Example)
		})
	}
}

func oldVersions(c *Config) {
	c.ChangeEvery, c.CacheControl, c.Rate, c.Requests = 10*time.Second, "max-age=1", 1, 60
	c.Objects = 1
}

// swap answers with what was sent for another URL before: all of it, or the body.
func swap(fields bool) func(*badProxy, *answer) {
	before := map[string]*answer{}
	return func(_ *badProxy, a *answer) {
		good := *a
		good.body = bytes.Clone(a.body)
		if a.n%10 == 0 {
			for url, other := range before {
				if url != a.req.URL.Path {
					a.body = other.body
					if fields {
						a.header.Set("Bench-Object", other.header.Get("Bench-Object"))
					}
					break
				}
			}
			return
		}
		before[a.req.URL.Path] = &good
	}
}

// Trouble with the connection itself.
func TestTunnelTrouble(t *testing.T) {
	c := small()
	c.Tunnel, c.NewConnections = true, true
	synctest.Test(t, func(t *testing.T) {
		n := &network{}
		p := startBadProxy(n, nil)
		defer p.close()
		p.tunnel = func(n int) string {
			if n%10 == 5 {
				return "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nProxy-Status: bad; error=http_request_denied\r\n\r\n"
			}
			return ""
		}
		r := runIn(t, n, c)
		if got := failures(r); len(got) != 1 || got[TunnelRefused] != 6 || !strings.Contains(r.Failures[0].Example, "http_request_denied") {
			t.Errorf("%+v", r.Failures)
		}
	})
}

func TestProxyGoesAway(t *testing.T) {
	c := small()
	c.Rate = 10
	synctest.Test(t, func(t *testing.T) {
		n := &network{}
		p := startBadProxy(n, nil)
		time.AfterFunc(3*time.Second, p.close)
		r := runIn(t, n, c)
		got := failures(r)
		if got[ConnectFailed] < 20 || got[ConnectFailed]+got[ConnectionLost] != r.Errors() || r.Errors() > 31 {
			t.Errorf("%+v", r.Failures)
		}
		time.Sleep(time.Minute)
		p.close()
	})
}

// A kept connection that was closed while idle is nobody's failure.
func TestIdleConnectionsMayEnd(t *testing.T) {
	c := small()
	c.Rate, c.Requests = 0.1, 10
	synctest.Test(t, func(t *testing.T) {
		n := &network{}
		p := startBadProxy(n, nil)
		defer p.close()
		stop := make(chan struct{})
		defer close(stop)
		p.tasks.Go(func() {
			for tick := time.Tick(3700 * time.Millisecond); ; {
				select {
				case <-stop:
					return
				case <-tick:
				}
				p.mu.Lock()
				for c := range p.conns {
					c.Close()
				}
				p.mu.Unlock()
			}
		})
		if r := runIn(t, n, c); len(r.Failures) > 0 {
			t.Errorf("%+v", r.Failures)
		}
	})
}

// What several nodes answer is told apart by name.
func TestNodesAndClasses(t *testing.T) {
	c := small()
	r := through(t, c, func(_ *badProxy, a *answer) {
		if a.n == 1 {
			return
		}
		name := "n" + strconv.Itoa(a.n%3)
		switch {
		case !a.hit:
			a.header.Set("Cache-Status", name+"; fwd=uri-miss; stored")
		case a.n%4 == 0:
			a.header.Set("Cache-Status", "n9; hit; ttl=3, "+name+"; fwd=uri-miss; fwd-status=200")
		case a.n%4 == 1:
			a.header.Set("Cache-Status", name+"; hit; detail=disk")
		default:
			a.header.Set("Cache-Status", name+"; hit")
		}
	})
	if len(r.Failures) > 0 || len(r.Nodes) != 3 || r.Nodes[0].Node != "n0" {
		t.Fatalf("%+v %+v", r.Failures, r.Nodes)
	}
	var sum, hits int64
	for _, n := range r.Nodes {
		sum, hits = sum+n.Requests, hits+n.Hits
	}
	if sum != c.Requests || hits != r.Hits() || r.Class(SiblingHit).Requests == 0 || r.Class(DiskHit).Requests == 0 || r.Class(Miss).Requests != r.Origin.Requests {
		t.Errorf("%+v; %+v", r.Nodes, r.Origin)
	}
}
