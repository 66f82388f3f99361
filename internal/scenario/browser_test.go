package scenario

import (
	"context"
	"encoding/base64"
	"net/http"
	"os/exec"
	"strings"
	"testing"
)

// browse opens a page in a browser without a history, through the node, and
// returns the document as it is after scripts have run.
func (n *node) browse(target string) string {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c := exec.CommandContext(ctx, wants(n.t, "chromium"), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
		"--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking", "--disable-component-update",
		"--disable-default-apps", "--disable-extensions", "--disable-sync", "--user-data-dir="+n.t.TempDir(),
		"--proxy-server=http://"+n.proxy, "--proxy-bypass-list=<-loopback>",
		"--virtual-time-budget=20000", "--dump-dom", target)
	c.WaitDelay = patience / 10 // a child of the browser may hold its output
	out, err := c.Output()
	if err != nil {
		n.t.Fatalf("the browser ends with %v", err)
	}
	return string(out)
}

// The page tells on itself: what ran, what was styled, what was painted.
const (
	browserPage = `<!DOCTYPE html><html><head><title>t</title><link rel="stylesheet" href="/s.css"></head>
<body><p id="p">waiting</p><img id="i" src="/i.png"><script src="/s.js"></script></body></html>`
	browserScript = `onload = async () => {
  const p = document.getElementById("p"), i = document.getElementById("i");
  const data = await (await fetch("/data.json")).json();
  p.textContent = "colour " + getComputedStyle(p).color + " image " + i.naturalWidth + "x" + i.naturalHeight + " data " + data.n;
};`
	browserImage = "iVBORw0KGgoAAAANSUhEUgAAAAMAAAACCAIAAAASFvFNAAAAEElEQVR42mP4z8AARAwQCgAf7gP9i18U1AAAAABJRU5ErkJggg=="
)

// A page with a script, a style sheet, an image and a fetch renders, and once
// more for another visitor when its origin is gone.
func TestBrowserShowsAPageAgainWithoutItsOrigin(t *testing.T) {
	t.Parallel()
	wants(t, "chromium")
	n, o := start(t), newOrigin(t)
	image, err := base64.StdEncoding.DecodeString(browserImage)
	must(t, err)
	page := func(path, kind, body string) {
		o.page(path, fields(http.StatusOK, body, "Content-Type: "+kind, "Cache-Control: max-age=3600", "Vary: Accept-Encoding"))
	}
	page("/", "text/html", browserPage)
	page("/s.css", "text/css", "p { color: rgb(1, 2, 3) }")
	page("/s.js", "text/javascript", browserScript)
	page("/data.json", "application/json", `{"n": 42}`)
	page("/i.png", "image/png", string(image))
	page("/favicon.ico", "image/png", string(image))

	const want = "colour rgb(1, 2, 3) image 3x2 data 42"
	if dom := n.browse(o.url("/")); !strings.Contains(dom, want) {
		t.Fatalf("the browser shows\n%s", dom)
	}
	asked := o.asked("*")
	o.stop()
	if dom := n.browse(o.url("/")); !strings.Contains(dom, want) {
		t.Errorf("without the origin the browser shows\n%s", dom)
	}
	if o.asked("*") != asked {
		t.Error("the origin was asked again")
	}
}

// An error page is readable in a browser too.
func TestBrowserShowsErrorPages(t *testing.T) {
	t.Parallel()
	wants(t, "chromium")
	n := start(t)
	dom := n.browse("http://" + freePort(t) + "/")
	wantIn(t, dom, `<body id="ERR_CONNECT_FAIL">`, "502 Bad Gateway", "could not be connected to")
}
