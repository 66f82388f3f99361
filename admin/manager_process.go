package admin

import (
	"bytes"
	"cmp"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// fileUse is how many file descriptors the process has.
type fileUse struct{ limit, largest, open int }

// descriptors lists the open file descriptors, ascending.
func descriptors() []int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil
	}
	var fds []int
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil {
			fds = append(fds, n)
		}
	}
	slices.Sort(fds)
	return fds
}

func readFileUse() fileUse {
	var u fileUse
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &r) == nil {
		u.limit = int(min(r.Cur, 1<<30))
	}
	if fds := descriptors(); len(fds) > 0 {
		u.open, u.largest = len(fds), fds[len(fds)-1]
	}
	return u
}

// writeDescriptors shows every open file and socket.
func (s *Server) writeDescriptors(b *bytes.Buffer, _ time.Time) {
	b.WriteString("Active file descriptors:\n")
	fmt.Fprintf(b, "%-4s %-6s %4s %5s  * %6s * %-21s %s\n", "File", "Type", "Tout", "Nread", "Nwrite", "Remote Address", "Description")
	b.WriteString("---- ------ ---- -------- -------- --------------------- ------------------------------\n")
	for _, fd := range descriptors() {
		target, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
		if err != nil {
			continue // closed meanwhile
		}
		kind, remote := "File", ""
		switch {
		case strings.HasPrefix(target, "socket:"):
			kind, remote, target = "Socket", peerOf(fd), socketName(fd)
		case strings.HasPrefix(target, "pipe:"):
			kind = "Pipe"
		case strings.HasPrefix(target, "anon_inode:"):
			kind = "Other"
		}
		fmt.Fprintf(b, "%4d %-6.6s %4d %7d  %7d  %-21s %s\n", fd, kind, 0, 0, 0, remote, target)
	}
}

// peerOf is the remote address of a socket, empty for one that has none.
func peerOf(fd int) string {
	sa, err := unix.Getpeername(fd)
	if err != nil {
		return ""
	}
	return addrText(sa)
}

func socketName(fd int) string {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return "socket"
	}
	return strings.TrimSpace("socket " + addrText(sa))
}

func addrText(sa unix.Sockaddr) string {
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port)).String()
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port)).String()
	case *unix.SockaddrUnix:
		return filepath.Base(cmp.Or(a.Name, "unix"))
	}
	return ""
}

// writeStoreDir shows the disk tier and its file system.
func (s *Server) writeStoreDir(b *bytes.Buffer, now time.Time) {
	c := s.deps.Metrics.Snapshot(now).Cache
	used := percentOf(float64(c.Bytes), float64(c.Capacity))
	b.WriteString("Store Directory Statistics:\n")
	fmt.Fprintf(b, "Store Entries          : %d\n", c.Objects)
	fmt.Fprintf(b, "Maximum Swap Size      : %d KB\n", c.Capacity>>10)
	fmt.Fprintf(b, "Current Store Swap Size: %.2f KB\n", float64(c.Bytes)/1024)
	fmt.Fprintf(b, "Current Capacity       : %.2f%% used, %.2f%% free\n", used, 100-used)
	if c.Capacity == 0 {
		return
	}
	fmt.Fprintf(b, "\nStore Directory #0 (segments): %s\n", s.deps.Node.Status().DataDir)
	var fs unix.Statfs_t
	if unix.Statfs(s.deps.Dir, &fs) == nil {
		fmt.Fprintf(b, "FS Block Size %d Bytes\n", fs.Bsize)
	}
	fmt.Fprintf(b, "Maximum Size: %d KB\n", c.Capacity>>10)
	fmt.Fprintf(b, "Current Size: %.2f KB\n", float64(c.Bytes)/1024)
	fmt.Fprintf(b, "Percent Used: %.2f%%\n", used)
	if fs.Bsize > 0 {
		kb := func(blocks uint64) uint64 { return blocks * uint64(fs.Bsize) >> 10 }
		fmt.Fprintf(b, "Filesystem Space in use: %d/%d KB (%.0f%%)\n", kb(fs.Blocks-fs.Bfree), kb(fs.Blocks), percentOf(float64(fs.Blocks-fs.Bfree), float64(fs.Blocks)))
		fmt.Fprintf(b, "Filesystem Inodes in use: %d/%d (%.0f%%)\n", fs.Files-fs.Ffree, fs.Files, percentOf(float64(fs.Files-fs.Ffree), float64(fs.Files)))
	}
	flags := "SELECTED"
	if c.ReadOnly {
		flags = "SELECTED READ-ONLY"
	}
	fmt.Fprintf(b, "Flags: %s\nRemoval policy: fifo with second chance\n", flags)
}

// writeMemory shows the allocator: its size classes stand for squid's pools.
func (s *Server) writeMemory(b *bytes.Buffer, _ time.Time) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.WriteString("Current memory usage:\n")
	b.WriteString("Pool\t Obj Size\tChunks\t\t\t\t\t\t\tAllocated\t\t\t\t\tIn Use\t\t\t\t\tIdle\t\t\tAllocations Saved\t\t\tRate\t\n")
	b.WriteString(" \t (bytes)\tKB/ch\t obj/ch\t(#)\t used\t free\t part\t %Frag\t (#)\t (KB)\t high (KB)\t high (hrs)\t %Tot\t(#)\t (KB)\t high (KB)\t high (hrs)\t %alloc\t(#)\t (KB)\t high (KB)\t(#)\t %cnt\t %vol\t(#)/sec\t\n")
	var live uint64
	for _, c := range m.BySize {
		n := c.Mallocs - c.Frees
		live += n
		if n > 0 {
			writePool(b, fmt.Sprintf("%d bytes", c.Size), uint64(c.Size), n, uint64(c.Size)*n, m.HeapAlloc)
		}
	}
	writePool(b, "Total", 1, live, m.HeapAlloc, m.HeapAlloc)
	fmt.Fprintf(b, "Cumulative allocated volume: %.2f MB\n", float64(m.TotalAlloc)/(1<<20))
	overhead := m.Sys - m.HeapAlloc
	fmt.Fprintf(b, "Current overhead: %d bytes (%.3f%%)\n", overhead, percentOf(float64(overhead), float64(m.Sys)))
}

func writePool(b *bytes.Buffer, name string, size, count, bytes, all uint64) {
	kb := bytes >> 10
	fmt.Fprintf(b, "%-20s\t %4d\t \t \t \t \t \t \t \t %d\t %d\t %d\t 0.00\t %.3f\t %d\t %d\t %d\t 0.00\t 100.000\t 0\t 0\t 0\t 0\t 0.000\t 0.000\t 0.000\n",
		name, size, count, kb, kb, percentOf(float64(bytes), float64(all)), count, kb, kb)
}
