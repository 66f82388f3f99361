package http1

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cachenode/cachenode/internal/units"
)

// uploads is a server with a least rate of bodies, whose handler reads them in
// pieces and tells how that ended. It lends clients so much time.
func uploads(t *testing.T, rate units.Size, lent time.Duration, pause func()) (*rig, chan error) {
	ended := make(chan error, 1)
	r := newRig(t, func(r *rig, o *Options) {
		o.BodyMinRate = rate
		r.serve = func(w http.ResponseWriter, q *http.Request) {
			buf := make([]byte, 16<<10)
			for {
				pause()
				if _, err := q.Body.Read(buf); errors.Is(err, io.EOF) {
					_, _ = io.WriteString(w, "all")
					ended <- nil
					return
				} else if err != nil {
					ended <- err
					panic(http.ErrAbortHandler)
				}
			}
		}
	})
	r.srv.bodyTime = lent
	return r, ended
}

// A body that comes a byte at a time does not hold its connection for ever,
// however it is framed.
func TestBodyInDrops(t *testing.T) {
	for _, framing := range []struct{ head, drop string }{
		{"Content-Length: 1000000", "x"},
		{"Transfer-Encoding: chunked", "1\r\nx\r\n"},
	} {
		t.Run(framing.head, func(t *testing.T) {
			r, ended := uploads(t, units.MiB, 100*time.Millisecond, func() {})
			c := r.dial()
			fmt.Fprintf(c, "POST /a HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", framing.head)
			over := make(chan bool)
			defer close(over)
			go func() {
				for {
					select {
					case <-over:
						return
					case <-time.After(5 * time.Millisecond):
					}
					if _, err := io.WriteString(c, framing.drop); err != nil {
						return
					}
				}
			}()
			select {
			case err := <-ended:
				if !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("it ends with %v", err)
				}
			case <-time.After(20 * time.Second):
				t.Fatal("it goes on and on")
			}
			r.eventually("count", func() bool { return r.srv.Stats().BodySlow == 1 })
		})
	}
}

// A slow but steady upload goes on for longer than what is lent, and so does one
// whose reader takes its time.
func TestSlowUploadGoesOn(t *testing.T) {
	const lent = 2 * time.Second // a loaded machine's pauses
	t.Run("steady", func(t *testing.T) {
		t.Parallel()
		r, ended := uploads(t, 100, lent, func() {})
		c := r.dial()
		fmt.Fprint(c, "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
		for begun := time.Now(); time.Since(begun) < 2*lent; time.Sleep(20 * time.Millisecond) {
			_, err := fmt.Fprintf(c, "64\r\n%s\r\n", strings.Repeat("x", 100))
			r.must(err)
		}
		fmt.Fprint(c, "0\r\n\r\n")
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if res, got := readResponse(t, bufio.NewReader(c), "POST"); res.StatusCode != 200 || got != "all" {
			t.Errorf("%s %q", res.Status, got)
		}
	})
	t.Run("slow reader", func(t *testing.T) {
		t.Parallel()
		r, ended := uploads(t, units.MiB, lent/4, func() { time.Sleep(lent / 4) })
		got := r.raw("POST /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 100000\r\n\r\n%s", strings.Repeat("x", 100_000))
		if err := <-ended; err != nil || !strings.HasSuffix(got, "all") {
			t.Errorf("%v, %q", err, got)
		}
	})
}
