// Package procstat reads what processes have used from Linux's /proc. On other
// systems it finds nothing. It watches nothing by itself.
package procstat

import (
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of CPU times in /proc: USER_HZ, 100 on every architecture
// that Linux runs Go on.
const tick = 10 * time.Millisecond

// Usage is what processes have used since they started.
type Usage struct {
	User, System time.Duration // in steps of 10 ms
	RSS          int64         // bytes now; memory shared by processes counts for each
	Processes    int
}

// Total is user and system time together.
func (u Usage) Total() time.Duration { return u.User + u.System }

// Sub is what was used since before; memory and processes are those of now.
func (u Usage) Sub(before Usage) Usage {
	u.User -= before.User
	u.System -= before.System
	return u
}

// Process is one process as it was when it was read.
type Process struct {
	PID, Parent  int
	Name         string
	User, System time.Duration // since its start, in steps of 10 ms
	RSS          int64         // bytes
}

// Read reads one process; ok is false when there is none, or it cannot be seen.
func Read(pid int) (p Process, ok bool) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return Process{}, false
	}
	return parse(string(b))
}

// parse reads proc_pid_stat(5). The name in brackets may hold anything, brackets
// too, so its end is looked for first.
func parse(text string) (p Process, ok bool) {
	open, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return Process{}, false
	}
	f := strings.Fields(text[end+1:])
	if len(f) < 22 {
		return Process{}, false
	}
	ok = true
	number := func(s string) int64 {
		n, err := strconv.ParseInt(s, 10, 64)
		ok = ok && err == nil
		return n
	}
	p = Process{
		PID: int(number(strings.TrimSpace(text[:open]))), Name: text[open+1 : end], Parent: int(number(f[1])),
		User: time.Duration(number(f[11])) * tick, System: time.Duration(number(f[12])) * tick,
		RSS: number(f[21]) * int64(os.Getpagesize()),
	}
	if !ok {
		return Process{}, false
	}
	return p, true
}

// Family is the processes named and all that descend from them, as far as their
// parents live, by number.
func Family(roots ...int) map[int]Process {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	all, children := map[int]Process{}, map[int][]int{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if p, ok := Read(pid); ok { // it may have ended
			all[pid] = p
			children[p.Parent] = append(children[p.Parent], pid)
		}
	}
	family := map[int]Process{}
	for todo := slices.Clone(roots); len(todo) > 0; todo = todo[1:] {
		p, lives := all[todo[0]]
		if _, seen := family[todo[0]]; seen || !lives {
			continue
		}
		family[p.PID] = p
		todo = append(todo, children[p.PID]...)
	}
	return family
}

// Tree is the numbers of a process and of all that descend from it, itself first.
func Tree(root int) []int {
	family := Family(root)
	delete(family, root)
	return append([]int{root}, slices.Sorted(maps.Keys(family))...)
}

// Of sums up what living processes have used.
func Of(pids ...int) Usage {
	var u Usage
	for _, pid := range pids {
		if p, ok := Read(pid); ok {
			u.User += p.User
			u.System += p.System
			u.RSS += p.RSS
			u.Processes++
		}
	}
	return u
}

// Machine is the time for which all processors together were busy since the
// start of the machine; ok is false where that cannot be told.
func Machine() (busy time.Duration, ok bool) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, false
	}
	line, _, _ := strings.Cut(string(b), "\n")
	f := strings.Fields(line)
	if len(f) < 9 || f[0] != "cpu" {
		return 0, false
	}
	for _, field := range []int{1, 2, 3, 6, 7, 8} { // user nice system irq softirq steal; not idle, iowait
		v, err := strconv.ParseInt(f[field], 10, 64)
		if err != nil {
			return 0, false
		}
		busy += time.Duration(v) * tick
	}
	return busy, true
}
