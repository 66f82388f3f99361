package store_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/cachenode/cachenode/cache"
	"github.com/cachenode/cachenode/cache/store"
	"github.com/cachenode/cachenode/cache/store/storetest"
	"github.com/cachenode/cachenode/internal/units"
)

// TestMain looks for goroutines that are left. Those two badger leaves behind
// when Open fails, which the tests of damaged stores provoke; an open badger has
// others too. One that could not be closed on a full disk leaves all of them.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 && !leftOpen.Load() {
		if err := goleak.Find(
			goleak.IgnoreTopFunction("github.com/dgraph-io/badger/v4.(*DB).monitorCache"),
			goleak.IgnoreTopFunction("github.com/dgraph-io/ristretto/v2/z.(*AllocatorPool).freeupAllocators"),
		); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// leftOpen says that a store gave its index up without closing it.
var leftOpen atomic.Bool

// closings notes in leftOpen what a store says of closing its index.
type closings struct{ slog.Handler }

func (closings) Enabled(context.Context, slog.Level) bool { return true }

func (closings) Handle(_ context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "no room to close the index") {
		leftOpen.Store(true)
	}
	return nil
}

// open opens a store for a test; change adapts the options.
func open(t testing.TB, change func(o *store.Options)) *store.Store {
	t.Helper()
	o := store.DefaultOptions()
	o.Dir = t.TempDir()
	o.Memory = 16 * units.MiB
	o.Disk = 256 * units.MiB
	if change != nil {
		change(&o)
	}
	s, err := store.New(o, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestConformance(t *testing.T) {
	for name, change := range map[string]func(o *store.Options){
		"both":   nil,
		"disk":   func(o *store.Options) { o.Memory = 0 },
		"memory": func(o *store.Options) { o.Disk, o.Memory = 0, 512*units.MiB; o.MemoryMaxObject = 0 },
		"small":  func(o *store.Options) { o.Memory, o.Disk = units.MiB, 64*units.MiB },
	} {
		t.Run(name, func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) cache.Store { return open(t, change) })
		})
	}
	t.Run("reference", func(t *testing.T) {
		storetest.Run(t, func(*testing.T) cache.Store { return store.NewInMemory(64 << 20) })
	})
}

var discard = slog.New(slog.DiscardHandler)
