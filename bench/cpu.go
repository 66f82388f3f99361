package bench

import (
	"maps"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cachenode/cachenode/internal/procstat"
)

// spent is what a family used between two looks. A process that ended meanwhile
// is missing from it.
func spent(before, after map[int]procstat.Process, requests int64) *CPU {
	if len(after) == 0 {
		return nil
	}
	c := &CPU{}
	for _, pid := range slices.Sorted(maps.Keys(after)) {
		p, was := after[pid], before[pid]
		part := ProcessCPU{PID: pid, Name: p.Name, User: p.User - was.User, System: p.System - was.System}
		c.User += part.User
		c.System += part.System
		c.RSS += p.RSS
		c.Processes = append(c.Processes, part)
	}
	c.perRequest(requests)
	return c
}

func (c *CPU) perRequest(requests int64) {
	if requests > 0 {
		c.PerRequest = c.Total() / time.Duration(requests)
	}
}

// ownCPU is what this process has used since it began.
func ownCPU() CPU {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return CPU{}
	}
	return CPU{
		User: time.Duration(u.Utime.Nano()), System: time.Duration(u.Stime.Nano()),
		RSS: int64(u.Maxrss) * 1024,
	}
}
