package proxy

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/cachenode/cachenode/accesslog"
	"github.com/cachenode/cachenode/internal/hostile"
)

// What is no acceptable request gets one of our pages, one line in the log and
// a closed connection; the origin sees nothing, neither of it nor of what stands
// behind it.
func TestHostileRequests(t *testing.T) {
	r := newRig(t)
	for i, q := range hostile.Requests(r.origin.URL + "/a") {
		t.Run(q.Name, func(t *testing.T) {
			c := r.connect()
			defer c.Close()
			_, err := io.WriteString(c, q.Bytes+"GET "+r.origin.URL+"/smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
			r.must(err)
			b, err := io.ReadAll(c)
			got := string(b)
			if err != nil || !strings.HasPrefix(got, fmt.Sprintf("HTTP/1.1 %d ", q.Status)) || strings.Contains(got, "\nHTTP/1.") {
				t.Fatalf("%v, answered %q, want %d", err, clip(got, 500), q.Status)
			}
			for _, want := range []string{"Connection: close\r\n", "Proxy-Status: n1; error=", `<body id="ERR_`} {
				if !strings.Contains(got, want) {
					t.Errorf("no %s in %q", want, clip(got, 900))
				}
			}
			e := r.entries(i + 1)[i]
			if e.Status != q.Status || e.Result != (accesslog.Result{None: true}) || e.BytesOut != int64(len(got)) || e.BytesIn == 0 || e.URL == "" || !e.Client.IsLoopback() {
				t.Errorf("log %+v, want %d bytes", e, len(got))
			}
		})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.seen) > 0 {
		t.Errorf("the origin was asked: %v", r.seen)
	}
}
