package netlab

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Interface is the name of every host's interface to the switch.
const Interface = "eth0"

// Host is a machine with one interface.
type Host struct {
	Name string

	lab  *Lab
	ns   *namespace
	port string // the switch's end of the cable
}

// Namespace is the name of the host's namespace, for ip -n.
func (h *Host) Namespace() string { return h.ns.name }

// Do runs f on a thread of the host: sockets and processes that f itself makes
// are the host's. What f leaves to other goroutines is not.
func (h *Host) Do(f func() error) error { return h.ns.do(f) }

// IP runs ip(8) on the host, such as h.IP("address", "add", …).
func (h *Host) IP(args ...string) error {
	return ip(append([]string{"-n", h.ns.name}, args...)...)
}

// Gateway makes another host the default gateway.
func (h *Host) Gateway(addr string) {
	h.lab.t.Helper()
	if err := h.IP("route", "replace", "default", "via", addr); err != nil {
		h.lab.t.Fatal(err)
	}
}

// MAC is the hardware address of the host's interface.
func (h *Host) MAC() (mac net.HardwareAddr) {
	h.lab.t.Helper()
	err := h.Do(func() error {
		iface, err := net.InterfaceByName(Interface)
		if err == nil {
			mac = iface.HardwareAddr
		}
		return err
	})
	if err != nil {
		h.lab.t.Fatal(err)
	}
	return mac
}

// Has reports whether the address, without a prefix length, is on the host's
// interface now.
func (h *Host) Has(addr string) (has bool) {
	h.lab.t.Helper()
	want := net.ParseIP(addr)
	err := h.Do(func() error {
		iface, err := net.InterfaceByName(Interface)
		if err != nil {
			return err
		}
		addrs, err := iface.Addrs()
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok && n.IP.Equal(want) {
				has = true
			}
		}
		return err
	})
	if err != nil {
		h.lab.t.Fatal(err)
	}
	return has
}

// Dial connects from the host; the address must be a literal.
func (h *Host) Dial(network, addr string, timeout time.Duration) (conn net.Conn, err error) {
	err = h.Do(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		conn, err = (&net.Dialer{}).DialContext(ctx, network, addr)
		return err
	})
	return conn, err
}

// Listen listens on the host.
func (h *Host) Listen(network, addr string) (ln net.Listener, err error) {
	err = h.Do(func() error {
		ln, err = (&net.ListenConfig{}).Listen(context.Background(), network, addr)
		return err
	})
	return ln, err
}

// Start runs a program on the host and ends it with the test. Its output goes
// to a file of its own, and to the log of the test if that fails. Environment
// variables are added as NAME=value.
func (h *Host) Start(env []string, name string, args ...string) *Process {
	t := h.lab.t
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), h.Name+".log"))
	if err != nil {
		t.Fatal(err)
	}
	p := &Process{host: h, out: out, done: make(chan struct{})}
	p.cmd = exec.Command(name, args...)
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	// No Pdeathsig: it would follow the thread that starts it, not the test.
	if err := h.Do(p.cmd.Start); err != nil {
		t.Fatal(fmt.Errorf("start %s on %s: %w", name, h.Name, err))
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(p.end)
	return p
}

// Process is a program on a host.
type Process struct {
	host *Host
	cmd  *exec.Cmd
	out  *os.File
	done chan struct{} // closed when it has ended and err is set
	err  error
}

// Signal sends it a signal: syscall.SIGSTOP makes it hang, SIGCONT go on.
func (p *Process) Signal(s syscall.Signal) {
	p.host.lab.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.host.lab.t.Fatal(fmt.Errorf("signal %v to the process on %s: %w", s, p.host.Name, err))
	}
}

// Kill ends it at once, and waits until it is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.done
}

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err is how it ended, as exec.Cmd.Wait says; valid once Done is closed.
func (p *Process) Err() error { return p.err }

// Output is what it has written so far.
func (p *Process) Output() string {
	b, err := os.ReadFile(p.out.Name())
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func (p *Process) end() {
	p.Kill()
	if p.host.lab.t.Failed() {
		p.host.lab.t.Logf("output of %s:\n%s", p.host.Name, strings.TrimSpace(p.Output()))
	}
	_ = p.out.Close()
}
