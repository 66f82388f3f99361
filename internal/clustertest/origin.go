package clustertest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// Origin is a web server of scripted pages; what is not scripted is a text that
// follows from its path, good for an hour.
type Origin struct {
	srv *httptest.Server

	mu    sync.Mutex // guards what follows
	pages map[string]http.HandlerFunc
	asked map[string]int
	total int
}

func newOrigin(t testing.TB) *Origin {
	o := &Origin{pages: map[string]http.HandlerFunc{}, asked: map[string]int{}}
	o.srv = httptest.NewServer(o)
	t.Cleanup(func() {
		o.srv.CloseClientConnections()
		o.srv.Close()
	})
	return o
}

// ServeHTTP implements http.Handler.
func (o *Origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	h := o.pages[r.URL.Path]
	o.asked[r.URL.Path]++
	o.total++
	o.mu.Unlock()
	if h != nil {
		h(w, r)
		return
	}
	w.Header().Set("Cache-Control", "max-age=3600")
	w.Header().Set("Etag", `"`+r.URL.Path+`"`)
	_, _ = io.WriteString(w, Text(r.URL.Path)) // the proxy may be killed
}

// Text is what a page that is not scripted says.
func Text(path string) string { return strings.Repeat(path+" ", 50+len(path)*7) }

// URL is where the origin is.
func (o *Origin) URL() string { return o.srv.URL }

// Page scripts a path.
func (o *Origin) Page(path string, h http.HandlerFunc) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pages[path] = h
}

// Asked is how often a path was asked for, "" any.
func (o *Origin) Asked(path string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	if path == "" {
		return o.total
	}
	return o.asked[path]
}
