package http1

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	previewSize  = 32 << 10               // of a chunked body, looked at before the handler is asked
	previewPause = 100 * time.Millisecond // a client that sends nothing for so long wants an answer first
	previewTime  = time.Second            // of looking in all: a body in drops has no pauses
	drainSize    = 64 << 10               // of a body that nobody wanted, to keep the connection
)

// bodyTime is how long a body may be waited for in all, before what has come of
// it gives more: each byte as long as it takes at Options.BodyMinRate. So long
// is also the time over which the rate is a mean.
const bodyTime = 5 * time.Minute

// body is a request's body. It may be read on another goroutine than the
// handler's.
type body struct {
	x     *exchange
	took  atomic.Int64 // bytes as they came
	ended atomic.Bool  // no more reads: the handler has returned

	mu     sync.Mutex // held while reading; guards what follows
	left   int64      // of a body with a length
	coded  bool       // chunked
	chunks chunks
	line   struct { // of the coding, seen under way last
		chunk int // that it comes before
		since time.Time
	}
	patience time.Duration // left for waiting; of use where there is a least rate
	whole    bool          // all of it is in the buffer
	err      error         // what every further Read returns; io.EOF behind the whole body
	closed   bool
}

func (b *body) init(x *exchange, r *Request) {
	b.x, b.left, b.coded = x, r.Length, r.Length < 0
	b.chunks.limit = x.c.srv.lim.head
	b.patience = x.c.srv.bodyTime
	if r.Length == 0 {
		b.err = io.EOF
	}
}

func (b *body) taken() int64 { return b.took.Load() }

// preview looks at the beginning of a chunked body, as much of it as comes
// without a pause and in a second, before anybody is asked because of it.
func (b *body) preview() *problem {
	if !b.coded || b.x.w.expects {
		return nil
	}
	c := b.x.c
	look := chunks{discard: true, limit: b.chunks.limit}
	over := time.Now().Add(previewTime)
	for seen := 0; ; {
		_, n, err := look.decode(nil, c.work.unread()[seen:])
		seen += n
		switch {
		case err == io.EOF: //nolint:errorlint // decode's own
			_, bad := look.fields(c.srv.lim.fields)
			b.whole = bad == nil
			return bad
		case err != nil:
			return problemOf(err)
		case seen >= previewSize:
			return nil
		}
		by := b.by(&look)
		if look.begun > 0 {
			by = earlier(time.Now().Add(previewPause), over)
		}
		c.disarmRead()
		c.armRead(by, 0)
		n, err = c.read(c.work.free(previewSize + readRoom))
		c.work.w += n
		c.disarmRead()
		switch {
		case n > 0:
		case !isTimeout(err):
			return cutBody
		case look.begun == 0:
			return slowBody
		default:
			return nil
		}
	}
}

func problemOf(err error) *problem {
	p, _ := errors.AsType[*problem](err)
	return p
}

// Read implements io.Reader. The errors are io.EOF behind the whole body,
// io.ErrUnexpectedEOF for a client that left, timeouts, and those that BadBody
// knows.
func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed || b.ended.Load():
		return 0, http.ErrBodyReadAfterClose
	case b.err != nil:
		return 0, b.err
	case len(p) == 0:
		return 0, nil
	}
	b.x.w.proceed()
	return b.read(p)
}

// read is Read without the formalities; mu is held.
func (b *body) read(p []byte) (n int, err error) {
	if b.err != nil {
		return 0, b.err
	}
	if b.coded {
		n, err = b.readChunks(p)
	} else {
		n, err = b.readLength(p)
	}
	switch {
	case err == nil || isTimeout(err): // the next read may do better
		return n, err
	case err == io.EOF: //nolint:errorlint // the proper end
		b.x.gone.bodyRead()
	case problemOf(err) == nil:
		b.x.gone.Cancel()
	}
	b.err = err
	if n > 0 && err != io.EOF { //nolint:errorlint // the proper end
		err = nil // tell of the error when this is used
	}
	return n, err
}

func (b *body) readLength(p []byte) (int, error) {
	k := b.x.c.work
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	var n int
	var err error
	if len(k.unread()) == 0 && len(p) >= readRoom {
		n, err = b.fill(p)
	} else {
		if len(k.unread()) == 0 {
			var m int
			m, err = b.fill(k.free(readRoom))
			k.w += m
		}
		n = copy(p, k.unread())
		k.r += n
	}
	b.took.Add(int64(n))
	if b.left -= int64(n); b.left == 0 {
		return n, io.EOF
	}
	if n > 0 {
		err = nil
	}
	return n, err
}

func (b *body) readChunks(p []byte) (int, error) {
	k := b.x.c.work
	for {
		if len(k.unread()) == 0 {
			n, err := b.fill(k.free(readRoom))
			k.w += n
			if n == 0 {
				return 0, err
			}
		}
		put, took, err := b.chunks.decode(p, k.unread())
		k.r += took
		b.took.Add(int64(took))
		if err == io.EOF { //nolint:errorlint // decode's own
			return put, b.trailers()
		}
		if put > 0 || err != nil {
			return put, err
		}
	}
}

// trailers takes the trailer fields over; the error is io.EOF if they may stay.
func (b *body) trailers() error {
	h, bad := b.chunks.fields(b.x.c.srv.lim.fields)
	if bad != nil {
		return bad
	}
	for name, v := range h {
		if b.x.req.Trailer == nil {
			b.x.req.Trailer = http.Header{}
		}
		b.x.req.Trailer[name] = v
	}
	return io.EOF
}

// by is when more must have come, at the latest when the patience is over. What
// surrounds the data of chunks must be there in the time of a head: it moves
// nothing, however long it goes on.
func (b *body) by(d *chunks) time.Time {
	o, now := &b.x.c.srv.opts, time.Now()
	by := now.Add(o.BodyTimeout.D())
	if o.BodyMinRate > 0 {
		by = earlier(by, now.Add(b.patience))
	}
	if !b.coded || !d.inLine() {
		return by
	}
	if b.line.since.IsZero() || b.line.chunk != d.begun {
		b.line.chunk, b.line.since = d.begun, now
	}
	return earlier(by, b.line.since.Add(o.HeaderTimeout.D()))
}

// fill reads from the connection.
func (b *body) fill(p []byte) (int, error) {
	s := b.x.c.srv
	b.x.c.armRead(b.by(&b.chunks), min(s.opts.BodyTimeout.D(), s.bodyTime)/16)
	began := time.Now()
	n, err := b.x.c.read(p)
	b.waited(time.Since(began), n)
	switch {
	case n == 0 && errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	case isTimeout(err) && !b.x.c.userLimited(): // a handler that wants no more says so by a deadline
		s.stats.bodySlow.Add(1)
	}
	return n, err
}

// waited takes the time of a read off the patience, and gives for what it has
// brought. Only waiting counts: a client is not slow because the origin is.
func (b *body) waited(d time.Duration, n int) {
	s := b.x.c.srv
	if rate := int64(s.opts.BodyMinRate); rate > 0 {
		earned := time.Duration(int64(n) * int64(time.Second) / rate)
		b.patience = min(s.bodyTime, max(0, b.patience-d)+earned)
	}
}

// Close implements io.Closer: the handler wants no more.
func (b *body) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return nil
}

// end keeps other goroutines from reading on, and ends a read under way.
func (b *body) end() {
	if b.ended.Swap(true) || b.x.w.hijacked {
		return
	}
	if !b.mu.TryLock() {
		_ = b.x.c.setRead(past) // fails only with the connection
		b.mu.Lock()
	}
	b.mu.Unlock() //nolint:staticcheck // whoever was reading has ended
}

// atEnd reports whether the body has been read to its end.
func (b *body) atEnd() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err == io.EOF //nolint:errorlint // the proper end
}

// small reports whether the rest of the body is little enough to be read away
// behind the response.
func (b *body) small() bool {
	if !b.mu.TryLock() {
		return false // somebody is reading it, and may stop anywhere
	}
	defer b.mu.Unlock()
	switch {
	case b.err != nil:
		return b.err == io.EOF //nolint:errorlint // the proper end
	case b.coded:
		return b.whole
	}
	return b.left <= drainSize
}

// drain reads the rest of the body away if another request shall follow. It
// returns false when bytes of it may still come.
func (b *body) drain(keep bool) bool {
	if b.atEnd() {
		return true
	}
	if !keep || !b.small() {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.x.c
	c.clearUser()
	by := time.Now().Add(lingerTime)
	buf := copies.Get().(*[copyRoom]byte)
	defer copies.Put(buf)
	for b.err == nil && time.Now().Before(by) {
		if _, err := b.read(buf[:]); err != nil {
			break
		}
	}
	return b.err == io.EOF //nolint:errorlint // the proper end
}
