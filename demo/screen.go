package demo

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// shower is how the state reaches the user.
type shower interface {
	show(*State)
	close(*State) error
}

// screen draws the state over the whole terminal.
type screen struct {
	out   *os.File
	color bool
	undo  func() error // of the keyboard
}

// Terminal control: ECMA-48, and the alternate screen of xterm.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l"
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	home        = "\x1b[H"
	clearLine   = "\x1b[K"
	clearBelow  = "\x1b[J"
)

// openScreen takes a terminal over until close. in may be no terminal.
func openScreen(out, in *os.File) *screen {
	s := &screen{out: out, color: os.Getenv("NO_COLOR") == "", undo: func() error { return nil }}
	if undo, err := keystrokes(in); err == nil {
		s.undo = undo
	}
	_, _ = io.WriteString(out, enterScreen)
	return s
}

func (s *screen) show(st *State) {
	width, height := sizeOf(s.out)
	w := bufio.NewWriter(s.out)
	_, _ = w.WriteString(home)
	for i, l := range Render(st, width, height, s.color) {
		if i > 0 {
			_, _ = w.WriteString("\r\n")
		}
		_, _ = w.WriteString(l + clearLine)
	}
	_, _ = w.WriteString(clearBelow)
	_ = w.Flush() // a terminal that has gone sends a signal
}

func (s *screen) close(st *State) error {
	_, err := io.WriteString(s.out, leaveScreen)
	fmt.Fprintln(s.out, summary(st))
	return errors.Join(err, s.undo())
}

// lines prints what happens, for a file or a pipe.
type lines struct {
	out   io.Writer
	begun bool
	tried bool      // what to try was printed
	last  Event     // that was printed
	next  time.Time // when the traffic is told again
}

// trafficEvery is how often it is.
const trafficEvery = 10 * time.Second

func (p *lines) show(s *State) {
	if !p.begun {
		p.begun = true
		p.next = s.Now.Add(trafficEvery)
		p.intro(s)
	}
	if !p.tried && s.Holder != "" { // now it works
		p.tried = true
		fmt.Fprintf(p.out, "try, in another terminal:\n  %s\n", strings.Join(s.try(), "\n  "))
	}
	for _, e := range after(s.Events, p.last) {
		fmt.Fprintf(p.out, "%s  %s\n", e.At.Format(time.TimeOnly), e.Text)
		p.last = e
	}
	if s.Load.On && !s.Now.Before(p.next) {
		p.next = s.Now.Add(trafficEvery)
		fmt.Fprintf(p.out, "%s  traffic: %s\n", s.Now.Format(time.TimeOnly), shares(&s.Load))
	}
}

func (p *lines) intro(s *State) {
	fmt.Fprintf(p.out, "cachenode demo: %d nodes, one address for clients: %s\n", len(s.Nodes), s.Front)
	for i := range s.Nodes {
		fmt.Fprintf(p.out, "  %s  %s  process %d\n", s.Nodes[i].Name, s.Nodes[i].Address, s.Nodes[i].PID)
	}
	fmt.Fprintln(p.out, "Ctrl-C ends all of it.")
}

func (p *lines) close(s *State) error {
	_, err := fmt.Fprintln(p.out, summary(s))
	return err
}

// after are the events behind the last one that was printed.
func after(all []Event, last Event) []Event {
	for i, e := range slices.Backward(all) {
		if e == last {
			return all[i+1:]
		}
	}
	return all
}

// summary is what stays on the terminal.
func summary(s *State) string {
	t := s.Load.Total
	text := fmt.Sprintf("the demo has ended; its nodes and %s are gone", s.Dir)
	if n := t.good() + t.Failed; n > 0 {
		text += fmt.Sprintf("; %d of %d requests failed", t.Failed, n)
	}
	return text
}
