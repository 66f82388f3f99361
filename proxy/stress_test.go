package proxy

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cachenode/cachenode/cache"
	"github.com/cachenode/cachenode/internal/units"
)

const stressClients = 12

// Whatever clients, the origin and the store do at once: each body is right or
// visibly broken off, and nothing is left behind.
func TestStress(t *testing.T) {
	for _, faulty := range []bool{false, true} {
		for _, disk := range []units.Size{0, 64 * units.MiB} {
			t.Run(fmt.Sprintf("faulty=%v,disk=%v", faulty, disk > 0), func(t *testing.T) { stress(t, faulty, disk) })
		}
	}
}

func stress(t *testing.T, faulty bool, disk units.Size) {
	cs := &countingStore{t: t, faulty: faulty}
	r := newRig(t, func(c *rigConfig) {
		c.disk = disk
		c.proxy.Fill.Buffer = 8 * units.KiB
		c.proxy.Fill.CompleteMissing = 64 * units.KiB
		c.proxy.Fill.MaxWaiters = 8
		c.store = func(s cache.Store) cache.Store { cs.Store = s; return cs }
	})
	m := &model{}
	for i := range m.versions {
		r.page(fmt.Sprintf("/m%d", i), m.serve(i))
	}
	rounds := 150
	if testing.Short() {
		rounds = 20
	}
	var wg sync.WaitGroup
	var whole, broken atomic.Int64
	for range stressClients {
		wg.Go(func() {
			var lastTag string
			for range rounds {
				i := rand.N(len(m.versions))
				switch rand.N(60) {
				case 0:
					cs.Delete(cache.Key(must(http.NewRequest("GET", r.origin.URL+fmt.Sprintf("/m%d", i), nil)).URL))
				case 1:
					r.pass(time.Second)
				case 2:
					r.proxy.Unshare()
				}
				ok, tag := stressOne(t, r, m, i, lastTag)
				if tag != "" {
					lastTag = tag
				}
				if ok {
					whole.Add(1)
				} else {
					broken.Add(1)
				}
			}
		})
	}
	wg.Wait()
	r.client.CloseIdleConnections()
	r.eventually("all pins and writers given back", cs.settled)
	t.Logf("%d whole, %d broken off", whole.Load(), broken.Load())
	if whole.Load() < broken.Load() {
		t.Error("hardly anything works")
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// stressOne makes one random request and checks what comes.
func stressOne(t *testing.T, r *rig, m *model, i int, lastTag string) (ok bool, tag string) {
	method := []string{"GET", "GET", "GET", "GET", "GET", "GET", "HEAD", "POST"}[rand.N(8)]
	if method == "POST" && rand.N(4) > 0 {
		method = "GET"
	}
	q := must(http.NewRequest(method, r.origin.URL+fmt.Sprintf("/m%d", i), nil))
	q.Header.Set("X-User", strconv.Itoa(rand.N(5)))
	q.Header.Set("X-Lang", strconv.Itoa(rand.N(3)))
	if rand.N(8) == 0 {
		q.Header.Set("Authorization", strconv.Itoa(rand.N(3)))
	}
	switch rand.N(10) {
	case 0:
		q.Header.Set("Range", fmt.Sprintf("bytes=%d-", rand.N(100_000)))
	case 1:
		from := rand.N(50_000)
		q.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", from, from+rand.N(50_000)))
	case 2:
		q.Header.Set("Range", fmt.Sprintf("bytes=-%d", 1+rand.N(1000)))
	case 3:
		if lastTag != "" {
			q.Header.Set("If-None-Match", lastTag)
		}
	case 4:
		q.Header.Set("Cache-Control", []string{"no-cache", "no-store", "max-stale", "only-if-cached"}[rand.N(4)])
	case 5:
		q.Header.Set("Range", "bytes=0-9,100-199,1000-1099")
	}
	resp, err := r.client.Do(q)
	if err != nil {
		return false, ""
	}
	defer resp.Body.Close()
	var from io.Reader = resp.Body
	switch rand.N(12) {
	case 0: // leave
		io.CopyN(io.Discard, resp.Body, rand.Int64N(5000))
		return true, ""
	case 1: // slow
		from = slowly{resp.Body}
	}
	body, err := io.ReadAll(from)
	if err != nil {
		if errors.Is(err, io.EOF) {
			t.Error(err)
		}
		return false, ""
	}
	if why := m.check(q, resp, body); why != "" {
		t.Errorf("%s %s %v\n%d %v: %s", method, q.URL.Path, q.Header, resp.StatusCode, resp.Header, why)
	}
	return true, resp.Header.Get("ETag")
}

type slowly struct{ r io.Reader }

func (s slowly) Read(p []byte) (int, error) {
	time.Sleep(time.Duration(rand.N(500)) * time.Microsecond)
	return s.r.Read(p[:min(len(p), 4096)])
}
