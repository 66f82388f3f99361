package proxy

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cachenode/cachenode/accesslog"
	"github.com/cachenode/cachenode/cache"
)

func TestMissThenHit(t *testing.T) {
	r := newRig(t)
	r.page("/a", fields(200, "hello", "Cache-Control: max-age=60", `ETag: "1"`, "Content-Type: text/plain"))
	r.get("/a").want(t, 200, "fwd=uri-miss; fwd-status=200; stored", "hello")
	r.pass(10 * time.Second)
	hit := r.get("/a")
	hit.want(t, 200, "hit; ttl=50", "hello")
	if hit.Header.Get("Age") != "10" || hit.Header.Get("ETag") != `"1"` || hit.Header.Get("Via") != "1.1 n1 (cachenode)" {
		t.Errorf("header %v", hit.Header)
	}
	if n := r.asked("/a"); n != 1 {
		t.Errorf("the origin was asked %d times", n)
	}
	log := r.entries(2)
	if log[0].Result.Tag != accesslog.TagMiss || log[0].Hier != accesslog.HierDirect || log[1].Result.Tag != accesslog.TagMemHit {
		t.Errorf("log %+v", log)
	}
	if log[1].BytesOut < int64(len("hello"))+100 || log[1].BytesIn < 50 {
		t.Errorf("bytes in %d, out %d", log[1].BytesIn, log[1].BytesOut)
	}
}

func TestHeadFromStore(t *testing.T) {
	r := newRig(t)
	r.page("/a", fields(200, "hello", "Cache-Control: max-age=60"))
	r.get("/a")
	h := r.do("HEAD", "/a", "")
	h.want(t, 200, "hit", "")
	if h.ContentLength != 5 || r.asked("/a") != 1 {
		t.Errorf("length %d, asked %d", h.ContentLength, r.asked("/a"))
	}
}

func TestRevalidation(t *testing.T) {
	r := newRig(t)
	body, tag := "one", `"1"`
	r.page("/a", func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("ETag", tag)
		w.Header().Set("Cache-Control", "max-age=10")
		if q.Header.Get("If-None-Match") == tag {
			w.Header().Set("X-New", "yes")
			w.WriteHeader(304)
			return
		}
		io.WriteString(w, body)
	})
	r.get("/a").want(t, 200, "fwd=uri-miss", "one")
	r.pass(20 * time.Second)
	got := r.get("/a")
	got.want(t, 200, "hit; ttl=10; detail=revalidated", "one")
	if got.Header.Get("X-New") != "yes" {
		t.Error("the 304 did not freshen the stored header")
	}
	r.get("/a").want(t, 200, "hit; ttl=10", "one")
	body, tag = "two", `"2"`
	r.pass(20 * time.Second)
	r.get("/a").want(t, 200, "fwd=stale; fwd-status=200", "two")
	r.get("/a").want(t, 200, "hit", "two")
	log := r.entries(5)
	if log[1].Result.Tag != accesslog.TagRefreshUnmodified || log[3].Result.Tag != accesslog.TagRefreshModified {
		t.Errorf("tags %v %v", log[1].Result, log[3].Result)
	}
	// The client's own reload goes to the origin.
	r.get("/a", "Cache-Control: no-cache").want(t, 200, "hit", "two")
	if r.asked("/a") != 4 {
		t.Errorf("asked %d times", r.asked("/a"))
	}
}

func TestConditionalFromStore(t *testing.T) {
	r := newRig(t)
	r.page("/a", fields(200, "hello", "Cache-Control: max-age=60", `ETag: "1"`, "Content-Type: text/plain"))
	r.get("/a")
	n := r.get("/a", `If-None-Match: W/"1"`)
	n.want(t, 304, "hit", "")
	if n.Header.Get("ETag") != `"1"` || n.Header.Get("Content-Type") != "" {
		t.Errorf("header %v", n.Header)
	}
	r.get("/a", `If-None-Match: "2"`).want(t, 200, "hit", "hello")
	if log := r.entries(3); log[1].Result.Tag != accesslog.TagINMHit {
		t.Errorf("%v", log[1].Result)
	}
}

func TestRangeFromStore(t *testing.T) {
	r := newRig(t)
	r.page("/a", fields(200, "0123456789", "Cache-Control: max-age=60", `ETag: "1"`, "Content-Type: text/plain"))
	r.get("/a")
	one := r.get("/a", "Range: bytes=2-4")
	one.want(t, 206, "hit", "234")
	if one.Header.Get("Content-Range") != "bytes 2-4/10" {
		t.Errorf("header %v", one.Header)
	}
	r.get("/a", "Range: bytes=-3").want(t, 206, "hit", "789")
	bad := r.get("/a", "Range: bytes=20-")
	bad.want(t, 416, "hit", "")
	if bad.Header.Get("Content-Range") != "bytes */10" {
		t.Errorf("header %v", bad.Header)
	}
	multi := r.get("/a", "Range: bytes=0-1,5-6")
	if multi.StatusCode != 206 || !strings.HasPrefix(multi.Header.Get("Content-Type"), "multipart/byteranges; boundary=") ||
		!strings.Contains(multi.text, "Content-Range: bytes 5-6/10\r\n\r\n56\r\n") || multi.ContentLength != int64(len(multi.text)) {
		t.Errorf("%v %q", multi.Header, multi.text)
	}
	many := "Range: bytes=0-0" + strings.Repeat(",0-", 1000)
	r.get("/a", many).want(t, 200, "hit", "0123456789")
}

// Parts are stored, served, and completed with what is missing (RFC 9111 §3.3, §3.4).
func TestPartialResponses(t *testing.T) {
	r := newRig(t)
	body := string(pattern(100_000))
	r.page("/p", func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("ETag", `"p"`)
		http.ServeContent(w, q, "p.bin", time.Time{}, strings.NewReader(body))
	})
	r.get("/p", "Range: bytes=1000-1999").want(t, 206, "fwd=uri-miss; fwd-status=206; stored", body[1000:2000])
	r.get("/p", "Range: bytes=1200-1299").want(t, 206, "hit", body[1200:1300])
	r.get("/p", "Range: bytes=1500-2999").want(t, 206, "fwd=partial", body[1500:3000])
	if got := r.lastAsked("/p").Header.Get("Range"); got != "bytes=2000-2999" {
		t.Errorf("asked for %s", got)
	}
	r.get("/p", "Range: bytes=1000-2999").want(t, 206, "hit", body[1000:3000])
	r.get("/p", "Range: bytes=50000-50099").want(t, 206, "fwd=partial", body[50000:50100])
	for _, how := range []string{"fwd=partial", "hit"} {
		all := r.get("/p")
		all.want(t, 200, how, body)
		if got := all.Header["Content-Range"]; got != nil { // RFC 9110 §14.4: of a 206 or 416 only
			t.Errorf("all of it, %s: Content-Range %q", how, got)
		}
	}
	r.get("/p", "Range: bytes=0-9").want(t, 206, "hit", body[:10])
}

// A part that was fetched beside the whole does not take its place.
func TestR0019_PartBesideTheWhole(t *testing.T) {
	r := newRig(t)
	body := string(pattern(1000))
	asked, whole := make(chan struct{}), make(chan struct{})
	r.page("/p", func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("ETag", `"p"`)
		if q.Header.Get("Range") == "bytes=10-19" {
			close(asked)
			<-whole
		}
		http.ServeContent(w, q, "p.bin", time.Time{}, strings.NewReader(body))
	})
	var part sync.WaitGroup
	part.Go(func() { r.get("/p", "Range: bytes=10-19").want(t, 206, "fwd=uri-miss", body[10:20]) })
	<-asked
	r.get("/p").want(t, 200, "fwd=uri-miss", body)
	close(whole)
	part.Wait()
	r.get("/p").want(t, 200, "hit", body)
}

// Small ranges of something large are not each paid for with a copy of all that
// is stored of it.
func TestSmallPartsOfALargeOne(t *testing.T) {
	r := newRig(t, func(c *rigConfig) { c.disk = 256 << 20 })
	body := string(pattern(12 << 20))
	r.page("/p", func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("ETag", `"p"`)
		http.ServeContent(w, q, "p.bin", time.Time{}, strings.NewReader(body))
	})
	r.get("/p", "Range: bytes=0-8388607").want(t, 206, "fwd=uri-miss; fwd-status=206; stored", body[:8<<20])
	small := body[8<<20-100 : 8<<20+100]
	r.get("/p", "Range: bytes=8388508-8388707").want(t, 206, "fwd=partial; fwd-status=206; detail=small-part", small)
	if got := r.lastAsked("/p").Header.Get("Range"); got != "bytes=8388508-8388707" {
		t.Errorf("asked for %s", got)
	}
	r.get("/p", "Range: bytes=1000-1099").want(t, 206, "hit", body[1000:1100])
	// For all of it, what is stored is worth its copy.
	r.get("/p").want(t, 200, "fwd=partial", body)
	if got := r.lastAsked("/p").Header.Get("Range"); got != "bytes=8388608-" {
		t.Errorf("asked for %s", got)
	}
	r.get("/p").want(t, 200, "hit", body)
}

// A part whose representation has changed is not mixed with the new one.
func TestPartialChanged(t *testing.T) {
	r := newRig(t)
	body, tag := strings.Repeat("a", 100), `"a"`
	r.page("/p", func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("ETag", tag)
		http.ServeContent(w, q, "p.bin", time.Time{}, strings.NewReader(body))
	})
	r.get("/p", "Range: bytes=0-9").want(t, 206, "fwd=uri-miss", body[:10])
	body, tag = strings.Repeat("b", 100), `"b"`
	r.get("/p", "Range: bytes=5-14").want(t, 206, "fwd=partial", "bbbbbbbbbb")
	r.get("/p").want(t, 200, "hit", body)
}

func TestVary(t *testing.T) {
	r := newRig(t)
	r.page("/v", func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Vary", "Accept-Language")
		io.WriteString(w, "lang "+q.Header.Get("Accept-Language"))
	})
	for range 2 {
		for _, l := range []string{"de", "fr"} {
			if got := r.get("/v", "Accept-Language: "+l); got.text != "lang "+l {
				t.Errorf("%s got %q", l, got.text)
			}
		}
	}
	if r.asked("/v") != 2 {
		t.Errorf("asked %d times", r.asked("/v"))
	}
	r.get("/v", "Accept-Language: it").want(t, 200, "fwd=vary-miss", "lang it")
}

// A field that ends here, because Connection names it or because it always does,
// selects nothing: the origin has not seen it.
func TestR0024_VaryOnAFieldThatEndsHere(t *testing.T) {
	r := newRig(t)
	r.page("/v", func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Vary", "Origin, TE, Expect")
		fmt.Fprintf(w, "for %q", q.Header.Get("Origin"))
	})
	r.get("/v", "Origin: a", "Connection: Origin").want(t, 200, "fwd=uri-miss", `for ""`)
	r.get("/v", "Origin: a").want(t, 200, "fwd=vary-miss", `for "a"`)
	r.get("/v", "Origin: a", "Connection: Origin").want(t, 200, "hit", `for ""`)
	r.get("/v", "TE: trailers").want(t, 200, "hit", `for ""`)
	r.get("/v").want(t, 200, "hit", `for ""`)
	r.get("/v", "Expect: 100-continue").want(t, 200, "hit", `for ""`)
}

// A default response without Vary does not answer those for whom there is another
// one (RFC 9111 §4.1). When none varies any more, the variants go as they are
// asked about, else they would be asked about for ever.
func TestDefaultResponseWithoutVary(t *testing.T) {
	r := newRig(t)
	varies := true
	r.page("/v", func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Cache-Control", "max-age=10")
		lang := q.Header.Get("Accept-Language")
		if varies && lang != "" {
			w.Header().Set("Vary", "Accept-Language")
		}
		io.WriteString(w, "page "+lang)
	})
	r.get("/v", "Accept-Language: de").want(t, 200, "fwd=uri-miss; fwd-status=200; stored", "page de")
	r.pass(time.Second)
	r.get("/v").want(t, 200, "fwd=vary-miss; fwd-status=200; stored", "page ")
	r.get("/v").want(t, 200, "hit", "page ")
	r.get("/v", "Accept-Language: de").want(t, 200, "hit", "page de")
	r.get("/v", "Accept-Language: fr").want(t, 200, "hit", "page ")

	varies = false
	r.pass(time.Minute)
	r.get("/v", "Accept-Language: de").want(t, 200, "fwd=stale; fwd-status=200", "page de")
	r.get("/v", "Accept-Language: de").want(t, 200, "hit", "page de")
	r.get("/v").want(t, 200, "hit", "page de")
}

func TestUnsafeMethodInvalidates(t *testing.T) {
	r := newRig(t)
	n := 0
	r.page("/a", func(w http.ResponseWriter, q *http.Request) {
		n++
		w.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprintf(w, "%s %d", q.Method, n)
	})
	r.get("/a").want(t, 200, "fwd=uri-miss", "GET 1")
	r.do("POST", "/a", "x=1").want(t, 200, "fwd=method", "POST 2")
	r.get("/a").want(t, 200, "fwd=uri-miss", "GET 3")
	r.do("DELETE", "/a", "").want(t, 200, "fwd=method", "DELETE 4")
	r.get("/a").want(t, 200, "fwd=uri-miss", "GET 5")
}

// A POST whose answer says that it is the page invalidates the page, and is
// stored in its place (RFC 9110 §9.3.3).
func TestR0017_PostStoredForGet(t *testing.T) {
	r := newRig(t)
	r.page("/a", func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Content-Location", r.origin.URL+"/a")
		io.WriteString(w, q.Method)
	})
	r.get("/a").want(t, 200, "fwd=uri-miss", "GET")
	r.do("POST", "/a", "x=1").want(t, 200, "fwd=method; fwd-status=200; stored", "POST")
	r.get("/a").want(t, 200, "hit", "POST")
}

func TestPrivateIsNotShared(t *testing.T) {
	r := newRig(t)
	r.page("/auth", func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(w, q.Header.Get("Authorization"))
	})
	r.get("/auth", "Authorization: Basic YQ==").want(t, 200, "fwd=", "Basic YQ==")
	r.get("/auth", "Authorization: Basic Yg==").want(t, 200, "fwd=", "Basic Yg==")
	r.page("/private", func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Cache-Control", "private, max-age=60")
		io.WriteString(w, q.Header.Get("Cookie"))
	})
	r.get("/private", "Cookie: a").want(t, 200, "fwd=uri-miss", "a")
	r.get("/private", "Cookie: b").want(t, 200, "fwd=uri-miss", "b")
}

func TestOnlyIfCached(t *testing.T) {
	r := newRig(t)
	r.page("/a", fields(200, "a", "Cache-Control: max-age=60"))
	if got := r.get("/a", "Cache-Control: only-if-cached"); got.StatusCode != 504 || r.asked("/a") != 0 {
		t.Errorf("status %d", got.StatusCode)
	}
	r.get("/a")
	r.get("/a", "Cache-Control: only-if-cached").want(t, 200, "hit", "a")
}

func TestStaleIfError(t *testing.T) {
	r := newRig(t)
	r.page("/a", fields(200, "old", "Cache-Control: max-age=1, stale-if-error=600", `ETag: "1"`))
	r.get("/a")
	r.pass(10 * time.Second)
	r.page("/a", fields(503, "down"))
	r.get("/a").want(t, 200, "hit; ttl=-9", "old")
	if log := r.entries(2); log[1].Result.Tag != accesslog.TagRefreshFailOld {
		t.Errorf("%v", log[1].Result)
	}
	r.page("/b", fields(200, "old", "Cache-Control: max-age=1, must-revalidate", `ETag: "1"`))
	r.get("/b")
	r.pass(10 * time.Second)
	r.page("/b", fields(503, "down"))
	r.get("/b").want(t, 503, "fwd=stale; fwd-status=503", "down")
}

func TestStaleWhileRevalidate(t *testing.T) {
	r := newRig(t)
	r.page("/a", fields(200, "old", "Cache-Control: max-age=1, stale-while-revalidate=60"))
	r.get("/a")
	r.pass(10 * time.Second)
	r.page("/a", fields(200, "new", "Cache-Control: max-age=60"))
	r.get("/a").want(t, 200, "hit; ttl=-9", "old")
	r.eventually("refreshed object", func() bool { return r.asked("/a") == 2 && r.get("/a").text == "new" })
	if r.asked("/a") != 2 {
		t.Errorf("asked %d times", r.asked("/a"))
	}
}

// What the origin has replaced by something that must not be kept neither comes
// back when the origin fails, nor is it served on while it is refreshed.
func TestR0020_ReplacedByWhatIsNotKept(t *testing.T) {
	cases := []struct {
		name   string
		status int
		lines  []string
		kept   bool
	}{
		{"private", 200, []string{"Cache-Control: private"}, false},
		{"no-store", 200, []string{"Cache-Control: no-store"}, false},
		{"no freshness", 200, nil, false},
		{"not found", 404, nil, false},
		{"a login page", 302, []string{"Location: /login"}, false},
		{"too many requests", 429, nil, true},
		{"a session", 200, []string{"Set-Cookie: a=b", "Last-Modified: Mon, 02 Jan 2006 15:04:05 GMT"}, true},
	}
	for _, c := range cases {
		r := newRig(t)
		r.page("/a", fields(200, "old", "Cache-Control: max-age=1, stale-while-revalidate=5", `ETag: "1"`))
		r.get("/a")
		r.pass(3 * time.Second)
		r.page("/a", fields(c.status, "new", c.lines...))
		r.get("/a").want(t, 200, "hit; ttl=-2", "old")
		r.eventually("end of the refresh", func() bool { return r.asked("/a") == 2 && len(r.proxy.flights.background) == 0 })
		r.pass(10 * time.Second)
		r.page("/a", fields(503, "down"))
		if got := r.get("/a"); (got.text == "old") != c.kept {
			t.Errorf("%s: %v %q", c.name, got.Header, got.text)
		}
	}
}

// Equal misses make one fetch, and everybody sees all of it.
func TestCollapse(t *testing.T) {
	r := newRig(t)
	body := string(pattern(500_000))
	go_ := make(chan struct{})
	r.page("/c", func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(w, body[:1000])
		w.(http.Flusher).Flush()
		<-go_
		io.WriteString(w, body[1000:])
	})
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if got := r.get("/c"); got.text != body || got.err != nil {
				t.Errorf("%d bytes, %v", len(got.text), got.err)
			}
		})
	}
	r.eventually("50 requests", func() bool { return r.proxy.active.len() == 50 })
	close(go_)
	wg.Wait()
	if r.asked("/c") != 1 {
		t.Errorf("asked %d times", r.asked("/c"))
	}
	r.get("/c").want(t, 200, "hit", body)
}

// The fetch of a client that leaves before there is an answer goes on for another
// who waits for it, and ends when there is none.
func TestFirstClientLeaves(t *testing.T) {
	for _, others := range []int{1, 0} {
		r := newRig(t)
		go_, gone := make(chan struct{}), make(chan struct{})
		r.page("/c", func(w http.ResponseWriter, q *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			select {
			case <-go_:
				io.WriteString(w, "body")
			case <-q.Context().Done():
				close(gone)
			}
		})
		first := r.connect()
		fmt.Fprintf(first, "GET %s/c HTTP/1.1\r\nHost: %s\r\n\r\n", r.origin.URL, r.origin.Listener.Addr())
		r.eventually("the first request", func() bool { return r.asked("/c") == 1 })
		var wg sync.WaitGroup
		for range others {
			wg.Go(func() { r.get("/c").want(t, 200, "fwd=uri-miss; fwd-status=200; stored; collapsed", "body") })
		}
		r.eventually("the others", func() bool { return r.proxy.active.len() == 1+others })
		_ = first.(*net.TCPConn).SetLinger(0) // a close alone may be that of one side
		first.Close()
		if others == 0 {
			<-gone
		} else {
			r.eventually("its end is noticed", func() bool {
				fs := &r.proxy.flights
				fs.mu.Lock()
				defer fs.mu.Unlock()
				for fl := range fs.all {
					return fl.left && fl.readers == others
				}
				return false
			})
			close(go_)
		}
		wg.Wait()
		r.eventually("the end", func() bool { return r.proxy.active.len() == 0 })
		if r.asked("/c") != 1 {
			t.Errorf("%d others: asked %d times", others, r.asked("/c"))
		}
	}
}

// When the origin breaks off, everybody's response does, and nothing is stored.
func TestCollapsedAbort(t *testing.T) {
	r := newRig(t)
	go_ := make(chan struct{})
	r.page("/c", func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(w, strings.Repeat("some", 2000))
		w.(http.Flusher).Flush()
		<-go_
		panic(http.ErrAbortHandler)
	})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if got := r.get("/c"); got.err == nil {
				t.Errorf("a truncated response looks whole: %q", got.text)
			}
		})
	}
	r.eventually("20 requests", func() bool { return r.proxy.active.len() == 20 })
	close(go_)
	wg.Wait()
	r.page("/c", fields(200, "fine", "Cache-Control: max-age=60"))
	r.get("/c").want(t, 200, "fwd=uri-miss", "fine")
}

// Responses that may not be shared do not make requests queue.
func TestUncacheableIsNotCollapsed(t *testing.T) {
	r := newRig(t)
	r.page("/u", func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		io.WriteString(w, q.Header.Get("X-Me"))
	})
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			me := strconv.Itoa(i)
			if got := r.get("/u", "X-Me: "+me); got.text != me {
				t.Errorf("%s got the response of %s", me, got.text)
			}
		})
	}
	wg.Wait()
	if r.asked("/u") != 20 {
		t.Errorf("asked %d times", r.asked("/u"))
	}
}

// A client that leaves does not end a fetch that is nearly through.
func TestCompletionAfterClientLeft(t *testing.T) {
	r := newRig(t)
	body := string(pattern(200_000))
	go_ := make(chan struct{})
	r.page("/c", func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		io.WriteString(w, body[:1000])
		w.(http.Flusher).Flush()
		<-go_
		io.WriteString(w, body[1000:])
	})
	c := r.connect()
	fmt.Fprintf(c, "GET %s/c HTTP/1.1\r\nHost: x\r\n\r\n", r.origin.URL)
	c.Read(make([]byte, 100))
	c.Close()
	r.eventually("request to end", func() bool { return r.proxy.active.len() == 0 })
	close(go_)
	r.eventually("stored object", func() bool {
		return r.get("/c", "Cache-Control: only-if-cached").StatusCode == 200
	})
	r.get("/c").want(t, 200, "hit", body)
	if r.asked("/c") != 1 {
		t.Errorf("asked %d times", r.asked("/c"))
	}
}

// fullStore refuses everything, as a full disk does.
type fullStore struct{ cache.Store }

func (fullStore) Create(*cache.Meta) (cache.Writer, error) { return nil, cache.ErrFull }

func TestStoreFull(t *testing.T) {
	r := newRig(t, func(c *rigConfig) { c.store = func(s cache.Store) cache.Store { return fullStore{s} } })
	body := string(pattern(1_000_000))
	r.page("/a", fields(200, body, "Cache-Control: max-age=60"))
	for range 2 {
		r.get("/a").want(t, 200, "fwd=uri-miss", body)
	}
}

// filledStore refuses to change what it has, as a disk that is full by now.
type filledStore struct{ cache.Store }

func (filledStore) Update(cache.Object, *cache.Meta) error { return cache.ErrFull }

// A full disk is told of by the store, once, and not with each 304 that it keeps
// from being stored.
func TestRevalidationOnAFullDisk(t *testing.T) {
	r := newRig(t, func(c *rigConfig) { c.store = func(s cache.Store) cache.Store { return filledStore{s} } })
	var said bytes.Buffer
	r.proxy.d.Log = slog.New(slog.NewTextHandler(&said, nil))
	r.page("/a", func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("ETag", `"1"`)
		w.Header().Set("Cache-Control", "max-age=10")
		if q.Header.Get("If-None-Match") != "" {
			w.WriteHeader(304)
			return
		}
		io.WriteString(w, "one")
	})
	r.get("/a").want(t, 200, "fwd=uri-miss", "one")
	for range 3 {
		r.pass(20 * time.Second)
		r.get("/a").want(t, 200, "hit; ttl=10; detail=revalidated", "one")
	}
	if said.Len() > 0 {
		t.Errorf("the log says\n%s", said.String())
	}
}
