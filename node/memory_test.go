package node

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"

	"github.com/cachenode/cachenode/internal/units"
)

func TestSoftLimit(t *testing.T) {
	const mib = int64(units.MiB)
	for _, tt := range []struct {
		name                  string
		budget, live, ceiling int64
		want                  int64
	}{
		{"budget", 352 * mib, 100 * mib, 0, 352 * mib},
		{"many connections", 352 * mib, 400 * mib, 0, 500 * mib},
		{"control group", 352 * mib, 400 * mib, 450 * mib, 450 * mib},
		{"small control group", 352 * mib, 0, 200 * mib, 200 * mib},
	} {
		if got := softLimit(tt.budget, tt.live, tt.ceiling); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

// In little memory the heap leaves room for what the kernel keeps for the process,
// and the memory tier leaves some for requests.
func TestLittleMemory(t *testing.T) {
	const mib = int64(units.MiB)
	for _, c := range []struct{ memory, heap, tier int64 }{
		{0, 0, 256}, {128, 64, 32}, {256, 128, 64}, {512, 384, 192}, {1024, 896, 256}, {65536, 58983, 256},
	} {
		if got := (ceiling(c.memory*mib) + mib - 1) / mib; got != c.heap {
			t.Errorf("of %d MiB: a heap of %d, want %d", c.memory, got, c.heap)
		}
		if got := fitting(256*units.MiB, c.memory*mib); got != units.Size(c.tier*mib) {
			t.Errorf("of %d MiB: a memory tier of %v, want %d MiB", c.memory, got, c.tier)
		}
	}
}

// A machine that is there for the cache may give most of its memory to it.
func TestMuchMemory(t *testing.T) {
	for memory, want := range map[units.Size]units.Size{
		8 * units.GiB:  3686 * units.MiB,
		32 * units.GiB: 25395 * units.MiB,
		64 * units.GiB: 48 * units.GiB,
	} {
		if got := fitting(48*units.GiB, int64(memory)) / units.MiB * units.MiB; got != want {
			t.Errorf("of %v: %v, want %v", memory, got, want)
		}
	}
}

func TestOverhead(t *testing.T) {
	for memory, want := range map[units.Size]units.Size{
		0:               128 * units.MiB,
		512 * units.MiB: 128 * units.MiB,
		4 * units.GiB:   256 * units.MiB,
		256 * units.GiB: 512 * units.MiB,
	} {
		if got := overhead(memory); got != want {
			t.Errorf("with %v: %v, want %v", memory, got, want)
		}
	}
	if machineMemory() < 16*units.MiB {
		t.Errorf("the machine has %v", machineMemory())
	}
}

func TestKeepMemoryGivesTheLimitBack(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		KeepMemory(ctx, Options{MemoryLimit: units.GiB}, slog.New(slog.DiscardHandler))
	}()
	if os.Getenv("GOMEMLIMIT") == "" {
		until(t, "the limit is set", func() bool { return debug.SetMemoryLimit(-1) != before })
	}
	cancel()
	<-done
	if after := debug.SetMemoryLimit(-1); after != before {
		t.Errorf("the limit is %d, was %d", after, before)
	}
}

func TestCgroupLimit(t *testing.T) {
	for _, tt := range []struct {
		name  string
		self  string
		files map[string]string
		want  int64
	}{
		{"version 2", "0::/a/b\n", map[string]string{"a/b/memory.max": "1000\n"}, 1000},
		{"version 2, the parent is tighter", "0::/a/b\n", map[string]string{"a/b/memory.max": "1000\n", "a/memory.max": "500\n"}, 500},
		{"version 2, none", "0::/a\n", map[string]string{"a/memory.max": "max\n"}, 0},
		{"version 2 in a container", "0::/\n", map[string]string{"memory.max": "2000\n"}, 2000},
		{"version 1", "5:memory:/x\n4:cpu:/y\n", map[string]string{"memory/x/memory.limit_in_bytes": "3000\n"}, 3000},
		{"version 1, none", "5:memory:/x\n", map[string]string{"memory/x/memory.limit_in_bytes": "9223372036854771712\n"}, 0},
		{"nonsense", "what\n", map[string]string{"memory.max": "x"}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			for name, text := range tt.files {
				path := filepath.Join(root, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			self := filepath.Join(root, "self")
			if err := os.WriteFile(self, []byte(tt.self), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := cgroupLimit(self, root); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}
