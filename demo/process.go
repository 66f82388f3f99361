package demo

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// child is the process of one node. Only the loop of the demo touches it.
type child struct {
	args  []string // of the program
	log   string   // file of what it says
	cmd   *exec.Cmd
	up    bool // it runs, as far as is known
	again bool // it is to be started anew when it has ended
}

// exit tells that a process has ended.
type exit struct {
	index int // of its node
	how   string
}

// processes start and end the nodes.
type processes struct {
	program string
	lock    *os.File // of the directory, which each has open too
	all     []*child
	exits   chan exit // of capacity one for each node: so many can run
	waiting sync.WaitGroup
	starts  chan start // to one thread
	ended   chan struct{}
}

type start struct {
	cmd    *exec.Cmd
	result chan<- error
}

func newProcesses(program string, lock *os.File, all []*child) *processes {
	return &processes{
		program: program, lock: lock, all: all, exits: make(chan exit, len(all)), starts: make(chan start), ended: make(chan struct{}),
	}
}

// run starts processes, all from one thread: when that ends, and be it because
// the demo was killed, the kernel ends them.
func (p *processes) run() {
	defer close(p.ended)
	runtime.LockOSThread() // and never unlocked: the thread ends with this goroutine
	for s := range p.starts {
		s.result <- s.cmd.Start()
	}
}

// start starts a node. run must be running.
func (p *processes) start(i int) error {
	c := p.all[i]
	log, err := os.OpenFile(c.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the process has its own
	c.cmd = exec.Command(p.program, c.args...)
	c.cmd.Stdout, c.cmd.Stderr = log, log
	c.cmd.ExtraFiles = []*os.File{p.lock}
	c.cmd.SysProcAttr = ownGroup()
	result := make(chan error, 1)
	p.starts <- start{c.cmd, result}
	if err := <-result; err != nil {
		return err
	}
	c.up, c.again = true, false
	cmd := c.cmd
	p.waiting.Go(func() {
		_ = cmd.Wait() // its state says how it ended
		p.exits <- exit{index: i, how: how(cmd.ProcessState)}
	})
	return nil
}

// how a process ended, in a word.
func how(s *os.ProcessState) string {
	if w, ok := s.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		if w.Signal() == syscall.SIGKILL {
			return "killed"
		}
		return w.Signal().String()
	}
	if code := s.ExitCode(); code != 0 {
		return fmt.Sprintf("exit %d", code)
	}
	return "stopped"
}

// signal sends to a node that runs.
func (p *processes) signal(i int, s syscall.Signal) {
	if c := p.all[i]; c.up {
		_ = c.cmd.Process.Signal(s) // it has ended by itself, if that fails
	}
}

func (p *processes) running() (n int) {
	for _, c := range p.all {
		if c.up {
			n++
		}
	}
	return n
}

// grace is how long nodes may take to end by themselves.
const grace = 3 * time.Second

// stop ends all nodes and waits until they have ended. hurry, when closed, ends
// them at once.
func (p *processes) stop(hurry <-chan struct{}) {
	p.signalAll(syscall.SIGTERM)
	late := time.NewTimer(grace)
	defer late.Stop()
	for p.running() > 0 {
		select {
		case e := <-p.exits:
			p.all[e.index].up = false
		case <-late.C:
			p.signalAll(syscall.SIGKILL)
		case <-hurry:
			hurry = nil
			p.signalAll(syscall.SIGKILL)
		}
	}
	close(p.starts)
	<-p.ended
	p.waiting.Wait()
}

func (p *processes) signalAll(s syscall.Signal) {
	for i := range p.all {
		p.signal(i, s)
	}
}

// lastWords is the last line of a node's log, for one that ended by itself.
func lastWords(log string) string {
	b, err := os.ReadFile(log)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	for _, l := range slices.Backward(lines) {
		if text, ok := strings.CutPrefix(l, "error: "); ok {
			return text
		}
	}
	return lines[len(lines)-1]
}
