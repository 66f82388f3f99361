package report

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cachenode/cachenode/bench"
)

func page(t *testing.T, r *bench.Result) string {
	t.Helper()
	var b bytes.Buffer
	if err := Of(r, "v1").HTML(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Nothing that was measured becomes markup, and nothing is loaded from anywhere.
func TestHTMLIsInert(t *testing.T) {
	html := page(t, eventful(t))
	for _, bad := range []string{"<script", "<b>", "<svg onload", "\x1b", "\r", " src=", "@import", "url(", " style="} {
		if strings.Contains(html, bad) {
			t.Errorf("the page contains %q", bad)
		}
	}
	for _, href := range regexp.MustCompile(`href="[^"]*"`).FindAllString(html, -1) {
		if href != `href="data:,"` {
			t.Errorf("the page refers to %s", href)
		}
	}
	if len(page(t, bare())) < 1000 {
		t.Error("a run without requests has no page")
	}
}

// browsers of Debian and of others.
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

// In a browser: the page is drawn with the points that were measured, its own
// style applies under its own policy, the console stays silent, and nothing
// else is asked for.
func TestHTMLInBrowser(t *testing.T) {
	program := browser(t)
	html := page(t, eventful(t))
	var mu sync.Mutex // guards asked
	var asked []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked = append(asked, r.URL.Path)
		mu.Unlock()
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if r.URL.Path == "/report" {
			fmt.Fprint(w, html)
		}
	}))
	defer s.Close()
	dom, log := dump(t, program, s.URL+"/report")

	mu.Lock()
	defer mu.Unlock()
	if len(asked) != 1 {
		t.Errorf("the page made the browser ask for %v", asked)
	}
	if i := strings.Index(log, "CONSOLE"); i >= 0 {
		t.Errorf("the console says %s", log[i:min(len(log), i+400)])
	}
	for series, points := range map[string]int{"requests": 10, "hit ratio": 10, "p50": 10, "p99": 10, "max": 10, "errors": 10} {
		if !strings.Contains(dom, fmt.Sprintf(`data-series="%s" data-points="%d"`, series, points)) {
			t.Errorf("the plot of %s has not %d points", series, points)
		}
	}
	curve := len(Of(eventful(t), "").Total.Latency.Curve)
	if !strings.Contains(dom, fmt.Sprintf(`data-series="all" data-points="%d"`, curve)) || curve < 20 {
		t.Errorf("the percentiles have not %d points", curve)
	}
	if n := strings.Count(dom, "<svg "); n != 7 {
		t.Errorf("%d plots are drawn, want 7", n)
	}
	if n := strings.Count(dom, "<circle"); n < 10*5+curve {
		t.Errorf("%d points are drawn", n)
	}
	if strings.Contains(dom, "<script") || !strings.Contains(dom, "&lt;script&gt;alert(1)") {
		t.Error("a name from outside became markup")
	}
}

// dump opens a page and returns its document and what the browser logged.
func dump(t *testing.T, program, url string) (dom, log string) {
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
