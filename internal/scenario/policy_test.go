package scenario

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// One user's page never reaches another, whatever marks it as his.
func TestPrivateStaysPrivate(t *testing.T) {
	t.Parallel()
	n, o := start(t), newOrigin(t)
	echo := func(field string, lines ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			fields(200, "for "+r.Header.Get(field), lines...)(w, r)
		}
	}
	o.page("/authorized", echo("Authorization", "Cache-Control: max-age=60"))
	o.page("/private", echo("Cookie", "Cache-Control: private, max-age=60"))
	o.page("/second-line", echo("Cookie", "Cache-Control: max-age=60", "Cache-Control: private"))
	o.page("/vary-all", echo("Cookie", "Cache-Control: max-age=60", "Vary: *"))
	o.page("/vary", echo("Cookie", "Cache-Control: max-age=60", "Vary: Accept, Cookie"))
	o.page("/cookie", echo("Cookie", "Last-Modified: Mon, 02 Jan 2006 15:04:05 GMT", "Set-Cookie: id=1"))
	for _, path := range []string{"/authorized", "/private", "/second-line", "/vary-all", "/vary", "/cookie"} {
		field := "Cookie"
		if path == "/authorized" {
			field = "Authorization"
		}
		var users sync.WaitGroup
		for i := range 20 {
			users.Go(func() {
				who := fmt.Sprintf("user%d", i%5)
				c := n.client()
				defer c.CloseIdleConnections()
				r, err := ask(c, request(t, http.MethodGet, o.url(path), nil, field+": "+who))
				if err != nil || r.text != "for "+who {
					t.Errorf("%s: %s gets %+v, %v", path, who, r, err)
				}
			})
		}
		users.Wait()
	}
}

// The life of a stored page: fresh, validated, changed, invalidated, stale.
func TestLifeOfAPage(t *testing.T) {
	t.Parallel()
	n, o := start(t), newOrigin(t)
	var mu sync.Mutex // guards text and down
	text, down := "one", false
	set := func(s string, d bool) {
		mu.Lock()
		defer mu.Unlock()
		text, down = s, d
	}
	o.page("/p", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		tag := `"` + text + `"`
		switch {
		case down:
			w.WriteHeader(503)
			return
		case r.Method == http.MethodPost:
			w.WriteHeader(204)
			return
		}
		w.Header().Set("Cache-Control", "max-age=1, stale-if-error=60")
		w.Header().Set("ETag", tag)
		if r.Header.Get("If-None-Match") == tag {
			w.WriteHeader(304)
			return
		}
		_, _ = io.WriteString(w, text)
	})
	stale := func() {
		t.Helper()
		eventually(t, "staleness", func() bool { return n.stored(o.url("/p")).StatusCode == 504 })
	}
	n.get(o.url("/p")).want(t, 200, "fwd=uri-miss", "one")
	stale()
	n.get(o.url("/p")).want(t, 200, "", "one") // validated
	set("two", false)
	stale()
	n.get(o.url("/p")).want(t, 200, "fwd=stale; fwd-status=200", "two")
	set("three", false)
	r, err := ask(n.client(), request(t, http.MethodPost, o.url("/p"), strings.NewReader("x")))
	must(t, err)
	r.want(t, 204, "fwd=method", "")
	n.get(o.url("/p")).want(t, 200, "fwd=uri-miss", "three")
	stale()
	set("", true)
	n.get(o.url("/p")).want(t, 200, "hit; ttl=-", "three")
}
