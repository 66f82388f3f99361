package bench

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ticksPerSecond is the unit of times in /proc, fixed since Linux 2.6 for every
// architecture that Go runs on.
const ticksPerSecond = 100

// process is one line of the process table.
type process struct {
	pid, parent  int
	name         string
	user, system time.Duration
	rss          int64
}

// readProcess reads /proc/PID/stat (proc(5)).
func readProcess(pid int) (process, bool) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return process{}, false
	}
	return parseStat(string(b))
}

// parseStat finds the end of the name first: it may hold anything.
func parseStat(text string) (p process, ok bool) {
	open, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return p, false
	}
	f := strings.Fields(text[end+1:])
	if len(f) < 22 {
		return p, false
	}
	number := func(s string) int64 {
		n, err := strconv.ParseInt(s, 10, 64)
		ok = ok && err == nil
		return n
	}
	ok = true
	p.pid = int(number(strings.TrimSpace(text[:open])))
	p.name = text[open+1 : end]
	p.parent = int(number(f[1]))
	p.user = ticks(number(f[11]))
	p.system = ticks(number(f[12]))
	p.rss = number(f[21]) * int64(os.Getpagesize())
	return p, ok
}

func ticks(n int64) time.Duration { return time.Duration(n) * (time.Second / ticksPerSecond) }

// family is every process of the roots and below them, by PID.
func family(roots []int) map[int]process {
	all := map[int]process{}
	dirs, _ := filepath.Glob("/proc/[0-9]*") // the pattern is right
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		if p, ok := readProcess(pid); ok {
			all[pid] = p
		}
	}
	of := map[int]process{}
	for pid := range all {
		if descends(all, pid, roots) {
			of[pid] = all[pid]
		}
	}
	return of
}

func descends(all map[int]process, pid int, roots []int) bool {
	for range 64 { // no tree is deeper; one read while it changes may have circles
		if slices.Contains(roots, pid) {
			return true
		}
		p, ok := all[pid]
		if !ok || pid <= 1 {
			return false
		}
		pid = p.parent
	}
	return false
}

// spent is what a family used between two looks. A process that ended meanwhile
// is missing from it.
func spent(before, after map[int]process, requests int64) *CPU {
	if len(after) == 0 {
		return nil
	}
	c := &CPU{}
	for _, pid := range slices.Sorted(maps.Keys(after)) {
		p, was := after[pid], before[pid]
		part := ProcessCPU{PID: pid, Name: p.name, User: p.user - was.user, System: p.system - was.system}
		c.User += part.User
		c.System += part.System
		c.RSS += p.rss
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
