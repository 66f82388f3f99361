package report

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/cachenode/cachenode/bench"
	"github.com/cachenode/cachenode/bench/plot/plottest"
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

// In a browser the page is drawn with the points that were measured, and names
// from outside stay text.
func TestHTMLInBrowser(t *testing.T) {
	dom := plottest.Open(t, page(t, eventful(t)))
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
