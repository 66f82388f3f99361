package demo

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// openTerminal makes a terminal, and what a person has of it.
func openTerminal(t *testing.T) (person, terminal *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { person.Close() })
	fd := int(person.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Skip(err)
	}
	if terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Skip(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 30, Col: 100}); err != nil {
		t.Fatal(err)
	}
	return person, terminal
}

// seenBy collects what a terminal shows.
type seenBy struct {
	mu   sync.Mutex // guards text
	text strings.Builder
}

func (s *seenBy) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

// waits until the terminal has shown a text.
func (s *seenBy) waits(t *testing.T, text string) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		s.mu.Lock()
		found := strings.Contains(s.text.String(), text)
		s.mu.Unlock()
		if found {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the terminal never shows %q", text)
		}
	}
}

// On a terminal keys choose and kill nodes and end the demo, and the terminal is
// then as it was.
func TestKeys(t *testing.T) {
	person, terminal := openTerminal(t)
	before, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{
		Addresses: []netip.Addr{netip.MustParseAddr("127.93.9.11"), netip.MustParseAddr("127.93.9.12")}, VIP: netip.MustParseAddr("127.93.9.100"),
		Dir: t.TempDir(), Program: filepath.Join(t.TempDir(), "node"),
	}
	if err := os.WriteFile(o.Program, []byte("#!/bin/sh\nexec sleep 300\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	d, err := New(o)
	if err != nil {
		t.Skip(err) // somebody has the ports on all addresses
	}
	ended := make(chan error, 1)
	go func() { ended <- d.Run(t.Context(), terminal, terminal, nil) }()
	var screen seenBy
	read := make(chan struct{})
	go func() {
		defer close(read)
		b := make([]byte, 4096)
		for { // until nobody has the terminal any more
			n, err := person.Read(b)
			_, _ = screen.Write(b[:n])
			if err != nil {
				return
			}
		}
	}()
	press := func(key string) {
		if _, err := person.WriteString(key); err != nil {
			t.Error(err)
		}
	}
	screen.waits(t, "> n1")
	press("2")
	screen.waits(t, "> n2")
	press("k")
	screen.waits(t, "the process of n2 has ended: killed")
	press("r")
	press("l")
	screen.waits(t, "requests fail: ") // nobody listens
	press("q")
	if err := <-ended; err != nil {
		t.Error(err)
	}
	screen.waits(t, leaveScreen)
	after, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	if err != nil || *after != *before {
		t.Errorf("the terminal is changed: %v\n%+v\n%+v", err, *before, *after)
	}
	terminal.Close()
	<-read
	if left, err := os.ReadDir(o.Dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}
