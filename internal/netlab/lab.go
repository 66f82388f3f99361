package netlab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// commandTime bounds a command of the kit itself.
const commandTime = 30 * time.Second

// labs numbers the labs of a process, so that two can stand side by side.
var labs atomic.Uint32

// Lab is a switch in a namespace of its own, and the hosts plugged into it. Its
// methods belong to the goroutine of the test; those of Host may be called from
// any.
type Lab struct {
	t     testing.TB
	name  string // prefix of all namespaces
	sw    *namespace
	hosts []*Host
	rules rules
}

// New builds an empty switch, and takes everything away when the test ends. It
// skips the test where namespaces cannot be made, and says why.
func New(t testing.TB) *Lab {
	t.Helper()
	if reason := Missing(); reason != "" {
		t.Skip("network namespaces: " + reason)
	}
	l := &Lab{t: t, name: fmt.Sprintf("cnlab-%d-%d", os.Getpid(), labs.Add(1))}
	l.sw = l.namespace("switch")
	l.ip("-n", l.sw.name, "link", "add", "br0", "type", "bridge", "stp_state", "0", "forward_delay", "0", "mcast_snooping", "0")
	l.ip("-n", l.sw.name, "link", "set", "br0", "up")
	l.apply()
	return l
}

// Missing says what keeps this process from making namespaces; empty: nothing.
func Missing() string {
	if os.Geteuid() != 0 {
		return "they need root"
	}
	for _, tool := range []string{"ip", "nft", "ss"} {
		if _, err := exec.LookPath(tool); err != nil {
			return "the program " + tool + " is not installed"
		}
	}
	probe := fmt.Sprintf("cnlab-%d-probe-%d", os.Getpid(), labs.Add(1))
	if err := ip("netns", "add", probe); err != nil {
		return err.Error()
	}
	if err := ip("netns", "del", probe); err != nil {
		return err.Error()
	}
	return ""
}

// Host plugs a host into the switch. Addresses carry their prefix length:
// 10.0.0.1/24, fd00::1/64. Its interface is eth0.
func (l *Lab) Host(name string, addrs ...string) *Host {
	l.t.Helper()
	h := &Host{lab: l, Name: name, ns: l.namespace(name), port: fmt.Sprintf("port%d", len(l.hosts))}
	l.ip("-n", l.sw.name, "link", "add", h.port, "type", "veth", "peer", "name", Interface, "netns", h.ns.name)
	l.ip("-n", l.sw.name, "link", "set", h.port, "master", "br0", "up")
	l.ip("-n", h.ns.name, "link", "set", "lo", "up")
	for _, a := range addrs {
		args := []string{"-n", h.ns.name, "address", "add", a, "dev", Interface}
		if strings.Contains(a, ":") {
			args = append(args, "nodad")
		}
		l.ip(args...)
	}
	l.ip("-n", h.ns.name, "link", "set", Interface, "up")
	l.hosts = append(l.hosts, h)
	return h
}

// Hosts are all hosts, in the order they were plugged in.
func (l *Lab) Hosts() []*Host { return append([]*Host(nil), l.hosts...) }

// namespace makes one, which goes with the test.
func (l *Lab) namespace(name string) *namespace {
	l.t.Helper()
	ns, err := newNamespace(l.name + "-" + name)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() {
		if err := ns.remove(); err != nil {
			l.t.Error(err)
		}
	})
	return ns
}

func (l *Lab) ip(args ...string) {
	l.t.Helper()
	if err := ip(args...); err != nil {
		l.t.Fatal(err)
	}
}

// ip runs ip(8); its error holds what the program said.
func ip(args ...string) error { return command(nil, "ip", args...) }

func command(stdin []byte, name string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), commandTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return errors.Join(fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err), errors.New(strings.TrimSpace(string(out))))
	}
	return nil
}
