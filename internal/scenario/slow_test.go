package scenario

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// A client that stops reading is cut off, and frees its origin.
func TestClientThatNeverReads(t *testing.T) {
	t.Parallel()
	n, o := start(t, "--config", config(t, "proxy: {client: {write_timeout: 1s}}\n")), newOrigin(t)
	gone := make(chan struct{})
	o.page("/big", func(w http.ResponseWriter, r *http.Request) {
		endless(1<<30, "Cache-Control: no-store")(w, r)
		close(gone)
	})
	c := n.dial()
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", o.url("/big"))
	e := n.log(1)[0]
	if e.result != "TCP_MISS_TIMEDOUT_ABORTED" || e.elapsed < 900 {
		t.Errorf("log %+v", e)
	}
	<-gone
	if got, _ := io.Copy(io.Discard, c); got >= 1<<30 { // a reset may follow
		t.Error("nothing was cut")
	}
}

// An origin that pauses in the middle is given up, and nobody takes the part
// for the whole.
func TestOriginThatPauses(t *testing.T) {
	t.Parallel()
	n, o := start(t, "--config", config(t, "proxy: {upstream: {read_timeout: 1s}}\n")), newOrigin(t)
	more := make(chan struct{})
	defer close(more)
	o.page("/pause", slowly(pattern(100_000), more))
	o.page("/chunks", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "some")
		w.(http.Flusher).Flush()
		select {
		case <-more:
		case <-r.Context().Done():
		}
	})
	for _, path := range []string{"/pause", "/chunks"} {
		if r := n.get(o.url(path)); r.err == nil {
			t.Errorf("%s: %s, %d bytes look whole", path, r.Status, len(r.text))
		}
	}
	for _, e := range n.log(2) {
		if e.result != "TCP_MISS_TIMEDOUT_ABORTED" {
			t.Errorf("log %+v", e)
		}
	}
}

// An origin that answers before it has all of a request, and closes, is heard:
// the client sees its answer and not an error.
func TestEarlyAnswerToAnUpload(t *testing.T) {
	t.Parallel()
	n := start(t)
	origin := server(t, func(c net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
			return
		}
		fmt.Fprint(c, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 8\r\nConnection: close\r\n\r\ntoo much")
		must(t, c.(*net.TCPConn).CloseWrite())
		_, _ = io.CopyN(io.Discard, c, 1<<20)
	})
	for i := range 5 {
		out, _ := n.curl("-i", "-T", file(t, "body", strings.Repeat("x", 8<<20)), "-H", "Expect:", "http://"+origin+"/up")
		if !strings.Contains(out, "HTTP/1.1 413 ") || !strings.Contains(out, "too much") {
			t.Errorf("upload %d: %s", i, clip(out, 600))
		}
	}
}

// A download is over when its client has gone: the origin is not read to its
// end for nobody.
func TestAbandonedDownload(t *testing.T) {
	t.Parallel()
	n, o := start(t), newOrigin(t)
	for _, kind := range []string{"no-store", "max-age=60"} {
		gone := make(chan struct{})
		o.page("/film", func(w http.ResponseWriter, r *http.Request) {
			endless(1<<40, "Cache-Control: "+kind)(w, r)
			close(gone)
		})
		c := n.dial()
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", o.url("/film"))
		_, err := io.ReadFull(c, make([]byte, 100_000))
		must(t, err)
		c.Close()
		<-gone
	}
	for _, e := range n.log(2) {
		if e.result != "TCP_MISS_ABORTED" {
			t.Errorf("log %+v", e)
		}
	}
}
