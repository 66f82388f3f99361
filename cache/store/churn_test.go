package store_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cachenode/cachenode/cache/store"
	"github.com/cachenode/cachenode/cache/store/storetest"
	"github.com/cachenode/cachenode/internal/units"
)

// churnEnv makes TestChurn write more: "1GiB,10GiB,10KiB" is quota, total and
// mean object size.
const churnEnv = "CACHENODE_STORE_CHURN"

func TestChurn(t *testing.T) {
	quota, total, mean := 64*units.MiB, 640*units.MiB, 12*units.KiB
	if v := os.Getenv(churnEnv); v != "" {
		parts := strings.Split(v, ",")
		for i, p := range []*units.Size{&quota, &total, &mean} {
			if err := p.Set(parts[i]); err != nil {
				t.Fatal(err)
			}
		}
	} else if testing.Short() {
		t.Skip("writes much")
	}
	limit := 1.05
	if mean < 10*units.KiB {
		limit = 1.25
	}
	o := options(t)
	o.Memory, o.Disk = 16*units.MiB, quota
	// The collector is told the budget, as the node does: what the memory tier
	// takes and 100 MB, less what is not in the Go heap.
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(int64(o.Memory) + 80<<20))
	s := openIn(t, o)
	ctx, cancel := context.WithCancel(context.Background())
	var behind sync.WaitGroup
	behind.Go(func() { _ = s.Run(ctx) })
	var peak, peakAnon atomic.Int64
	behind.Go(func() {
		for ctx.Err() == nil {
			peak.Store(max(peak.Load(), diskUse(o.Dir)))
			peakAnon.Store(max(peakAnon.Load(), anonymous()))
			time.Sleep(20 * time.Millisecond)
		}
	})
	start := time.Now()
	stalls, refused := churn(t, s, int64(total), int64(mean))
	took := time.Since(start)
	cancel()
	behind.Wait()
	st := s.Stats()
	t.Logf("%s written in %v: peak %.3f of the quota, anonymous memory %d MiB, stalls p50 %v p99 %v p99.9 %v max %v, %d refused",
		total, took.Round(time.Millisecond), float64(peak.Load())/float64(quota), peakAnon.Load()>>20,
		at(stalls, .5), at(stalls, .99), at(stalls, .999), at(stalls, 1), refused)
	t.Logf("%+v, full %.3f", st, float64(st.Bytes)/float64(quota))
	if got := float64(peak.Load()) / float64(quota); got > limit {
		t.Errorf("the directory took %.3f of the quota, want at most %.2f", got, limit)
	}
	if st.Corrupt > 0 || st.IOErrors > 0 {
		t.Errorf("%d corrupt, %d I/O errors", st.Corrupt, st.IOErrors)
	}
}

func churnKey(i int64) string { return fmt.Sprintf("http://example.com/objects/%d", i) }

// churnSize spreads sizes around a mean: many small ones and a few large.
func churnSize(i, mean int64) int64 {
	r := rand.New(rand.NewPCG(uint64(i), 1))
	return int64(float64(mean) * (0.2 + 1.6*r.Float64()))
}

// churn writes total bytes, reading some of what it wrote, and returns the time
// that each Commit took.
func churn(t *testing.T, s *store.Store, total, mean int64) (stalls []time.Duration, refused int64) {
	source := storetest.Body("churn", 4<<20)
	var next, written, no atomic.Int64
	var mu sync.Mutex // guards stalls
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			var mine []time.Duration
			for written.Load() < total {
				i := next.Add(1)
				n := churnSize(i, mean)
				written.Add(n)
				body := source[i%1000*1000:][:n]
				m := storetest.Meta(churnKey(i), n)
				m.Header.Set("Server", strings.Repeat("x", 200))
				at := time.Now()
				if err := storetest.TryPut(s, m, body); err != nil {
					no.Add(1)
				}
				mine = append(mine, time.Since(at))
				if i%7 == 0 {
					j := i - rand.Int64N(min(i, 1000))
					if got, ok := storetest.Get(t, s, churnKey(j)); ok && !bytes.Equal(got, source[j%1000*1000:][:churnSize(j, mean)]) {
						t.Errorf("object %d has a wrong body", j)
						return
					}
				}
			}
			mu.Lock()
			stalls = append(stalls, mine...)
			mu.Unlock()
		})
	}
	all.Wait()
	slices.Sort(stalls)
	return stalls, no.Load()
}

func at(sorted []time.Duration, q float64) time.Duration {
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// diskUse is the allocated space of a directory, as du counts it.
func diskUse(dir string) (n int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // gone meanwhile
		}
		if info, err := d.Info(); err == nil {
			n += info.Sys().(*syscall.Stat_t).Blocks * 512
		}
		return nil
	})
	return n
}

// anonymous is the anonymous memory of this process.
func anonymous() (n int64) {
	b, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(b)) {
		if _, err := fmt.Sscanf(line, "RssAnon: %d kB", &n); err == nil {
			return n << 10
		}
	}
	return 0
}
