package node

import (
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cachenode/cachenode/admin"
)

// manager is a service manager that takes notes of what it is told.
type manager struct{ told chan string }

func listenAsManager(t *testing.T) *manager {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	m := &manager{told: make(chan string, 1000)} // more than a test sends
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			m.told <- string(buf[:n])
		}
	}()
	t.Cleanup(func() {
		c.Close()
		<-done
	})
	t.Setenv("NOTIFY_SOCKET", path)
	return m
}

// hears waits until it is told what matches.
func (m *manager) hears(t *testing.T, pattern string) string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	var heard []string
	deadline := time.After(20 * time.Second)
	for {
		select {
		case s := <-m.told:
			if re.MatchString(s) {
				return s
			}
			heard = append(heard, s)
		case <-deadline:
			t.Fatalf("never told %s, but\n%s", pattern, strings.Join(heard, "\n"))
		}
	}
}

func TestTheServiceManagerIsTold(t *testing.T) {
	m := listenAsManager(t)
	t.Setenv("WATCHDOG_USEC", "300000")
	n, _, _ := startReloadable(t)
	m.hears(t, `(?s)^READY=1\n.*STATUS=serving on 127\.0\.0\.1:`)
	m.hears(t, `^WATCHDOG=1$`)
	if _, err := n.Reload(); err != nil {
		t.Fatal(err)
	}
	m.hears(t, `(?s)^RELOADING=1\nMONOTONIC_USEC=[1-9][0-9]+\n`)
	m.hears(t, `^READY=1\n`)
	if _, err := n.client(t).Drain(t.Context(), "", admin.DrainOrder{Seconds: 90}); err != nil {
		t.Fatal(err)
	}
	m.hears(t, `^STATUS=draining: 0 connections, 0 of them tunnels, 1m30s to the deadline$`)
	m.hears(t, `^STATUS=drained: `)
	if _, err := n.client(t).Undrain(t.Context(), "n1"); err != nil {
		t.Fatal(err)
	}
	m.hears(t, `^STATUS=serving on `)
	n.end()
	m.hears(t, `(?s)^STOPPING=1\nEXTEND_TIMEOUT_USEC=25000000\nSTATUS=stopping`)
}
