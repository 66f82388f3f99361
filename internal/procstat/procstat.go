// Package procstat reads what processes have used from Linux's /proc. On other
// systems it finds nothing. It watches nothing by itself.
package procstat

import (
	"bytes"
	"errors"
	"fmt"
	"os"
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

// stat is what is read of one /proc/PID/stat.
type stat struct {
	parent       int
	user, system time.Duration
	rss          int64
}

func readStat(pid int) (stat, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return stat{}, err
	}
	return parseStat(b)
}

// parseStat reads proc_pid_stat(5). The name in brackets may hold anything.
func parseStat(b []byte) (stat, error) {
	_, rest, ok := cutLast(b, ')')
	f := strings.Fields(rest)
	if !ok || len(f) < 22 {
		return stat{}, errors.New("read process: not in the form of /proc/PID/stat")
	}
	var n [4]int64
	for i, field := range []int{1, 11, 12, 21} {
		v, err := strconv.ParseInt(f[field], 10, 64)
		if err != nil {
			return stat{}, fmt.Errorf("read process: %w", err)
		}
		n[i] = v
	}
	return stat{
		parent: int(n[0]), user: time.Duration(n[1]) * tick, system: time.Duration(n[2]) * tick,
		rss: n[3] * int64(os.Getpagesize()),
	}, nil
}

func cutLast(b []byte, at byte) (before, after string, ok bool) {
	i := bytes.LastIndexByte(b, at)
	if i < 0 {
		return "", "", false
	}
	return string(b[:i]), string(b[i+1:]), true
}

// Tree is a process and all that descend from it, as far as their parents live.
func Tree(root int) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	children := map[int][]int{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if s, err := readStat(pid); err == nil { // it may have ended
			children[s.parent] = append(children[s.parent], pid)
		}
	}
	tree := []int{root}
	for i := 0; i < len(tree); i++ {
		tree = append(tree, children[tree[i]]...)
	}
	return tree
}

// Of sums up what living processes have used.
func Of(pids ...int) Usage {
	var u Usage
	for _, pid := range pids {
		if s, err := readStat(pid); err == nil {
			u.User += s.user
			u.System += s.system
			u.RSS += s.rss
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
