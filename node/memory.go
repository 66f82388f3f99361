package node

import (
	"context"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cachenode/cachenode/internal/units"
)

const (
	// What a node takes beside its memory tier, for indexes, buffers, and garbage
	// that waits for collection, is a part of the machine's memory between these
	// bounds. With too little the collector runs at the cost of the requests: misses
	// that are written to disk took a third more CPU with 128 MiB than with 384.
	minOverhead, maxOverhead = 128 * units.MiB, 512 * units.MiB
	overheadPart             = 16
	// gcPercent lets the heap grow to four times what is alive between collections,
	// where the soft limit has room for it: a heap of some megabytes would else be
	// collected many times a second.
	gcPercent = 300
	// beside is what the process takes beside the heap where its memory is limited:
	// buffers of sockets, and pages on their way to the disk.
	beside, besidePart = 128 * units.MiB, 10
	// inFlight is as much of the heap as requests in flight ever need.
	inFlight = 4 * units.GiB
	// limitEvery is how often the soft limit follows the live heap.
	limitEvery = 5 * time.Second
)

// softLimit is the size the heap should stay under: the budget, or a quarter
// more than what is alive now if that needs it, since a limit below the live
// heap makes the collector run all the time; but never over the ceiling (0:
// none).
func softLimit(budget, live, ceiling int64) int64 {
	limit := max(budget, live+live/4)
	if ceiling > 0 {
		limit = min(limit, ceiling)
	}
	return limit
}

// ceiling is what the heap may take of the memory that the process may have (0:
// no bound); at least a half of it.
func ceiling(memory int64) int64 {
	return max(memory/2, memory-max(memory/besidePart, int64(beside)))
}

// fitting is the memory tier that a process of so much memory (0: no bound) can
// have. Requests in flight need as much again, up to inFlight.
func fitting(tier units.Size, memory int64) units.Size {
	if memory == 0 {
		return tier
	}
	heap := units.Size(ceiling(memory))
	return min(tier, max(heap/2, heap-inFlight))
}

// overhead is what a node takes beside its memory tier on a machine of the given
// memory, of which 0 stands for any.
func overhead(memory units.Size) units.Size {
	return min(max(memory/overheadPart, minOverhead), maxOverhead)
}

// machineMemory is the memory of the machine, 0 when it is not known.
func machineMemory() units.Size {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 0
	}
	return units.Size(info.Totalram) * units.Size(info.Unit)
}

// KeepMemory sets the garbage collector's soft limit for the whole process, so
// that a full memory tier does not double the heap, and lets it follow the live
// heap until ctx ends; under the limit it collects less often than the default. It
// leaves a GOMEMLIMIT and a GOGC of the environment alone.
func KeepMemory(ctx context.Context, o Options, log *slog.Logger) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	budget := int64(o.MemoryLimit)
	if budget == 0 {
		budget = int64(o.Store.Memory + overhead(machineMemory()))
	}
	most := ceiling(ownMemory())
	before := debug.SetMemoryLimit(softLimit(budget, 0, most))
	defer debug.SetMemoryLimit(before)
	if os.Getenv("GOGC") == "" {
		percent := debug.SetGCPercent(gcPercent)
		defer debug.SetGCPercent(percent)
	}
	log.Debug("soft memory limit", "limit", units.Size(softLimit(budget, 0, most)), "ceiling", units.Size(most))
	tick := time.NewTicker(limitEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			debug.SetMemoryLimit(softLimit(budget, liveHeap(), most))
		}
	}
}

// ownMemory is what this process may have: the memory of the machine, or less if
// its control group says so; 0 when neither is known.
func ownMemory() int64 {
	return tighter(cgroupLimit("/proc/self/cgroup", "/sys/fs/cgroup"), int64(machineMemory()))
}

// liveHeap is what the last collection found alive, in bytes.
func liveHeap() int64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return int64(min(sample[0].Value.Uint64(), math.MaxInt64/2))
}

// cgroupLimit is the memory limit in bytes of the control group this process
// is in, version 1 or 2; 0 when there is none.
func cgroupLimit(self, root string) int64 {
	groups, err := os.ReadFile(self)
	if err != nil {
		return 0
	}
	limit := int64(0)
	for line := range strings.Lines(string(groups)) {
		_, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, path, _ := strings.Cut(rest, ":")
		switch controllers {
		case "": // version 2
			limit = tighter(limit, lowest(root, path, "memory.max"))
		case "memory":
			limit = tighter(limit, lowest(filepath.Join(root, "memory"), path, "memory.limit_in_bytes"))
		}
	}
	return limit
}

// lowest reads the limit of a group and of its parents. Inside a container the
// path may be that of the host; then the root of the mount is the group.
func lowest(mount, path, file string) int64 {
	limit := readLimit(filepath.Join(mount, file))
	for ; path != "/" && path != "." && path != ""; path = filepath.Dir(path) {
		limit = tighter(limit, readLimit(filepath.Join(mount, path, file)))
	}
	return limit
}

// noLimit is what version 1 reports, less a page, for a group without limit.
const noLimit = 1 << 62

func readLimit(path string) int64 {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil || n <= 0 || n >= noLimit {
		return 0 // "max"
	}
	return n
}

// tighter is the lower of two limits, of which 0 means none.
func tighter(a, b int64) int64 {
	if a == 0 || (b != 0 && b < a) {
		return b
	}
	return a
}
