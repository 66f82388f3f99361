package http1

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// wire is a connection's two directions. A socket is read and written directly,
// so that only what has to wait pays for a deadline, and an idle connection
// holds no buffer. One goroutine reads and one writes at a time.
type wire struct {
	nc       net.Conn
	raw      syscall.RawConn // nil: no socket, all goes through nc
	patience time.Duration   // of a write that moves nothing

	in, out atomic.Int64 // bytes since the start; each has one writer

	reading reading
	writing writing
	readBy  time.Time // the read deadline in force, zero: unknown

	halfBy time.Time // an end of the client's side before it is that alone
	half   bool      // such an end was seen

	mu        sync.Mutex // guards what follows, and the order of deadlines
	userRead  time.Time  // set by a handler; zero: none
	userWrite time.Time
}

// reading is a read inside raw: its arguments and results. The functions are
// made once, so that a read allocates nothing.
type reading struct {
	try, look func(fd uintptr) bool
	park      func()        // gives buf back for the time of a long wait
	unpark    func() []byte // and gets another
	parks     bool
	polls     bool // a read that would have to wait is errWouldBlock
	buf       []byte
	n         int
	err       error
}

// writing is a write inside raw.
type writing struct {
	try, file func(fd uintptr) bool
	vec       [][]byte // what is left, in order
	room      [6][]byte
	from      fileRange
	err       error
	stalled   bool // a deadline is set, and nothing has moved since
	slow      bool // there was such a deadline since somebody cleared this
}

// fileRange is what a sendfile has to move.
type fileRange struct {
	fd  int
	off int64
	n   int64
}

var errWouldBlock = errors.New("nothing has arrived")

func (w *wire) init(nc net.Conn, patience time.Duration) {
	w.nc, w.patience = nc, patience
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return
	}
	if raw, err := sc.SyscallConn(); err == nil {
		w.raw = raw
		w.reading.try, w.reading.look = w.tryRead, w.tryLook
		w.writing.try, w.writing.file = w.tryWrite, w.trySendFile
	}
}

// read waits for bytes until the read deadline.
func (w *wire) read(p []byte) (int, error) {
	if w.raw == nil {
		n, err := w.nc.Read(p)
		w.in.Add(int64(n))
		return n, err
	}
	return w.readRaw(p)
}

// readParked is read with a buffer of its own, which is given back for the time
// of the wait: park and unpark know where.
func (w *wire) readParked(p []byte) (int, error) {
	w.reading.parks = true
	defer func() { w.reading.parks = false }()
	return w.read(p)
}

// poll reads what has arrived; errWouldBlock when that is nothing.
func (w *wire) poll(p []byte) (int, error) {
	if w.raw == nil {
		return 0, errWouldBlock
	}
	w.reading.polls = true
	defer func() { w.reading.polls = false }()
	return w.readRaw(p)
}

func (w *wire) readRaw(p []byte) (int, error) {
	x := &w.reading
	x.buf, x.n, x.err = p, 0, nil
	err := w.raw.Read(x.try)
	x.buf = nil
	if err == nil {
		err = x.err
	}
	return x.n, err
}

func (w *wire) tryRead(fd uintptr) bool {
	x := &w.reading
	if x.buf == nil {
		x.buf = x.unpark()
	}
	for {
		n, errno := recv(fd, x.buf)
		switch {
		case n > 0:
			x.n = n
			w.in.Add(int64(n))
		case errno == 0:
			x.err = io.EOF
		case errno == syscall.EINTR:
			continue
		case errno == syscall.EAGAIN && x.polls:
			x.err = errWouldBlock
		case errno == syscall.EAGAIN:
			if x.parks {
				x.park()
				x.buf = nil
			}
			return false
		default:
			x.err = os.NewSyscallError("read", errno)
		}
		return true
	}
}

// write writes all of the parts, for as long as the client takes something
// within the patience.
func (w *wire) write(parts ...[]byte) error {
	x := &w.writing
	x.vec = x.room[:0]
	for _, p := range parts {
		if len(p) > 0 {
			x.vec = append(x.vec, p)
		}
	}
	if w.raw == nil {
		return w.writeConn()
	}
	x.err = nil
	err := w.raw.Write(x.try)
	if err == nil {
		err = x.err
	}
	w.wrote()
	clear(x.room[:])
	return err
}

func (w *wire) tryWrite(fd uintptr) bool {
	x := &w.writing
	for moved := false; len(x.vec) > 0; {
		var n int
		var errno syscall.Errno
		if len(x.vec) == 1 {
			n, errno = send(fd, x.vec[0])
		} else {
			n, errno = plain(unix.Writev(int(fd), x.vec))
		}
		switch {
		case n > 0:
			moved = true
			w.out.Add(int64(n))
			x.consume(n)
		case errno == syscall.EINTR:
		case errno == syscall.EAGAIN:
			x.err = w.stall(moved)
			return x.err != nil
		case errno == 0:
			x.err = io.ErrUnexpectedEOF
			return true
		default:
			x.err = os.NewSyscallError("write", errno)
			return true
		}
	}
	return true
}

// plain is the result of a system call without the error's wrapping.
func plain(n int, err error) (int, syscall.Errno) {
	if err == nil {
		return n, 0
	}
	errno, _ := errors.AsType[syscall.Errno](err)
	return max(n, 0), errno
}

func (x *writing) consume(n int) {
	for n > 0 {
		if m := len(x.vec[0]); n < m {
			x.vec[0] = x.vec[0][n:]
			return
		}
		n -= len(x.vec[0])
		x.vec = x.vec[1:]
	}
}

// stall sets the deadline of a write that has to wait; the time runs from the
// last byte that moved.
func (w *wire) stall(moved bool) error {
	if w.writing.stalled && !moved {
		return nil
	}
	w.writing.stalled, w.writing.slow = true, true
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.nc.SetWriteDeadline(earlier(time.Now().Add(w.patience), w.userWrite))
}

// wrote takes the deadline of a stalled write off.
func (w *wire) wrote() {
	if !w.writing.stalled {
		return
	}
	w.writing.stalled = false
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = w.nc.SetWriteDeadline(w.userWrite) // fails only with the connection
}

// writeConn writes through nc.
func (w *wire) writeConn() error {
	x := &w.writing
	defer w.wrote()
	for len(x.vec) > 0 {
		if err := w.stall(true); err != nil {
			return err
		}
		n, err := w.nc.Write(x.vec[0])
		w.out.Add(int64(n))
		x.consume(n)
		if err != nil && (n == 0 || !isTimeout(err)) {
			return err
		}
	}
	return nil
}

// sendFrom moves a part of a file to the socket inside the kernel. It returns
// false when that cannot be done, with nothing moved.
func (w *wire) sendFrom(from fileRange) (done bool, err error) {
	if w.raw == nil {
		return false, nil
	}
	x := &w.writing
	x.from, x.err = from, nil
	if err = w.raw.Write(x.file); err == nil {
		err = x.err
	}
	w.wrote()
	if x.from.n == from.n && (errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOSYS)) {
		return false, nil
	}
	return true, err
}

func (w *wire) trySendFile(fd uintptr) bool {
	const step = 4 << 20 // for the sake of Sendfile's int
	x := &w.writing
	for moved := false; x.from.n > 0; {
		n, err := unix.Sendfile(int(fd), x.from.fd, &x.from.off, int(min(x.from.n, step)))
		switch {
		case n > 0:
			moved = true
			x.from.n -= int64(n)
			w.out.Add(int64(n))
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EAGAIN):
			x.err = w.stall(moved)
			return x.err != nil
		case err == nil: // the file is shorter than promised
			x.err = io.ErrUnexpectedEOF
			return true
		default:
			x.err = os.NewSyscallError("sendfile", err)
			return true
		}
	}
	return true
}

// armRead makes reads end at t, or earlier if a handler wants so. A deadline
// that is nearly there already is left as it is.
func (w *wire) armRead(t time.Time, tolerance time.Duration) {
	if d := t.Sub(w.readBy); !w.readBy.IsZero() && d < tolerance && d > -tolerance {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.readBy = t
	_ = w.nc.SetReadDeadline(earlier(t, w.userRead)) // fails only with the connection
}

// unlimitRead lets a read wait for as long as it takes.
func (w *wire) unlimitRead() {
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = w.nc.SetReadDeadline(w.userRead) // fails only with the connection
}

// disarmRead makes the next armRead set its deadline.
func (w *wire) disarmRead() { w.readBy = time.Time{} }

// setRead is a handler's deadline, which goes beside ours.
func (w *wire) setRead(t time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.userRead = t
	if t.IsZero() {
		return nil // ours stays
	}
	return w.nc.SetReadDeadline(t)
}

func (w *wire) setWrite(t time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.userWrite = t
	return w.nc.SetWriteDeadline(t)
}

// userLimited reports whether a handler has set a deadline for reads.
func (w *wire) userLimited() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.userRead.IsZero()
}

// clearUser takes a handler's deadlines off.
func (w *wire) clearUser() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.userRead.IsZero() {
		w.userRead = time.Time{}
		w.readBy = time.Time{}
	}
	if !w.userWrite.IsZero() {
		w.userWrite = time.Time{}
		_ = w.nc.SetWriteDeadline(time.Time{})
	}
}

// socket is the connection, or the first of those it wraps, that is a T.
func socket[T any](nc net.Conn) (t T, ok bool) {
	for {
		if t, ok = nc.(T); ok {
			return t, true
		}
		w, ok := nc.(interface{ NetConn() net.Conn })
		if !ok {
			return t, false
		}
		nc = w.NetConn()
	}
}

// reset makes the close that follows break the connection off.
func (w *wire) reset() {
	if c, ok := socket[interface{ SetLinger(int) error }](w.nc); ok {
		_ = c.SetLinger(0) // fails only with the connection
	}
}

// closeWrite tells the client that nothing more comes.
func (w *wire) closeWrite() bool {
	hc, ok := w.nc.(interface{ CloseWrite() error })
	return ok && hc.CloseWrite() == nil
}

// past is a deadline that ends whatever is under way.
var past = time.Unix(1, 0)

// earlier is the earlier of two deadlines, of which b may be none.
func earlier(a, b time.Time) time.Time {
	if !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// isTimeout reports an expired deadline.
func isTimeout(err error) bool {
	if err == nil { // what errors.As is given would be allocated
		return false
	}
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
