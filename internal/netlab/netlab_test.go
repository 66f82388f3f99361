package netlab

import (
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// reach reports whether a datagram from one host arrives at another. Where one is
// expected to, it has the time that a busy machine takes.
func reach(t *testing.T, from *Host, to net.PacketConn, expected bool) bool {
	t.Helper()
	tries := 3
	if expected {
		tries = 300
	}
	conn, err := from.Dial("udp", to.LocalAddr().String(), time.Second)
	if err != nil {
		return false
	}
	defer conn.Close()
	buf := make([]byte, 64)
	for range tries {
		// One of an earlier call may come late.
		mark := time.Now().String()
		if _, err := conn.Write([]byte(mark)); err != nil {
			continue // the error of an earlier datagram
		}
		_ = to.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		for {
			n, _, err := to.ReadFrom(buf)
			if err != nil {
				break
			}
			if string(buf[:n]) == mark {
				return true
			}
		}
	}
	return false
}

func packetConn(t *testing.T, h *Host, addr string) (conn net.PacketConn) {
	t.Helper()
	err := h.Do(func() (err error) {
		conn, err = net.ListenPacket("udp", addr)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestFailuresOfTheNetwork(t *testing.T) {
	lab := New(t)
	a, b := lab.Host("a", "10.9.0.1/24", "fd00::1/64"), lab.Host("b", "10.9.0.2/24")
	client := lab.Host("client", "10.9.0.9/24")
	at := packetConn(t, a, "10.9.0.1:9999")
	bt := packetConn(t, b, "10.9.0.2:9999")
	if !a.Has("10.9.0.1") || !a.Has("fd00::1") || a.Has("10.9.0.2") || len(a.MAC()) != 6 {
		t.Error("host a does not have what it was given")
	}
	check := func(what string, ab, ba, ca bool) {
		t.Helper()
		if got := [3]bool{reach(t, a, bt, ab), reach(t, b, at, ba), reach(t, client, at, ca)}; got != [3]bool{ab, ba, ca} {
			t.Errorf("%s: a reaches b, b reaches a, client reaches a: %v, want %v", what, got, [3]bool{ab, ba, ca})
		}
	}
	check("whole", true, true, true)
	a.Pull()
	check("pulled", false, false, false)
	a.Plug()
	check("plugged", true, true, true)
	lab.Split([]*Host{a}, []*Host{b})
	check("split", false, false, true)
	lab.Heal()
	b.Deafen()
	check("b deaf", false, true, true)
	b.Recover()
	b.Mute()
	check("b mute", true, false, true)
	b.Recover()
	a.BlackHole()
	check("black hole", false, false, false)
	lab.Heal()
	check("healed", true, true, true)
}

func TestCapture(t *testing.T) {
	lab := New(t)
	a, b := lab.Host("a", "10.9.0.1/24"), lab.Host("b", "10.9.0.2/24")
	seen := b.Capture(EtherTypeARP)
	conn, err := a.Dial("udp", "10.9.0.2:9", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = conn.Write([]byte("x"))
	until(t, "an ARP request is captured", func() bool { return len(seen.Frames()) > 0 })
}

func TestProcesses(t *testing.T) {
	lab := New(t)
	h := lab.Host("a", "10.9.0.1/24")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := h.Start([]string{"NETLAB_SAY=hello"}, exe, "-test.run=^TestSpeaker$", "-test.v")
	until(t, "the process speaks", func() bool { return strings.Contains(p.Output(), "hello") })
	p.Signal(syscall.SIGSTOP)
	p.Signal(syscall.SIGCONT)
	p.Kill()
	if p.Err() == nil || !strings.Contains(p.Output(), "10.9.0.1") {
		t.Errorf("ended with %v, wrote %q", p.Err(), p.Output())
	}
}

// TestSpeaker is the program of TestProcesses.
func TestSpeaker(t *testing.T) {
	say := os.Getenv("NETLAB_SAY")
	if say == "" {
		t.Skip("is run by TestProcesses")
	}
	addrs, err := net.InterfaceAddrs()
	t.Log(addrs, err)
	os.Stdout.WriteString(say + "\n")
	for _, a := range addrs {
		os.Stdout.WriteString(a.String() + "\n")
	}
	select {}
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}
