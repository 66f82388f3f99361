package relay

import (
	"errors"
	"io"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	spliceSize = 1 << 20         // one step of a bulk transfer, and the most that a pipe may hold
	spliceWait = 1 * time.Second // a step that is slower goes back to copying, and frees its pipe
)

// splice moves whole steps inside the kernel until one is slow.
func (d *direction) splice() (end bool, err error) {
	p, err := takePipe()
	if err != nil {
		return false, nil //nolint:nilerr // out of descriptors: it can be copied all the same
	}
	defer p.giveBack()
	for {
		if err := d.src.tcp.SetReadDeadline(time.Now().Add(spliceWait)); err != nil {
			return false, err
		}
		n, err := d.step(p)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return false, d.src.tcp.SetReadDeadline(time.Time{})
		case err != nil:
			return false, err
		case n < spliceSize:
			return true, nil
		}
	}
}

// step moves spliceSize bytes, or fewer if src ends.
func (d *direction) step(p *pipe) (moved int, err error) {
	for moved < spliceSize {
		if err := p.fill(&d.inlet, spliceSize-moved); err != nil || p.holds == 0 {
			return moved, err
		}
		n, err := p.drain(&d.outlet)
		d.moved.Add(int64(n))
		moved += n
		if err != nil {
			return moved, err
		}
	}
	return moved, nil
}

// pipe is where bytes are on their way from one socket to the other.
type pipe struct {
	ends
	holds   int // bytes
	cleanup runtime.Cleanup
}

// ends are a pipe's descriptors.
type ends struct{ out, in int }

func (e ends) close() {
	_ = unix.Close(e.out)
	_ = unix.Close(e.in)
}

// pipes are those that are empty and have no user. One that the garbage collector
// takes out of it is closed.
var pipes sync.Pool

func takePipe() (*pipe, error) {
	if p, ok := pipes.Get().(*pipe); ok {
		return p, nil
	}
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, err
	}
	_, _ = unix.FcntlInt(uintptr(fds[0]), unix.F_SETPIPE_SZ, spliceSize) // a smaller one does it in more calls
	p := &pipe{ends: ends{out: fds[0], in: fds[1]}}
	p.cleanup = runtime.AddCleanup(p, ends.close, p.ends)
	return p, nil
}

// giveBack ends the use of p. One that is not empty, because something failed, is
// of no use any more.
func (p *pipe) giveBack() {
	if p.holds == 0 {
		pipes.Put(p)
		return
	}
	p.cleanup.Stop()
	p.close()
}

// fill waits for bytes of a socket and takes up to most; none: it has ended. The
// pipe is empty, so that only the socket can make it wait.
func (p *pipe) fill(from *inlet, most int) error {
	var err error
	failed := from.rc.Read(func(fd uintptr) bool {
		p.holds, err = splice(int(fd), p.in, most)
		return !errors.Is(err, unix.EAGAIN)
	})
	return errors.Join(failed, err)
}

// drain gives a socket all that the pipe holds.
func (p *pipe) drain(to *outlet) (n int, err error) {
	failed := to.rc.Write(func(fd uintptr) bool {
		for p.holds > 0 {
			var k int
			if k, err = splice(p.out, int(fd), p.holds); err == nil && k == 0 {
				err = io.ErrNoProgress
			}
			if err != nil {
				return !errors.Is(err, unix.EAGAIN)
			}
			p.holds -= k
			n += k
		}
		return true
	})
	return n, errors.Join(failed, err)
}

// splice moves up to most bytes from one descriptor to another.
func splice(from, to, most int) (int, error) {
	for {
		n, err := unix.Splice(from, nil, to, nil, most, unix.SPLICE_F_NONBLOCK)
		if !errors.Is(err, unix.EINTR) {
			return max(int(n), 0), err
		}
	}
}
