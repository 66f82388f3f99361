package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cachenode/cachenode/accesslog"
	"github.com/cachenode/cachenode/cache"
)

// panicking is a store with a defect.
type panicking struct{ cache.Store }

func (panicking) Create(*cache.Meta) (cache.Writer, error) { panic("a defect") }

// A defect of our own in a fetch ends that fetch and not the process.
func TestPanicInAFetch(t *testing.T) {
	r := newRig(t, func(c *rigConfig) { c.store = func(s cache.Store) cache.Store { return panicking{s} } })
	r.page("/a", fields(200, "a", "Cache-Control: max-age=60"))
	r.page("/b", fields(200, "b", "Cache-Control: no-store"))
	if got := r.get("/a"); got.StatusCode < 500 {
		t.Errorf("%d", got.StatusCode)
	}
	r.get("/b").want(t, 200, "fwd=uri-miss", "b")
}

// With too many waiting for one fetch the rest are answered at once, and what
// they held is given back.
func TestTooManyWaiters(t *testing.T) {
	cs := &countingStore{t: t}
	r := newRig(t, func(c *rigConfig) {
		c.proxy.Fill.MaxWaiters = 3
		c.store = func(s cache.Store) cache.Store { cs.Store = s; return cs }
	})
	r.page("/a", fields(200, "old", "Cache-Control: max-age=1", `ETag: "1"`))
	r.get("/a")
	r.pass(10 * time.Second)
	go_ := make(chan bool)
	r.page("/a", func(w http.ResponseWriter, q *http.Request) {
		<-go_
		w.Header().Set("Cache-Control", "max-age=60")
		w.WriteHeader(304)
	})
	var wg sync.WaitGroup
	var mu sync.Mutex
	statuses := map[int]int{}
	for range 10 {
		wg.Go(func() {
			got := r.get("/a")
			mu.Lock()
			defer mu.Unlock()
			statuses[got.StatusCode]++
		})
	}
	r.eventually("refusals", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return statuses[503] == 7
	})
	close(go_)
	wg.Wait()
	if statuses[200] != 3 {
		t.Errorf("%v", statuses)
	}
	r.eventually("pins given back", cs.settled)
}

// Every request is logged once, however it ends.
func TestLoggedOnce(t *testing.T) {
	r := newRig(t)
	body := strings.Repeat("x", 5_000_000)
	r.page("/big", fields(200, body, "Cache-Control: no-store"))
	r.page("/cut", func(w http.ResponseWriter, q *http.Request) {
		io.WriteString(w, "x")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	for i := range 10 {
		c := r.connect()
		fmt.Fprintf(c, "GET %s/big HTTP/1.1\r\nHost: x\r\n\r\n", r.origin.URL)
		c.Read(make([]byte, 1000))
		c.Close()
		r.raw("GET %s/cut HTTP/1.1\r\nHost: x\r\n\r\n", r.origin.URL)
		r.raw("GET /bad HTTP/1.1\r\nHost: x\r\n\r\n")
		log := r.entries(3 * (i + 1))
		if len(log) != 3*(i+1) {
			t.Fatalf("%d entries", len(log))
		}
		for _, e := range log[3*i:] {
			if aborted := !strings.HasSuffix(e.URL, "/bad"); e.Result.Aborted != aborted || e.BytesOut == 0 || e.BytesIn == 0 {
				t.Errorf("%+v", e)
			}
		}
	}
}

// A stop does not wait for a client that never reads.
func TestShutdownEndsStuckFetches(t *testing.T) {
	r := newRig(t)
	r.page("/big", func(w http.ResponseWriter, q *http.Request) {
		for piece := string(pattern(100_000)); ; {
			if _, err := io.WriteString(w, piece); err != nil {
				return
			}
		}
	})
	c := r.connect()
	defer c.Close()
	fmt.Fprintf(c, "GET %s/big HTTP/1.1\r\nHost: x\r\n\r\n", r.origin.URL)
	c.Read(make([]byte, 10))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	context.AfterFunc(ctx, func() { r.front.server.Close() })
	if err := r.proxy.Shutdown(ctx); err == nil {
		t.Error("nothing was cut")
	}
}

// A part is kept when the origin could not give the rest.
func TestPartOutlivesAFailure(t *testing.T) {
	r := newRig(t)
	body := string(pattern(1000))
	r.page("/p", servePart(body, "Cache-Control: max-age=60"))
	r.get("/p", "Range: bytes=0-99")
	r.page("/p", fields(503, "down"))
	if got := r.get("/p", "Range: bytes=0-199"); got.StatusCode != 503 {
		t.Errorf("%d", got.StatusCode)
	}
	r.get("/p", "Range: bytes=10-19").want(t, 206, "hit", body[10:20])
}

// When a stop is over, what it cut has been logged: the log is closed next.
func TestShutdownWaitsForTheLog(t *testing.T) {
	logging, write := make(chan bool), make(chan bool)
	r := newRig(t, func(c *rigConfig) {
		c.record = func(*accesslog.Entry) { close(logging); <-write }
	})
	far := strings.TrimPrefix(r.origin.URL, "http://")
	c := r.connect()
	defer c.Close()
	fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", far, far)
	c.Read(make([]byte, 12))
	cut, cancel := context.WithCancel(t.Context())
	cancel()
	ended := make(chan error)
	go func() { ended <- r.proxy.Shutdown(cut) }()
	<-logging
	select {
	case <-ended:
		t.Error("ended before the tunnel was logged")
	case <-time.After(100 * time.Millisecond):
		close(write)
		<-ended
	}
}

// A stop does not end while requests that it cut are still being logged, however
// long all of them take together.
func TestShutdownWaitsForSlowLogging(t *testing.T) {
	const tunnels = 30
	var logged atomic.Int32
	var one sync.Mutex
	r := newRig(t, func(c *rigConfig) {
		c.record = func(*accesslog.Entry) {
			one.Lock()
			defer one.Unlock()
			time.Sleep(50 * time.Millisecond)
			logged.Add(1)
		}
	})
	r.proxy.settling.step = 50 * time.Millisecond // in all a fraction of what they take
	for range tunnels {
		c, err := connected(r)
		r.must(err)
		defer c.Close()
	}
	cut, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.proxy.Shutdown(cut); !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "stuck") {
		t.Error(err)
	}
	if n := logged.Load(); n != tunnels {
		t.Errorf("%d of %d requests are logged", n, tunnels)
	}
}

// connected opens a tunnel to the origin.
func connected(r *rig) (net.Conn, error) {
	far := strings.TrimPrefix(r.origin.URL, "http://")
	c := r.connect()
	fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", far, far)
	_, err := io.ReadFull(c, make([]byte, len("HTTP/1.1 200 ")))
	return c, err
}

// stuckStore answers look-ups only when it is let.
type stuckStore struct {
	cache.Store
	stuck chan bool
}

func (s stuckStore) Lookup(key string) []cache.Object {
	<-s.stuck
	return s.Store.Lookup(key)
}

// A request that does not end when it is cut is logged nevertheless, and once.
func TestStuckRequestIsLogged(t *testing.T) {
	stuck := make(chan bool)
	r := newRig(t, func(c *rigConfig) {
		c.store = func(s cache.Store) cache.Store { return stuckStore{s, stuck} }
	})
	r.proxy.settling = settling{step: time.Millisecond, steps: 3}
	c := r.connect()
	defer c.Close()
	fmt.Fprintf(c, "GET %s/a HTTP/1.1\r\nHost: x\r\nVia: 1.1 n12\r\n\r\n", r.origin.URL)
	r.eventually("request", func() bool { return r.proxy.active.len() == 1 })
	cut, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.proxy.Shutdown(cut); err == nil || !strings.Contains(err.Error(), "1 requests are stuck") {
		t.Error(err)
	}
	log := r.entries(1)
	if e := log[0]; e.URL != r.origin.URL+"/a" || e.Method != "GET" || !e.Result.Aborted || !e.Client.IsLoopback() {
		t.Errorf("%+v", e)
	}
	close(stuck)
	r.eventually("end of the request", func() bool { return r.proxy.active.len() == 0 })
	if log := r.entries(1); len(log) != 1 {
		t.Errorf("it is logged %d times", len(log))
	}
}
