package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cachenode/cachenode/cache"
)

// servePart answers one range of body the way an origin does.
func servePart(body string, lines ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("ETag", `"1"`)
		for _, l := range lines {
			k, v, _ := strings.Cut(l, ": ")
			w.Header().Set(k, v)
		}
		http.ServeContent(w, q, "p.bin", time.Time{}, strings.NewReader(body))
	}
}

// A 304 to a request for missing bytes, which named no validator a 304 could
// answer, made a stored part the whole response.
func TestR0005_NotModifiedToACompletingRequest(t *testing.T) {
	r := newRig(t)
	body := string(pattern(10_000))
	whole := servePart(body, "Cache-Control: max-age=60")
	r.page("/p", func(w http.ResponseWriter, q *http.Request) {
		if q.Header.Get("If-Range") != "" {
			w.Header().Set("ETag", `"1"`)
			w.WriteHeader(304)
			return
		}
		whole(w, q)
	})
	r.get("/p", "Range: bytes=0-99").want(t, 206, "fwd=uri-miss", body[:100])
	r.get("/p").want(t, 200, "fwd=partial", body)
}

// What may not be stored is not stored by way of completing a part either.
func TestR0006_CombinedResponseObeysCacheControl(t *testing.T) {
	body := string(pattern(1000))
	for _, c := range []struct{ name, request, response string }{
		{"no-store", "X: y", "Cache-Control: no-store"},
		{"private", "X: y", "Cache-Control: private, max-age=60"},
		{"authorized", "Authorization: Basic YQ==", "Cache-Control: max-age=60"},
		{"request no-store", "Cache-Control: no-store", "Cache-Control: max-age=60"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			r.page("/p", servePart(body, "Cache-Control: max-age=60"))
			r.get("/p", "Range: bytes=0-99")
			r.page("/p", servePart(body, c.response, "X-Secret: of-one"))
			r.get("/p", "Range: bytes=50-199", c.request).want(t, 206, "fwd=partial", body[50:200])
			got := r.get("/p", "Range: bytes=0-199", "Cache-Control: only-if-cached")
			if got.StatusCode != 504 {
				t.Errorf("%d %v", got.StatusCode, got.Header)
			}
			r.get("/p", "Range: bytes=10-19").want(t, 206, "hit", body[10:20])
		})
	}
}

// Bytes of another place than was asked for are not taken for the missing ones.
func TestR0007_OtherRangeThanAskedFor(t *testing.T) {
	r := newRig(t)
	body := string(pattern(1000))
	r.page("/p", func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("ETag", `"1"`)
		if q.Header.Get("If-Range") != "" { // 900 bytes from 0, not from 100
			w.Header().Set("Content-Range", "bytes 0-999/1000")
			w.Header().Set("Content-Length", "900")
			w.WriteHeader(206)
			io.WriteString(w, body[:900])
			return
		}
		http.ServeContent(w, q, "p.bin", time.Time{}, strings.NewReader(body))
	})
	r.get("/p", "Range: bytes=0-99")
	r.get("/p").want(t, 200, "fwd=", body)
}

// What an authorized request's 304, or its HEAD, says of one user does not get
// into what others are served (RFC 9111 §3.5).
func TestR0008_AuthorizedValidationStaysPrivate(t *testing.T) {
	for _, method := range []string{"GET", "HEAD"} {
		for _, cond := range []bool{true, false} {
			if method == "GET" && !cond {
				continue
			}
			r := newRig(t)
			r.page("/a", func(w http.ResponseWriter, q *http.Request) {
				w.Header().Set("ETag", `"1"`)
				w.Header().Set("Cache-Control", "max-age=10")
				if q.Header.Get("Authorization") != "" {
					w.Header().Set("X-User", "alice")
					w.Header().Set("Set-Cookie", "session=alice")
				}
				if cond && q.Header.Get("If-None-Match") != "" {
					w.WriteHeader(304)
					return
				}
				w.Header().Set("Content-Length", "4")
				io.WriteString(w, "page")
			})
			r.get("/a")
			r.pass(20 * time.Second)
			mine := r.do(method, "/a", "", "Authorization: Basic YQ==")
			if mine.Header.Get("Set-Cookie") != "session=alice" || mine.StatusCode != 200 {
				t.Errorf("%s: alice got %d %v", method, mine.StatusCode, mine.Header)
			}
			for range 2 {
				if got := r.get("/a"); got.Header.Get("X-User") != "" || got.Header.Get("Set-Cookie") != "" || got.text != "page" {
					t.Errorf("%s: everybody got %v", method, got.Header)
				}
			}
		}
	}
}

// The cookie of a 304 reaches the client whose request was forwarded.
func TestCookieOfNotModified(t *testing.T) {
	r := newRig(t, func(c *rigConfig) { c.policy.SetCookie = cache.SetCookieNever })
	r.page("/a", func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("ETag", `"1"`)
		w.Header().Set("Cache-Control", "max-age=10")
		if q.Header.Get("If-None-Match") != "" {
			w.Header().Set("Set-Cookie", "c="+q.Header.Get("X-Me"))
			w.WriteHeader(304)
			return
		}
		io.WriteString(w, "page")
	})
	r.get("/a")
	r.pass(20 * time.Second)
	if got := r.get("/a", "X-Me: 1"); got.Header.Get("Set-Cookie") != "c=1" {
		t.Errorf("%v", got.Header)
	}
	if got := r.get("/a", "Cache-Control: max-stale"); strings.Contains(got.Header.Get("Set-Cookie"), "c=1") {
		t.Errorf("another's cookie: %v", got.Header)
	}
}

// What a 304 says to one client, and forbids to keep, reaches nobody else: the
// stored response was validated for each of them, and told all of the first.
func TestR0018_NotModifiedWithdraws(t *testing.T) {
	for _, directive := range []string{"private", "no-store"} {
		r := newRig(t)
		r.page("/a", func(w http.ResponseWriter, q *http.Request) {
			w.Header().Set("ETag", `"1"`)
			w.Header().Set("Cache-Control", "max-age=10")
			if me := q.Header.Get("X-Me"); me != "" {
				w.Header().Set("Cache-Control", directive)
				w.Header().Set("X-Account", me)
			}
			if q.Header.Get("If-None-Match") != "" {
				w.WriteHeader(304)
				return
			}
			io.WriteString(w, "page")
		})
		r.get("/a")
		r.pass(20 * time.Second)
		if ann := r.get("/a", "X-Me: ann"); ann.Header.Get("X-Account") != "ann" || ann.text != "page" {
			t.Errorf("%s: %v", directive, ann.Header)
		}
		bob := r.get("/a")
		bob.want(t, 200, "fwd=uri-miss; fwd-status=200; stored", "page")
		if got := bob.Header.Get("X-Account"); got != "" {
			t.Errorf("%s: bob was told of %s", directive, got)
		}
		r.pass(20 * time.Second)
		r.do("HEAD", "/a", "", "X-Me: ann", "Cache-Control: no-cache")
		if got := r.get("/a").Header.Get("X-Account"); got != "" {
			t.Errorf("%s: after a HEAD, others were told of %s", directive, got)
		}
	}
}

// A field that the origin lists as private is in the answer to the client that
// it is for, and in no other.
func TestListedFieldOfNotModified(t *testing.T) {
	r := newRig(t)
	r.page("/a", func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("ETag", `"1"`)
		w.Header().Set("X-Account", q.Header.Get("X-Me"))
		if q.Header.Get("If-None-Match") != "" {
			w.WriteHeader(304)
			return
		}
		w.Header().Set("Cache-Control", `max-age=10, private="X-Account"`)
		io.WriteString(w, "page")
	})
	for _, me := range []string{"ann", "bob"} {
		if got := r.get("/a", "X-Me: "+me).Header.Get("X-Account"); got != me {
			t.Errorf("%s is told of %q", me, got)
		}
		if got := r.get("/a", "X-Me: eve"); got.Header.Get("X-Account") != "" {
			t.Errorf("eve is told of %q", got.Header["X-Account"])
		}
		r.pass(20 * time.Second)
	}
}

// An origin that answers 304 whatever it is asked has its stored response served
// while that may be, and is then out of order: nobody gets a 304 he did not ask for.
func TestR0022_NothingButNotModified(t *testing.T) {
	r := newRig(t)
	r.page("/a", fields(200, "page", "Cache-Control: max-age=10, stale-if-error=20", `ETag: "1"`))
	r.get("/a")
	r.page("/a", fields(304, "", `ETag: "2"`))
	r.pass(20 * time.Second)
	r.get("/a").want(t, 200, "hit; ttl=-10; detail=stale-if-error", "page")
	r.pass(20 * time.Second)
	if got := r.get("/a"); got.StatusCode != 502 || !strings.Contains(got.text, "ERR_INVALID_RESP") {
		t.Errorf("%d %q", got.StatusCode, got.text)
	}
	r.page("/b", fields(304, "", `ETag: "2"`))
	r.get("/b", `If-None-Match: "2"`).want(t, 304, "fwd=uri-miss", "")
}

// A HEAD with validators of its client's own must not freshen what they do not name.
func TestR0009_HeadValidatesWithOurValidators(t *testing.T) {
	r := newRig(t)
	etag := `"1"`
	r.page("/a", func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Cache-Control", "max-age=10")
		if q.Header.Get("If-None-Match") == etag {
			w.WriteHeader(304) // without an ETag
			return
		}
		w.Header().Set("ETag", etag)
		fmt.Fprint(w, "page "+etag)
	})
	r.get("/a").want(t, 200, "fwd=uri-miss", `page "1"`)
	r.pass(20 * time.Second)
	etag = `"2"`
	r.do("HEAD", "/a", "", `If-None-Match: "2"`)
	r.get("/a").want(t, 200, "fwd=", `page "2"`)
}

func TestHeadOfStoredPart(t *testing.T) {
	r := newRig(t)
	r.page("/p", servePart(string(pattern(1000)), "Cache-Control: max-age=60"))
	r.get("/p", "Range: bytes=0-99")
	if h := r.do("HEAD", "/p", ""); h.ContentLength != 1000 || h.StatusCode != 200 || h.Header.Get("Content-Range") != "" {
		t.Errorf("%d %d %v", h.StatusCode, h.ContentLength, h.Header)
	}
}

// A response that was under way when its resource changed is not stored behind
// the change.
func TestR0010_InvalidationOvertakesAFetch(t *testing.T) {
	r := newRig(t)
	asked, go_ := make(chan bool), make(chan bool)
	r.page("/a", func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		if q.Method == "GET" {
			asked <- true
			<-go_
			io.WriteString(w, "old")
		}
	})
	var wg sync.WaitGroup
	wg.Go(func() { r.get("/a").want(t, 200, "fwd=uri-miss; fwd-status=200; detail=invalidated", "old") })
	<-asked
	r.do("POST", "/a", "x=1")
	close(go_)
	wg.Wait()
	r.page("/a", fields(200, "new", "Cache-Control: max-age=60"))
	r.get("/a").want(t, 200, "fwd=uri-miss; fwd-status=200; stored", "new")
	r.proxy.Unshare()
	r.get("/a").want(t, 200, "hit", "new")
}

// So is one whose resource another node says has changed.
func TestOutdateOvertakesAFetch(t *testing.T) {
	r := newRig(t)
	asked, go_ := make(chan bool), make(chan bool)
	r.page("/a", func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		asked <- true
		<-go_
		io.WriteString(w, "old")
	})
	var wg sync.WaitGroup
	wg.Go(func() { r.get("/a").want(t, 200, "fwd=uri-miss; fwd-status=200; detail=invalidated", "old") })
	<-asked
	r.proxy.Outdate([]string{r.origin.URL + "/a", "http://elsewhere.example/"})
	close(go_)
	wg.Wait()
	r.page("/a", fields(200, "new", "Cache-Control: max-age=60"))
	r.get("/a").want(t, 200, "fwd=uri-miss; fwd-status=200; stored", "new")
	r.get("/a").want(t, 200, "hit", "new")
	r.proxy.Outdate([]string{r.origin.URL + "/a"})
	r.get("/a").want(t, 200, "fwd=uri-miss", "new")
}

// An HTTP/1.0 client, for whom a close is the end of a body, sees that it was
// broken off.
func TestR0011_OldClientSeesTheAbort(t *testing.T) {
	r := newRig(t)
	r.page("/cut", func(w http.ResponseWriter, q *http.Request) {
		io.WriteString(w, "beginning")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	c := r.connect()
	defer c.Close()
	fmt.Fprintf(c, "GET %s/cut HTTP/1.0\r\n\r\n", r.origin.URL)
	if got, err := io.ReadAll(c); err == nil {
		t.Errorf("a truncated body looks whole: %q", got)
	}
}

// Who gets a response that another request fetched is told how old it is.
func TestR0012_CollapsedResponseHasAnAge(t *testing.T) {
	r := newRig(t)
	go_ := make(chan bool)
	r.page("/a", func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(w, "some")
		w.(http.Flusher).Flush()
		<-go_
	})
	c := r.connect()
	defer c.Close()
	fmt.Fprintf(c, "GET %s/a HTTP/1.1\r\nHost: x\r\n\r\n", r.origin.URL)
	if _, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil {
		t.Fatal(err)
	}
	r.pass(7 * time.Second)
	resp, err := r.client.Get(r.origin.URL + "/a")
	r.must(err)
	close(go_)
	defer resp.Body.Close()
	if resp.Header.Get("Age") != "7" || !strings.Contains(resp.Header.Get("Cache-Status"), "collapsed") {
		t.Errorf("%v", resp.Header)
	}
}

// An origin that fails is asked once for all who wait, where something stale may
// stand in.
func TestR0013_FailedValidationIsShared(t *testing.T) {
	r := newRig(t)
	r.page("/a", fields(200, "old", "Cache-Control: max-age=1, stale-if-error=600", `ETag: "1"`))
	r.get("/a")
	r.pass(10 * time.Second)
	go_ := make(chan bool)
	r.page("/a", func(w http.ResponseWriter, q *http.Request) {
		<-go_
		w.WriteHeader(503)
	})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { r.get("/a").want(t, 200, "hit; ttl=-9", "old") })
	}
	r.eventually("20 requests", func() bool {
		r.proxy.flights.mu.Lock()
		defer r.proxy.flights.mu.Unlock()
		n := 0
		for _, fl := range r.proxy.flights.by {
			n += fl.readers
		}
		return n == 20
	})
	close(go_)
	wg.Wait()
	if n := r.asked("/a"); n != 2 {
		t.Errorf("asked %d times", n)
	}
}

// A variant by X-Forwarded-For is that of the field the origin saw.
func TestForwardedForSelects(t *testing.T) {
	r := newRig(t, func(c *rigConfig) { c.proxy.Headers.ForwardedFor = "add" })
	r.page("/a", func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Vary", "X-Forwarded-For")
		w.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(w, strings.Join(q.Header["X-Forwarded-For"], ", "))
	})
	r.get("/a", "X-Forwarded-For: 10.0.0.1").want(t, 200, "fwd=uri-miss", "10.0.0.1, 127.0.0.1")
	r.get("/a", "X-Forwarded-For: 10.0.0.2").want(t, 200, "fwd=vary-miss", "10.0.0.2, 127.0.0.1")
	r.get("/a", "X-Forwarded-For: 10.0.0.1").want(t, 200, "hit", "10.0.0.1, 127.0.0.1")
}

// A refresh behind its client that turns out not to be storable is not fetched
// to its end for nobody.
func TestRefreshThatIsNotStoredEnds(t *testing.T) {
	r := newRig(t)
	r.page("/a", fields(200, "old", "Cache-Control: max-age=1, stale-while-revalidate=60"))
	r.get("/a")
	r.pass(10 * time.Second)
	ended := make(chan bool)
	r.page("/a", func(w http.ResponseWriter, q *http.Request) {
		defer close(ended)
		w.Header().Set("Cache-Control", "no-store")
		for piece := string(pattern(100_000)); ; {
			if _, err := io.WriteString(w, piece); err != nil {
				return
			}
		}
	})
	r.get("/a").want(t, 200, "hit; ttl=-9", "old")
	<-ended
	r.eventually("free slot", func() bool { return len(r.proxy.flights.background) == 0 })
}

func TestOnlyIfCachedNeverForwards(t *testing.T) {
	r := newRig(t)
	r.page("/a", fields(200, "a", "Cache-Control: max-age=1", `ETag: "1"`))
	r.get("/a")
	r.pass(10 * time.Second)
	for _, method := range []string{"GET", "HEAD", "POST"} {
		got := r.do(method, "/a", "", "Cache-Control: only-if-cached")
		if cs := got.Header.Get("Cache-Status"); got.StatusCode != 504 || strings.Contains(cs, "fwd") || !strings.Contains(cs, "detail=only-if-cached") {
			t.Errorf("%s: %d, Cache-Status %q", method, got.StatusCode, cs)
		}
	}
	if n := r.asked("/a"); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// Trailers of a response without content, and everything else a hostile origin
// puts together, are read only when the fetch has written them.
func TestR0014_TrailersOfNoContent(t *testing.T) {
	r := newRig(t)
	r.page("/205", func(w http.ResponseWriter, q *http.Request) {
		c, buf, _ := http.NewResponseController(w).Hijack()
		defer c.Close()
		io.WriteString(buf, "HTTP/1.1 205 Reset Content\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n")
		buf.Flush()
		io.WriteString(buf, "3\r\nabc\r\n0\r\n")
		for i := range 100 {
			io.WriteString(buf, "X-"+strconv.Itoa(i)+": 1\r\n")
		}
		io.WriteString(buf, "\r\n")
		buf.Flush()
	})
	for range 50 {
		r.do("GET", "/205", "")
	}
}
