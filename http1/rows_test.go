package http1

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cachenode/cachenode/internal/hostile"
)

// What is no acceptable request is answered and the connection closed; the
// handler is never asked, neither for it nor for what stands behind it.
func TestRefusedRequests(t *testing.T) {
	var asked atomic.Int64
	r := newRig(t, func(r *rig, _ *Options) {
		r.serve = func(http.ResponseWriter, *http.Request) { asked.Add(1) }
		r.short = func(*Conn, *Request) bool { asked.Add(1); return false }
	})
	kinds := map[string]uint64{}
	for _, row := range hostile.Requests("/a") {
		t.Run(row.Name, func(t *testing.T) {
			asked.Store(0)
			before := r.srv.Stats().Refused
			c := r.dial()
			_, err := io.WriteString(c, row.Bytes+"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
			r.must(err)
			b, err := io.ReadAll(c)
			if err != nil {
				t.Errorf("reading: %v", err)
			}
			got := string(b)
			if !strings.HasPrefix(got, fmt.Sprintf("HTTP/1.1 %d ", row.Status)) || strings.Count(got, "HTTP/1.1 ") != 1 {
				t.Errorf("answered %q, want %d", got, row.Status)
			}
			if !strings.Contains(got, "X-Kind: "+row.Kind) {
				t.Errorf("answered %q, want %s", got, row.Kind)
			}
			if asked.Load() != 0 {
				t.Error("the handler was asked")
			}
			for kind, n := range r.srv.Stats().Refused {
				kinds[kind] += n - before[kind]
			}
		})
	}
	for kind, n := range kinds {
		if n == 0 {
			t.Errorf("%s is not counted", kind)
		}
	}
}

// The same rows in two pieces, cut at every byte, are refused the same way.
func TestRefusedInPieces(t *testing.T) {
	lim := &limits{head: 64 << 10, uri: 16 << 10, fields: 200}
	for _, row := range hostile.Requests("/a") {
		if len(row.Bytes) > 1000 || strings.HasPrefix(row.Name, "chunks:") {
			continue
		}
		whole := new(Request)
		_, want := whole.parse([]byte(row.Bytes), lim)
		for cut := 1; cut < len(row.Bytes); cut++ {
			part := new(Request)
			done, bad := part.parse([]byte(row.Bytes[:cut]), lim)
			if done || bad != nil && bad.status != want.status && bad != oldVersion {
				t.Errorf("%s: %q is %v, whole it is %v", row.Name, row.Bytes[:cut], bad, want)
				break
			}
		}
	}
}
