package proxy

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cachenode/cachenode/icp"
)

// What a sibling is told is what it would be served.
func TestAnswer(t *testing.T) {
	r := newRig(t)
	r.page("/fresh", fields(200, "page", "Cache-Control: max-age=60"))
	r.page("/vary", fields(200, "page", "Cache-Control: max-age=60", "Vary: Accept-Language"))
	r.page("/behind", fields(200, "page", "Cache-Control: max-age=1, stale-while-revalidate=600"))
	r.page("/part", servePart(string(pattern(1000)), "Cache-Control: max-age=60"))
	r.page("/no-store", fields(200, "page", "Cache-Control: no-store"))
	for _, p := range []string{"/fresh", "/vary", "/behind", "/no-store", "/fresh?a=%7Eb"} {
		r.get(p, "Accept-Language: de")
	}
	r.get("/part", "Range: bytes=0-9")
	ask := func(url string, want icp.Opcode) {
		t.Helper()
		if got := r.proxy.Answer(url); got != want {
			t.Errorf("%s: %v, want %v", url, got, want)
		}
	}
	o := r.origin.URL
	ask(o+"/fresh", icp.OpHit)
	ask(strings.Replace(o, "http", "HTTP", 1)+"/fresh", icp.OpHit)
	ask(o+"/fresh?a=%7Eb", icp.OpHit)
	ask(o+"/fresh?a=~b", icp.OpMiss)
	ask(o+"/vary", icp.OpHit)
	ask(o+"/behind", icp.OpHit)
	ask(o+"/part", icp.OpMiss)
	ask(o+"/no-store", icp.OpMiss)
	ask(o+"/never", icp.OpMiss)
	for _, bad := range []string{"", "nonsense", "/path", "ftp://a/b", "http://", "http://u:p@a/", "http:opaque", "http://a/%zz", "http://[::1/"} {
		ask(bad, icp.OpErr)
	}
	r.pass(30 * time.Second)
	ask(o+"/fresh", icp.OpHit)
	ask(o+"/behind", icp.OpMiss) // it would be served stale, and refreshed
	r.pass(time.Hour)
	ask(o+"/fresh", icp.OpMiss)
	if n := r.asked("/behind"); n != 1 {
		t.Errorf("an answer asked the origin: %d", n)
	}
}

func FuzzKeyOf(f *testing.F) {
	for _, s := range []string{"http://a/b?c", "HTTP://A:80", "https://[::1]:443/x", "http://a//b\\c", "http://a/%", "x:y"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		key, ok := keyOf(s)
		if !ok {
			return
		}
		if !strings.HasPrefix(key, "http://") && !strings.HasPrefix(key, "https://") {
			t.Fatalf("%q has the key %q", s, key)
		}
	})
}

func TestHot(t *testing.T) {
	h := new(hot)
	for i, c := range []struct {
		key  string
		want bool
	}{
		{"a", false}, {"a", true}, {"b", false}, {"c", false}, {"a", true}, {"d", false}, {"e", false}, {"f", false}, {"a", false},
	} {
		if got := h.again(c.key, 3); got != c.want {
			t.Errorf("%s at %d: %v", c.key, i, got)
		}
	}
	h.given.Store(1<<32 - 2)
	h.again("x", 3)
	h.again("y", 3) // the count begins again
	if !h.again("x", 3) {
		t.Error("forgotten when the count wrapped")
	}
}

func TestHops(t *testing.T) {
	if n := hops(http.Header{"Via": {"1.1 a, 1.1 b", "1.0 c"}}); n != 3 {
		t.Errorf("%d", n)
	}
}
