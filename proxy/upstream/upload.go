package upstream

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	uploadBuffer = 32 << 10
	settleTime   = 20 * time.Millisecond
)

// upload sends a request's body while the response is already being waited for.
type upload struct {
	cn       *conn
	req      *http.Request
	response time.Duration // wait for the response once all is sent
	expect   time.Duration // wait for 100 (Continue); 0: none is expected
	goAhead  chan struct{} // closed by proceed
	quit     chan struct{} // closed by abort
	ended    chan struct{} // closed when run returns

	mu       sync.Mutex // guards what follows, and the order of deadlines
	asked    bool       // proceed was called
	begun    bool       // the body is on its way, the source may have been read
	last     bool       // the last piece is being written
	stopped  bool
	finished bool
	whole    bool // everything was sent
	head     bool // the final head is there, reads have deadlines of their own
	source   error
}

func (c *Client) startUpload(cn *conn, req *http.Request) *upload {
	u := &upload{
		cn: cn, req: req, response: c.opts.ResponseTimeout.D(),
		goAhead: make(chan struct{}), quit: make(chan struct{}),
		ended: make(chan struct{}),
	}
	if hasToken(req.Header["Expect"], "100-continue") {
		u.expect = c.opts.ExpectTimeout.D()
	}
	u.begun = u.expect == 0
	c.senders.Go(u.run)
	return u
}

func (u *upload) run() {
	defer close(u.ended)
	var err error
	if u.wait() {
		err = u.send()
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.finished = true
	u.whole = u.begun && err == nil && !u.stopped
	if u.source != nil && !u.stopped {
		u.cn.close() // the origin must not take a part for the whole
	} else if !u.head {
		_ = u.cn.nc.SetReadDeadline(time.Now().Add(u.response))
	}
}

// wait returns true when the body is to be sent.
func (u *upload) wait() bool {
	if u.expect > 0 {
		t := time.NewTimer(u.expect)
		defer t.Stop()
		select {
		case <-u.goAhead:
		case <-t.C:
		case <-u.quit:
		}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.stopped {
		return false
	}
	u.begun = true
	return true
}

// proceed tells that the origin has answered 100 (Continue).
func (u *upload) proceed() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.asked {
		u.asked = true
		close(u.goAhead)
	}
}

// headSeen tells that the final response has begun. An origin that does not
// want the rest, or never asked for the body it was offered, gets none.
func (u *upload) headSeen(code int) {
	u.settle()
	u.mu.Lock()
	u.head = true
	unwanted := !u.finished && (code >= 300 || !u.begun)
	u.mu.Unlock()
	if unwanted {
		u.abort()
	}
}

// settle lets the sender note that it has finished, where a quick origin has
// answered before the last write has returned.
func (u *upload) settle() {
	u.mu.Lock()
	last := u.last && !u.stopped
	u.mu.Unlock()
	if !last {
		return
	}
	t := time.NewTimer(settleTime)
	defer t.Stop()
	select {
	case <-u.ended:
	case <-t.C:
	}
}

// extend starts the wait for the response again, once everything is sent.
func (u *upload) extend(d time.Duration) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.finished {
		return nil
	}
	return u.cn.nc.SetReadDeadline(time.Now().Add(d))
}

// abort stops sending. A write under way ends at once; a read from the source
// does if it can be told to.
func (u *upload) abort() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.stopped || u.finished {
		return
	}
	u.stopped = true
	close(u.quit)
	_ = u.cn.nc.SetWriteDeadline(past)
	if d, ok := u.req.Body.(interface{ SetReadDeadline(time.Time) error }); ok && u.begun {
		_ = d.SetReadDeadline(past)
	}
}

func (u *upload) started() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.begun
}

// done reports whether the whole body was sent.
func (u *upload) done() bool {
	u.settle()
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.whole
}

// sourceErr returns why the source could not be read to its end.
func (u *upload) sourceErr() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.source
}

// write sends a piece unless the upload was stopped.
func (u *upload) write(p []byte, last bool) error {
	u.mu.Lock()
	if u.stopped {
		u.mu.Unlock()
		return io.ErrClosedPipe
	}
	u.last = last
	err := u.cn.nc.SetWriteDeadline(time.Now().Add(u.cn.perWrite))
	u.mu.Unlock()
	if err != nil {
		return err
	}
	_, err = u.cn.nc.Write(p)
	return err
}

// read reads the source; its errors are remembered as the client's.
func (u *upload) read(p []byte) (int, error) {
	n, err := u.req.Body.Read(p)
	if err != nil && err != io.EOF {
		u.blame(err)
	}
	return n, err
}

func (u *upload) blame(err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.stopped {
		u.source = fmt.Errorf("read request body: %w", err)
	}
}

func (u *upload) send() error {
	if u.req.ContentLength > 0 {
		return u.sendLength()
	}
	return u.sendChunked()
}

func (u *upload) sendLength() error {
	buf := make([]byte, min(u.req.ContentLength, uploadBuffer))
	for left := u.req.ContentLength; left > 0; {
		n, err := u.read(buf[:min(left, int64(len(buf)))])
		if n > 0 {
			left -= int64(n)
			if err := u.write(buf[:n], left == 0); err != nil {
				return err
			}
		}
		if err == io.EOF && left > 0 { //nolint:errorlint // a wrapped EOF is not the end
			u.blame(io.ErrUnexpectedEOF)
			return io.ErrUnexpectedEOF
		}
		if err != nil && err != io.EOF { //nolint:errorlint // a wrapped EOF is not the end
			return err
		}
	}
	return nil
}

// sendChunked writes each piece as one chunk, as it comes (RFC 9112 §7.1).
func (u *upload) sendChunked() error {
	const front, behind = len("8000\r\n"), len("\r\n")
	buf := make([]byte, front+uploadBuffer+behind)
	for {
		n, err := u.read(buf[front : front+uploadBuffer])
		if n > 0 {
			size := strconv.AppendInt(make([]byte, 0, front), int64(n), 16)
			start := front - len(size) - 2
			copy(buf[start:], size)
			copy(buf[front-2:], "\r\n")
			copy(buf[front+n:], "\r\n")
			if err := u.write(buf[start:front+n+behind], false); err != nil {
				return err
			}
		}
		if err == io.EOF { //nolint:errorlint // a wrapped EOF is not the end
			return u.sendTrailers()
		}
		if err != nil {
			return err
		}
	}
}

func (u *upload) sendTrailers() error {
	b := []byte("0\r\n")
	names := make([]string, 0, len(u.req.Trailer))
	for name := range u.req.Trailer {
		if validToken(name) && !forbiddenTrailer(http.CanonicalHeaderKey(name)) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		for _, v := range u.req.Trailer[name] {
			if !validValue(v) {
				err := fmt.Errorf("invalid byte in trailer %s", name)
				u.blame(err)
				return err
			}
			b = appendField(b, name, v)
		}
	}
	return u.write(append(b, '\r', '\n'), true)
}
