package clustertest

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cachenode/cachenode/accesslog"
	"github.com/cachenode/cachenode/internal/units"
	"github.com/cachenode/cachenode/peer/sibling"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// settled waits until every node has measured the way to every other.
func (c *Cluster) settled() {
	c.t.Helper()
	Eventually(c.t, "round trips", func() bool {
		for _, n := range c.Nodes {
			known := 0
			for _, s := range n.Finder.Stats() {
				if s.RTT > 0 && s.Usable {
					known++
				}
			}
			if known < len(c.Nodes)-1 {
				return false
			}
		}
		return true
	})
}

// fill fetches count pages through a node.
func (c *Cluster) fill(node, count int) {
	c.t.Helper()
	for i := range count {
		path := fmt.Sprintf("/%d", i)
		c.MustGet(node, path, Text(path))
	}
}

func TestEachPageIsFetchedOnce(t *testing.T) {
	const pages = 50
	c := New(t, 4)
	for i := range c.Nodes {
		c.fill(i, pages)
		if n := c.Origin.Asked(""); n != pages {
			t.Fatalf("after node %d the origin was asked %d times", i, n)
		}
	}
	for _, e := range c.Nodes[2].Entries(t, pages) {
		if e.Hier != accesslog.HierSiblingHit || !strings.HasPrefix(e.Peer, "n") || e.Result.String() != "TCP_MISS" {
			t.Fatalf("log %v %q %s", e.Hier, e.Peer, e.Result)
		}
	}
	// What only came by is not stored.
	if n := c.Nodes[2].Store.Stats().MemoryObjects; n != 0 {
		t.Errorf("the third node stored %d", n)
	}
	for i := range c.Nodes {
		c.fill(i, pages)
	}
	if n := c.Origin.Asked(""); n != pages {
		t.Errorf("the origin was asked %d times", n)
	}
}

// What is asked for again is stored, unless it never or always is.
func TestStoreSiblingHits(t *testing.T) {
	for _, want := range []struct {
		how          string
		once, thrice int
	}{{"hot", 0, 1}, {"always", 1, 1}, {"never", 0, 0}} {
		c := New(t, 2, func(o *Config) { o.Proxy.Fill.StoreSiblingHits = want.how })
		c.fill(0, 1)
		stored := func() int { return c.Nodes[1].Store.Stats().MemoryObjects }
		c.fill(1, 1)
		if n := stored(); n != want.once {
			t.Errorf("%s: %d stored at once", want.how, n)
		}
		c.fill(1, 1)
		c.fill(1, 1)
		if n := stored(); n != want.thrice {
			t.Errorf("%s: %d stored later", want.how, n)
		}
	}
}

// The chain of caches, the age and the validators are there for the client.
func TestResponseOfASibling(t *testing.T) {
	c := New(t, 2)
	c.Origin.Page("/a", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=600")
		w.Header().Set("Age", "100")
		w.Header().Set("Etag", `"v1"`)
		io.WriteString(w, "page")
	})
	c.MustGet(0, "/a", "page")
	r := c.MustGet(1, "/a", "page")
	if got := strings.Join(r.Header.Values("Cache-Status"), ", "); got != "n1; hit; ttl=500, n2; fwd=uri-miss; fwd-status=200; detail=sibling-has-it" &&
		!strings.HasPrefix(got, "n1; fwd=uri-miss; fwd-status=200; stored, n1; hit") && !strings.HasPrefix(got, "n1; hit") {
		t.Errorf("Cache-Status %q", got)
	}
	if got := strings.Join(r.Header.Values("Via"), ", "); !strings.Contains(got, "1.1 n1 (cachenode)") || !strings.HasSuffix(got, "1.1 n2 (cachenode)") {
		t.Errorf("Via %q", got)
	}
	if r.Header.Get("Age") < "100" || r.Header.Get("Etag") != `"v1"` {
		t.Errorf("%v", r.Header)
	}
	r, err := c.Get(1, "/a", `If-None-Match: "v1"`)
	if err != nil || r.StatusCode != http.StatusNotModified {
		t.Errorf("%v %v", r.Status, err)
	}
	r, err = c.Get(1, "/a", "Range: bytes=1-2")
	if err != nil || r.StatusCode != http.StatusPartialContent || r.Text != "ag" {
		t.Errorf("%v %q %v", r.Status, r.Text, err)
	}
	if n := c.Origin.Asked("/a"); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// No client gets the wrong thing because a sibling had something.
func TestWhatSiblingsMustNotAnswer(t *testing.T) {
	c := New(t, 2)
	version := atomic.Int64{}
	c.Origin.Page("/vary", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=600")
		w.Header().Set("Vary", "Accept-Language")
		io.WriteString(w, "in "+r.Header.Get("Accept-Language"))
	})
	c.Origin.Page("/now", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=600")
		fmt.Fprintf(w, "version %d", version.Add(1))
	})
	c.Origin.Page("/mine", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "private, max-age=600")
		io.WriteString(w, "for "+r.Header.Get("Authorization"))
	})
	c.MustGet(0, "/vary", "in de", "Accept-Language: de")
	c.MustGet(1, "/vary", "in fr", "Accept-Language: fr")
	c.MustGet(1, "/vary", "in de", "Accept-Language: de")
	if n := c.Origin.Asked("/vary"); n != 2 {
		t.Errorf("two variants, asked %d times", n)
	}
	Eventually(t, "one false hit and one hit", func() bool { // counted when its body has ended
		got := c.Nodes[1].Finder.Stats()[0].Requests
		return got["false_hit"] == 1 && got["hit"] == 1
	})
	c.MustGet(0, "/now", "version 1")
	c.MustGet(1, "/now", "version 2", "Cache-Control: max-age=0")
	c.MustGet(1, "/now", "version 3", "Cache-Control: no-cache")
	c.MustGet(0, "/mine", "for a", "Authorization: a")
	c.MustGet(1, "/mine", "for b", "Authorization: b")
	r, err := c.Get(1, "/other", "Cache-Control: only-if-cached")
	if err != nil || r.StatusCode != http.StatusGatewayTimeout || c.Origin.Asked("/other") != 0 {
		t.Errorf("only-if-cached: %v %v, the origin was asked %d times", r.Status, err, c.Origin.Asked("/other"))
	}
}

// What a node knows to be outdated does not come back to its clients from a
// sibling that has not heard of it (RFC 9111 §4.4).
func TestR0021_OutdatedAtASibling(t *testing.T) {
	c := New(t, 2)
	version := atomic.Int64{}
	version.Store(1)
	page := func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			version.Add(1)
		}
		w.Header().Set("Cache-Control", "max-age=600")
		fmt.Fprintf(w, "version %d", version.Load())
	}
	c.Origin.Page("/posted", page)
	c.MustGet(0, "/posted", "version 1")
	c.MustGet(1, "/posted", "version 1")
	if n := c.Origin.Asked("/posted"); n != 1 {
		t.Fatalf("the origin was asked %d times", n)
	}
	if _, err := c.Do(1, http.MethodPost, "/posted"); err != nil {
		t.Fatal(err)
	}
	c.MustGet(1, "/posted", "version 2")
}

// Stale and uncacheable responses are no hits.
func TestFreshnessOfAnswers(t *testing.T) {
	c := New(t, 2)
	for path, cc := range map[string]string{"/stale": "max-age=0, stale-while-revalidate=600", "/no-store": "no-store"} {
		c.Origin.Page(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Cache-Control", cc)
			w.Header().Set("Etag", `"1"`)
			io.WriteString(w, "page")
		})
		c.MustGet(0, path, "page")
		c.MustGet(1, path, "page")
		if n := c.Origin.Asked(path); n != 2 {
			t.Errorf("%s: asked %d times", path, n)
		}
	}
	if s := c.Nodes[0].ICP.Stats(); s.Sent["hit"] != 0 {
		t.Errorf("hits sent: %v", s.Sent)
	}
}

// Equal misses on one node are one fetch from the sibling.
func TestEqualMissesCollapse(t *testing.T) {
	c := New(t, 2)
	c.fill(0, 1)
	c.settled()
	c.BreakBoth(0, 1, Fault{Delay: 100 * time.Millisecond})
	before := c.Nodes[1].ICP.Stats().QueriesSent
	var wg sync.WaitGroup
	for range 30 {
		wg.Go(func() { c.MustGet(1, "/0", Text("/0")) })
	}
	wg.Wait()
	if n := c.Nodes[1].ICP.Stats().QueriesSent - before; n > 10 {
		t.Errorf("%d queries for 30 equal misses", n)
	}
	if n := c.Origin.Asked("/0"); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// A sibling that dies costs no request anything but a little time, and is used
// again when it is back.
func TestSiblingKilledUnderLoad(t *testing.T) {
	c := New(t, 3, short)
	const pages = 300
	c.fill(0, pages)
	c.settled()
	var done, failed atomic.Int64
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := worker; i < pages; i += 8 {
				path := fmt.Sprintf("/%d", i)
				r, err := c.Get(1+i%2, path)
				if err != nil || r.StatusCode != 200 || r.Text != Text(path) {
					failed.Add(1)
					t.Errorf("%s: %v", path, err)
				}
				if done.Add(1) == pages/3 {
					go c.Nodes[0].Kill()
				}
			}
		})
	}
	wg.Wait()
	if failed.Load() > 0 {
		t.Errorf("%d of %d failed", failed.Load(), pages)
	}
}

// In the middle of a long body too.
func TestSiblingLostInMidBody(t *testing.T) {
	c := New(t, 2, func(o *Config) { o.Memory = 128 * units.MiB })
	const size = 32 << 20 // more than all buffers on the way
	text := strings.Repeat("0123456789abcdef", size/16)
	c.Origin.Page("/big", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=600")
		w.Header().Set("Etag", `"big"`)
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(text))
	})
	c.MustGet(0, "/big", text)
	c.settled()
	req, err := http.NewRequest("GET", c.Origin.URL()+"/big", nil)
	c.must(err)
	resp, err := c.Nodes[1].client.Do(req)
	c.must(err)
	defer resp.Body.Close()
	first := make([]byte, 100_000)
	_, err = io.ReadFull(resp.Body, first)
	c.must(err)
	c.Cut(0)
	rest, err := io.ReadAll(resp.Body)
	if err != nil || string(first)+string(rest) != text {
		t.Errorf("%d bytes, %v", len(first)+len(rest), err)
	}
	if n := c.Origin.Asked("/big"); n != 2 {
		t.Errorf("the origin was asked %d times", n)
	}
}

// short waits are those of a node in operation.
func short(o *Config) {
	o.Siblings.MinWait, o.Siblings.MaxWait = units.Duration(5*time.Millisecond), units.Duration(200*time.Millisecond)
	o.Proxy.Fill.SiblingTimeout = units.Duration(150 * time.Millisecond)
}

// Whatever the network does, clients get their pages.
func TestFaultyNetwork(t *testing.T) {
	for name, fault := range map[string]func(c *Cluster){
		"loss": func(c *Cluster) {
			c.BreakBoth(0, 1, Fault{Loss: 0.5})
			c.BreakBoth(1, 2, Fault{Loss: 0.5})
		},
		"delay":     func(c *Cluster) { c.BreakBoth(0, 1, Fault{Delay: 300 * time.Millisecond}) },
		"one way":   func(c *Cluster) { c.Break(0, 1, Fault{Cut: true}) },
		"partition": func(c *Cluster) { c.Cut(0) },
	} {
		t.Run(name, func(t *testing.T) {
			c := New(t, 3, short)
			c.fill(0, 20)
			c.settled()
			fault(c)
			for i := range 40 {
				path := fmt.Sprintf("/%d", i)
				c.MustGet(1, path, Text(path))
				c.MustGet(2, path, Text(path))
			}
			c.Heal()
			c.settled()
			c.MustGet(0, "/after", Text("/after"))
			Eventually(t, "a hit after all is well", func() bool {
				before := c.Origin.Asked("")
				c.MustGet(1, "/after", Text("/after"))
				return c.Origin.Asked("") == before
			})
		})
	}
}

// A sibling that answers ICP at once and HTTP never: the time-out is paid once.
func TestSlowSibling(t *testing.T) {
	c := New(t, 2, func(o *Config) { o.Proxy.Fill.SiblingTimeout = units.Duration(100 * time.Millisecond) })
	c.fill(0, 20)
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	c.must(err)
	defer mute.Close()
	c.Nodes[1].mu.Lock()
	s := c.Nodes[1].siblings[0]
	s.Proxy = mute.Addr().String()
	c.Nodes[1].siblings = []sibling.Sibling{s}
	c.Nodes[1].mu.Unlock()
	for i := range 20 {
		path := fmt.Sprintf("/%d", i)
		c.MustGet(1, path, Text(path))
	}
	if got := c.Nodes[1].Finder.Stats()[0].Requests; got["timeout"] != 1 || got["hit"] != 0 {
		t.Errorf("%v", got)
	}
	if n := c.Origin.Asked(""); n != 40 {
		t.Errorf("the origin was asked %d times", n)
	}
}

// Nodes that think the other has everything do not ask in circles.
func TestNoLoop(t *testing.T) {
	c := New(t, 3, func(o *Config) { o.Siblings.Lookup = sibling.LookupDigest })
	for _, n := range c.Nodes {
		Eventually(t, "a digest", func() bool { return n.Digest.Version() != 0 })
	}
	c.fill(0, 5)
	for i := range 5 {
		for _, n := range c.Nodes {
			n.Digest.Add(fmt.Sprintf("%s/%d", c.Origin.URL(), i)) // not true of two of them
		}
	}
	time.Sleep(100 * time.Millisecond) // they may have heard of it
	for i := range c.Nodes {
		c.fill(i, 5)
	}
	if n := c.Origin.Asked(""); n > 15 {
		t.Errorf("the origin was asked %d times", n)
	}
}

// With digests alone, hits are found without a query.
func TestDigestLookup(t *testing.T) {
	c := New(t, 2, func(o *Config) { o.Siblings.Lookup = sibling.LookupDigest })
	c.fill(0, 50)
	Eventually(t, "the digest", func() bool {
		s := c.Nodes[1].Finder.Stats()
		return len(s) == 1 && s[0].Digest > 0
	})
	have := c.Nodes[0].Digest.Version()
	if have == 0 {
		t.Fatal("no version")
	}
	hits := 0
	Eventually(t, "a hit by digest", func() bool {
		path := fmt.Sprintf("/%d", hits)
		before := c.Origin.Asked("")
		c.MustGet(1, path, Text(path))
		hits++
		return c.Origin.Asked("") == before
	})
	entries := c.Nodes[1].Entries(t, hits)
	if e := entries[len(entries)-1]; e.Hier != accesslog.HierCDSiblingHit || e.Peer != "n1" {
		t.Errorf("log %v %q", e.Hier, e.Peer)
	}
	if s := c.Nodes[1].ICP.Stats(); s.QueriesSent != 0 {
		t.Errorf("%d queries", s.QueriesSent)
	}
}

// A sibling may fetch what is stored although allow_from excludes it, and only
// that.
func TestSiblingsMayFetch(t *testing.T) {
	c := New(t, 2, func(o *Config) { o.Access.AllowFrom = []string{"10.0.0.0/8"} })
	for _, l := range []struct {
		line string
		want int
	}{{"X: y", http.StatusForbidden}, {"Cache-Control: only-if-cached", http.StatusGatewayTimeout}} {
		r, err := c.Get(0, "/a", l.line)
		if err != nil || r.StatusCode != l.want {
			t.Errorf("%s: %v %v", l.line, r.Status, err)
		}
	}
	if n := c.Origin.Asked(""); n != 0 {
		t.Errorf("the origin was asked %d times", n)
	}
}

// An answer that this node would not accept is not passed on.
func TestBadSibling(t *testing.T) {
	var bad atomic.Pointer[http.HandlerFunc]
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == sibling.DigestPath {
			http.NotFound(w, r)
			return
		}
		if cc := r.Header.Get("Cache-Control"); cc != "only-if-cached" || r.RequestURI[:7] != "http://" {
			t.Errorf("%s %s", cc, r.RequestURI)
		}
		(*bad.Load())(w, r)
	})}
	var served sync.WaitGroup
	served.Go(func() { _ = srv.Serve(front) })
	defer served.Wait()
	defer srv.Close()
	c := New(t, 2)
	for i, h := range []http.HandlerFunc{
		func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) },
		func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(302) }, // nothing says that it may be stored
		func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Cache-Control", "max-age=10")
			w.Header().Set("Age", "20")
			io.WriteString(w, "stale")
		},
		func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Cache-Control", "max-age=10")
			w.Header().Set("Via", strings.Repeat("1.1 a, ", 20)+"1.1 b")
			io.WriteString(w, "round and round")
		},
		func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Cache-Control", "max-age=10")
			w.Header().Set("X-Squid-Error", "ERR_ACCESS_DENIED 0")
			w.WriteHeader(404)
		},
		func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Cache-Control", "max-age=10")
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, "cut off")
			panic(http.ErrAbortHandler)
		},
		func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) },
	} {
		path := fmt.Sprintf("/%d", i)
		c.MustGet(0, path, Text(path))
		bad.Store(&h)
		n := c.Nodes[1]
		n.mu.Lock()
		s := n.siblings[0]
		s.ID, s.Proxy = path, front.Addr().String() // a new one each time: nobody is in quarantine
		n.siblings = []sibling.Sibling{s}
		n.mu.Unlock()
		c.MustGet(1, path, Text(path))
	}
	if n := c.Origin.Asked(""); n != 16 {
		t.Errorf("the origin was asked %d times", n)
	}
}

func TestEndOfANode(t *testing.T) {
	c := New(t, 2, short)
	c.Nodes[0].Kill()
	c.Nodes[0].Kill()
	if _, err := c.Get(0, "/a"); err == nil {
		t.Error("a dead node answers")
	}
	c.MustGet(1, "/a", Text("/a"))
}

// BenchmarkSiblingHit is a first request for what a sibling has in memory, and
// BenchmarkLocalHit one for what the node itself has, over the same sockets.
func BenchmarkSiblingHit(b *testing.B) {
	c := New(b, 4, func(o *Config) { o.Proxy.Fill.StoreSiblingHits = "never" })
	c.fill(0, 1)
	c.settled()
	b.ReportAllocs()
	for b.Loop() {
		c.MustGet(1, "/0", Text("/0"))
	}
}

func BenchmarkLocalHit(b *testing.B) {
	c := New(b, 4)
	c.fill(0, 1)
	b.ReportAllocs()
	for b.Loop() {
		c.MustGet(0, "/0", Text("/0"))
	}
}

// BenchmarkMiss is a request that goes to the origin; with siblings they are
// asked first.
func BenchmarkMiss(b *testing.B) {
	for _, n := range []int{1, 4} {
		b.Run(fmt.Sprintf("nodes=%d", n), func(b *testing.B) {
			c := New(b, n)
			c.Origin.Page("/miss", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Cache-Control", "max-age=0, no-store")
				io.WriteString(w, "page")
			})
			b.ReportAllocs()
			for b.Loop() {
				c.MustGet(0, "/miss", "page")
			}
		})
	}
}
