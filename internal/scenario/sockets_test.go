package scenario

import (
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// listening are the addresses on which a process accepts or receives: host:port
// with the protocol before it, and names of unix sockets.
func listening(t *testing.T, pid int) []string {
	t.Helper()
	own := map[string]bool{} // inodes of its sockets
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	must(t, err)
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil {
			if inode, ok := strings.CutPrefix(to, "socket:["); ok {
				own[strings.TrimSuffix(inode, "]")] = true
			}
		}
	}
	var found []string
	for _, table := range []string{"tcp", "tcp6", "udp", "udp6"} {
		for _, f := range rows(t, pid, table) {
			const listen = "0A"
			if len(f) > 9 && own[f[9]] && (f[3] == listen || strings.HasPrefix(table, "udp")) {
				found = append(found, table+" "+hexAddr(t, f[1]))
			}
		}
	}
	for _, f := range rows(t, pid, "unix") {
		const accepting = "00010000"
		if len(f) > 7 && own[f[6]] && f[3] == accepting {
			found = append(found, "unix "+filepath.Base(f[7]))
		}
	}
	slices.Sort(found)
	return found
}

// rows are the fields of the lines of a table of the kernel.
func rows(t *testing.T, pid int, table string) (all [][]string) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, table))
	if err != nil {
		t.Skip(err)
	}
	for line := range strings.Lines(string(b)) {
		all = append(all, strings.Fields(line))
	}
	return all[1:]
}

// hexAddr reads the kernel's ADDRESS:PORT, each word of the address in the
// machine's own, little-endian order.
func hexAddr(t *testing.T, s string) string {
	t.Helper()
	host, port, _ := strings.Cut(s, ":")
	ip, err := hex.DecodeString(host)
	must(t, err)
	for i := 0; i < len(ip); i += 4 {
		slices.Reverse(ip[i : i+4])
	}
	n, err := strconv.ParseUint(port, 16, 16)
	must(t, err)
	return net.JoinHostPort(net.IP(ip).String(), fmt.Sprint(n))
}

// A standalone node can be reached at the proxy and admin addresses, and at
// nothing else.
func TestStandaloneOpensNothingElse(t *testing.T) {
	t.Parallel()
	n, o := start(t), newOrigin(t)
	library(o)
	n.fill(o, 5)
	want := []string{"tcp " + n.proxy, "tcp " + n.admin, "unix admin.sock"}
	slices.Sort(want)
	if open := listening(t, n.pid()); !slices.Equal(open, want) {
		t.Errorf("open are %q, want %q", open, want)
	}
	for path, mode := range map[string]os.FileMode{"admin.sock": 0o660, "admin.token": 0o640, ".": 0o755} {
		info, err := os.Stat(filepath.Join(n.data, path))
		must(t, err)
		if more := info.Mode().Perm() &^ mode; more != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
	}
}

// The proxy listens where it is told, on IPv6 too, and as often as it is told.
func TestSeveralAddresses(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	library(o)
	args := []string{"--listen", "127.0.0.3:0"}
	if probe, err := net.Listen("tcp", "[::1]:0"); err == nil {
		probe.Close()
		args = append(args, "--listen", "[::1]:0")
	}
	n := start(t, args...)
	addrs := strings.Split(n.says(`msg=ready listen="([^"]*)"`), ", ")
	if len(addrs) != 1+len(args)/2 {
		t.Fatalf("it listens on %v", addrs)
	}
	for _, a := range addrs {
		n.proxy = a
		n.get(o.url("/1")).want(t, http.StatusOK, "", volume("/1"))
	}
}
