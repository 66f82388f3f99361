package store_test

import (
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/cachenode/cachenode/cache/store"
	"github.com/cachenode/cachenode/internal/units"
)

// Starts that give up because the disk has no room are no starts that died: the
// index is not set aside for them.
func TestStartsWithoutRoom(t *testing.T) {
	o := store.DefaultOptions()
	o.Dir, o.Memory, o.Disk = t.TempDir(), 16*units.MiB, 64*units.MiB
	start := func(reserve units.Size) {
		t.Helper()
		o.Reserve = reserve
		s, err := store.New(o, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}()
		if on := s.Stats().Capacity > 0; on != (reserve == 0) {
			t.Errorf("reserve %v: the disk tier is on: %v", reserve, on)
		}
	}
	start(0)
	for range 4 {
		start(1 << 60)
	}
	start(0)
	if aside, err := filepath.Glob(filepath.Join(o.Dir, "damaged-*")); len(aside) > 0 || err != nil {
		t.Errorf("%v was set aside, %v", aside, err)
	}
}
