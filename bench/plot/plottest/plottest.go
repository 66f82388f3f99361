// Package plottest opens pages of package plot in a browser, for tests. It does
// not look at what is drawn.
package plottest

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// Open shows a page in headless Chromium and returns its document as the browser
// has it. The test fails when the page asks for anything else, or when the
// console says anything: a style that the page's own policy refuses, say. It is
// skipped where there is no Chromium.
func Open(t *testing.T, page string) (dom string) {
	t.Helper()
	program := browser(t)
	var mu sync.Mutex // guards asked
	var asked []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked = append(asked, r.URL.Path)
		mu.Unlock()
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, page)
	}))
	defer s.Close()
	dom, said := show(t, program, s.URL+"/page")
	mu.Lock()
	defer mu.Unlock()
	if len(asked) != 1 {
		t.Errorf("the page made the browser ask for %v", asked)
	}
	if i := strings.Index(said, "CONSOLE"); i >= 0 {
		t.Errorf("the console says %s", said[i:min(len(said), i+400)])
	}
	return dom
}

func browser(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("no Chromium is installed")
	return ""
}

// show returns the document and what the browser logged.
func show(t *testing.T, program, url string) (dom, said string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-default-apps", "--disable-extensions", "--disable-sync",
		"--user-data-dir="+t.TempDir(), "--no-proxy-server", "--enable-logging=stderr", "--v=0", "--virtual-time-budget=5000", "--dump-dom", url)
	c.WaitDelay = 10 * time.Second // a child of the browser may hold its output
	var out, errOut bytes.Buffer
	c.Stdout, c.Stderr = &out, &errOut
	if err := c.Run(); err != nil {
		t.Fatalf("the browser ends with %v\n%s", err, errOut.String())
	}
	return out.String(), errOut.String()
}
