// Package portholder finds out from /proc which processes listen on a TCP port,
// for error messages and measurements. It is a best effort: without root it sees the caller's
// own processes only.
package portholder

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Find names the process that listens on the port, squid (process 812) say; ""
// when it cannot be told.
func Find(port uint16) string {
	if pids := PIDs(port); len(pids) > 0 {
		return describe(strconv.Itoa(pids[0]))
	}
	return ""
}

// PIDs are the processes that have a listener on the port open, as far as they
// can be seen.
func PIDs(port uint16) []int {
	inodes := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		f, err := os.Open(table)
		if err != nil {
			continue
		}
		listeners(f, port, inodes)
		_ = f.Close() // read only
	}
	if len(inodes) == 0 {
		return nil
	}
	return ownersOf(inodes)
}

// stateListen is TCP_LISTEN as /proc/net/tcp writes it.
const stateListen = "0A"

// listeners adds the socket inodes of table, in the form of /proc/net/tcp, that
// listen on port.
func listeners(table io.Reader, port uint16, inodes map[string]bool) {
	want := fmt.Sprintf(":%04X", port)
	for lines := bufio.NewScanner(table); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) > 9 && fields[3] == stateListen && strings.HasSuffix(fields[1], want) {
			inodes[fields[9]] = true
		}
	}
}

func ownersOf(inodes map[string]bool) []int {
	var pids []int
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*") // the pattern is right
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil {
			continue
		}
		inode, ok := strings.CutPrefix(target, "socket:[")
		if !ok || !inodes[strings.TrimSuffix(inode, "]")] {
			continue
		}
		pid, err := strconv.Atoi(strings.Split(link, "/")[2])
		if err == nil && !slices.Contains(pids, pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}

func describe(pid string) string {
	if n, err := strconv.Atoi(pid); err == nil && n == os.Getpid() {
		return "this very process"
	}
	name, err := os.ReadFile(filepath.Join("/proc", pid, "comm"))
	if err != nil {
		return "process " + pid
	}
	return strings.TrimSpace(string(name)) + " (process " + pid + ")"
}
