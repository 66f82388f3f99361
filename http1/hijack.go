package http1

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"slices"
	"time"
)

var errBodyUnread = errors.New("the body of the request has not been read: its bytes would be taken for what follows")

// Hijack implements http.Hijacker. The reader holds what has arrived behind the
// request.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	nc, early, err := w.TakeOver()
	if nc == nil {
		return nil, nil, err
	}
	// Those who take connections over read and write them past these buffers.
	r := bufio.NewReaderSize(&earlyReader{early, nc}, max(len(early), 16))
	_, _ = r.Peek(len(early)) // so that they are in its buffer
	return nc, bufio.NewReadWriter(r, bufio.NewWriterSize(nc, 16)), err
}

// TakeOver is Hijack for those who want no buffers. Early is what has arrived
// behind the request, and the caller's.
func (w *response) TakeOver() (nc net.Conn, early []byte, err error) {
	if w.hijacked {
		return nil, nil, http.ErrHijacked
	}
	if w.status == 0 && !w.x.body.atEnd() {
		return nil, nil, errBodyUnread
	}
	w.x.body.end()
	w.x.gone.stop()
	c := w.c
	w.hijacked = true
	c.srv.becomeTunnel(c)
	c.mu.Lock()
	err = c.nc.SetDeadline(time.Time{})
	c.mu.Unlock()
	if c.work != nil {
		early = slices.Clone(c.work.unread())
		c.release()
	}
	return c.nc, early, err
}

// earlyReader is a connection of which some bytes were read already.
type earlyReader struct {
	early []byte
	net.Conn
}

func (r *earlyReader) Read(p []byte) (int, error) {
	if len(r.early) > 0 {
		n := copy(p, r.early)
		r.early = r.early[n:]
		return n, nil
	}
	return r.Conn.Read(p)
}
