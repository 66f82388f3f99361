package proxy

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cachenode/cachenode/accesslog"
)

// The probes on the proxy port say whether to send clients, to anybody, and are
// no traffic.
func TestProbes(t *testing.T) {
	var draining atomic.Bool
	r := newRig(t, func(c *rigConfig) {
		c.ready = func() error {
			if draining.Load() {
				return errors.New("draining")
			}
			return nil
		}
		c.access.AllowFrom = []string{"192.0.2.0/24"} // nobody here
	})
	for _, c := range []struct {
		request  string
		draining bool
		want     string // what the answer begins with
		body     string
	}{
		{"GET /readyz HTTP/1.1", false, "HTTP/1.1 200 ", "ok\n"},
		{"GET /readyz HTTP/1.0", false, "HTTP/1.1 200 ", "ok\n"},
		{"HEAD /readyz HTTP/1.1", false, "HTTP/1.1 200 ", ""},
		{"GET /livez HTTP/1.1", true, "HTTP/1.1 200 ", "ok\n"},
		{"GET /readyz HTTP/1.1", true, "HTTP/1.1 503 ", "draining\n"},
		{"HEAD /readyz HTTP/1.1", true, "HTTP/1.1 503 ", ""},
	} {
		draining.Store(c.draining)
		got := r.raw("%s\r\nHost: x\r\nConnection: close\r\n\r\n", c.request)
		_, body, _ := strings.Cut(got, "\r\n\r\n")
		if !strings.HasPrefix(got, c.want) || body != c.body || !strings.Contains(got, "\r\nContent-Length: ") {
			t.Errorf("%s: %q", c.request, got)
		}
	}
	if n := len(r.entries(0)) + int(r.proxy.Stats().Requests); n != 0 {
		t.Errorf("probes made %d entries and requests", n)
	}
	draining.Store(false)
	for _, other := range []string{"GET /healthz", "POST /readyz", "GET /readyz/x", "GET http://" + r.front.addr + "/readyz"} {
		if got := r.raw("%s HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", other); !strings.HasPrefix(got, "HTTP/1.1 4") {
			t.Errorf("%s: %q", other, got)
		}
	}
	for _, e := range r.entries(4) {
		if e.Result.Tag == accesslog.TagHit {
			t.Errorf("%+v", e)
		}
	}
}
