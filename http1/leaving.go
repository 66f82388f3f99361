package http1

import (
	"errors"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cachenode/cachenode/internal/leash"
)

// leaving is the context of a request, which ends when its client leaves. The
// connection is watched only when somebody has asked for Done, the body has been
// read, and the answer is taking its time: most are there before a watch would
// be worth its goroutine and its system call.
type leaving struct {
	leash.Leash
	c *Conn

	mu     sync.Mutex    // guards what follows
	wanted bool          // somebody waits for the end
	quiet  bool          // the body has been read, nobody reads the connection
	over   bool          // the request has been answered
	posted bool          // the connection's sentry will begin the watch
	done   chan struct{} // closed when the watch has ended; nil: there is none
}

// watchAfter is how much later than at once the end of a client is noticed.
const watchAfter = 50 * time.Millisecond

// halfTime is how long after its whole request a client may close its side and
// be taken for one that waits for the answer: the two go together, but may be
// lost and sent again. One that closes it later has given up.
const halfTime = time.Second

func (l *leaving) init(c *Conn) {
	l.c = c
}

// Done implements context.Context.
func (l *leaving) Done() <-chan struct{} {
	l.want()
	return l.Leash.Done()
}

// Enlist is that of the leash.
func (l *leaving) Enlist(f func()) (seat int) {
	l.want()
	return l.Leash.Enlist(f)
}

// AfterFunc is that of the leash.
func (l *leaving) AfterFunc(f func()) (stop func() bool) {
	l.want()
	return l.Leash.AfterFunc(f)
}

// want notes that somebody waits for the end.
func (l *leaving) want() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wanted = true
	l.start()
}

// Value implements context.Context.
func (l *leaving) Value(key any) any {
	if key == http.LocalAddrContextKey {
		return l.c.nc.LocalAddr()
	}
	return l.Leash.Value(key)
}

// bodyRead tells that nobody reads the connection any more.
func (l *leaving) bodyRead() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.quiet = true
	l.start()
}

// start has the watch begin soon, if it may; mu is held.
func (l *leaving) start() {
	if !l.wanted || !l.quiet || l.over || l.posted || l.c.raw == nil {
		return
	}
	l.posted = true
	l.c.sentry.post(l)
}

// sentry begins the watches of a connection's requests. They share one timer, which
// is left to run out behind a request: to make and stop one for each costs more than
// that it fires for nobody, or for the next request a little early.
type sentry struct {
	mu    sync.Mutex  // guards what follows
	timer *time.Timer // nil: there never was a watch to begin
	who   *leaving    // whose watch is to begin; nil: nobody's
}

func (s *sentry) post(l *leaving) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.who = l
	if s.timer == nil {
		s.timer = time.AfterFunc(watchAfter, s.fire)
		return
	}
	s.timer.Reset(watchAfter)
}

// dismiss takes l off its post.
func (s *sentry) dismiss(l *leaving) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.who == l {
		s.who = nil
	}
}

func (s *sentry) fire() {
	s.mu.Lock()
	l := s.who
	s.who = nil
	s.mu.Unlock()
	if l != nil {
		l.watch()
	}
}

// begin starts the watch; false: it is too late for it.
func (l *leaving) begin() (done chan<- struct{}, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return nil, false
	}
	l.c.disarmRead()
	l.c.unlimitRead()
	l.done = make(chan struct{})
	return l.done, true
}

// watch ends the context when the client leaves.
func (l *leaving) watch() {
	done, ok := l.begin()
	if !ok {
		return
	}
	defer close(done)
	if l.c.awaitGone(time.Now().Add(l.c.srv.halfTime)) == nil {
		l.Cancel()
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.over { // the connection has been closed
		l.Cancel()
	}
}

// stop ends the watch, and waits for it.
func (l *leaving) stop() {
	l.mu.Lock()
	l.over = true
	posted, done := l.posted, l.done
	l.mu.Unlock()
	if posted {
		l.c.sentry.dismiss(l)
	}
	if done != nil {
		_ = l.c.nc.SetReadDeadline(past) // fails only with the connection
		<-done
		l.c.disarmRead()
	}
}

func (l *leaving) end() {
	l.stop()
	l.Cancel()
}

// awaitGone returns nil when the client has left, and the error of the wait
// otherwise. It has left when the connection has failed, or when it has closed
// its side after halfBy: one that does so with its request wants an answer yet.
// Bytes that arrive stay where they are.
func (w *wire) awaitGone(halfBy time.Time) error {
	if w.raw == nil {
		return errWouldBlock
	}
	w.halfBy = halfBy
	return w.raw.Read(w.reading.look)
}

func (w *wire) tryLook(fd uintptr) bool {
	var one [1]byte
	for {
		n, _, err := unix.Recvfrom(int(fd), one[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		switch {
		case n > 0 || errors.Is(err, syscall.EAGAIN):
			return false
		case errors.Is(err, syscall.EINTR):
			continue
		case err == nil:
			if !w.half && time.Now().Before(w.halfBy) {
				w.half = true
				w.keepAlive()
			}
			return !w.half || failed(fd)
		}
		return true
	}
}

// keepAlive has the system find out about a client that has closed both sides,
// which looks the same until something is sent: it answers probes with a reset
// once it has forgotten the connection, Linux after a minute.
func (w *wire) keepAlive() {
	if c, ok := socket[interface {
		SetKeepAliveConfig(net.KeepAliveConfig) error
	}](w.nc); ok {
		// Where that fails, the time of the origin is what ends it.
		_ = c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 15 * time.Second, Count: 4})
	}
}

// failed reports whether a connection is over in both directions. Behind the end
// of the other's side, a read does not say so.
func failed(fd uintptr) bool {
	p := []unix.PollFd{{Fd: int32(fd)}}
	n, err := unix.Poll(p, 0)
	return n > 0 && err == nil && p[0].Revents&(unix.POLLERR|unix.POLLHUP|unix.POLLNVAL) != 0
}
