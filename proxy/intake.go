package proxy

import (
	"errors"
	"io"
	"net/http"
	"sync"
)

// intake takes a response's body from its origin to the spool: straight into
// the room that the store has for it, or else through a buffer.
type intake struct {
	fl   *flight
	body io.ReadCloser
	left int64   // of the announced length; negative: none was announced
	got  int64   // bytes
	buf  *[]byte // nil: none is taken
	wait bool    // for what has not arrived; else step fails with errNotThere
}

// errNotThere says that going on means to wait.
var errNotThere = errors.New("the rest has not arrived yet")

// step moves what one read brings. The last bytes of an announced length are
// held back from readers if hold says so and they are stored.
func (in *intake) step(hold bool) error {
	s := &in.fl.body
	var room []byte
	if in.left > 0 {
		room = s.room(in.left)
	}
	p := room
	if p == nil {
		p = in.buffer()
	}
	if !in.wait { // nor for readers: what the store does not take must fit the ring
		if !s.intact() {
			return errNotThere
		}
		p = p[:min(len(p), s.size)]
	}
	n, err := in.read(p)
	if n == 0 {
		return err
	}
	hold = hold && in.fl.stored && in.left == 0
	if room != nil {
		s.advance(n, hold)
	} else if s.write(&in.fl.ctx, p[:n], hold) != nil {
		return errAbandoned
	}
	return err
}

// read reads what there is, and waits for some if it may.
func (in *intake) read(p []byte) (n int, err error) {
	if in.wait {
		n, err = in.body.Read(p)
	} else if n, err = in.readNow(p); n == 0 && err == nil {
		return 0, errNotThere
	}
	if in.got += int64(n); in.left >= 0 {
		in.left -= int64(n)
	}
	in.fl.p.stats.originBytes.Add(int64(n))
	if err != nil && err != io.EOF { //nolint:errorlint // a wrapped EOF is not the proper end
		in.fl.p.stats.originErrors.Add(1)
	}
	return n, err
}

// readNow reads what has arrived, unless that has become too much to be taken
// before anybody sees it.
func (in *intake) readNow(p []byte) (int, error) {
	if b, ok := in.body.(interface{ ReadNow([]byte) (int, error) }); ok && in.got < maxRoom {
		return b.ReadNow(p)
	}
	return 0, nil
}

func (in *intake) buffer() []byte {
	if in.buf == nil {
		in.buf = fetchBuffers.Get().(*[]byte)
	}
	return *in.buf
}

// begin prepares for the body of resp.
func (in *intake) begin(resp *http.Response) { in.body, in.left = resp.Body, resp.ContentLength }

// end closes the body.
func (in *intake) end() {
	if in.buf != nil {
		fetchBuffers.Put(in.buf)
		in.buf = nil
	}
	in.body.Close()
}

// fetchBuffers take what comes from origins. They are small, as a client that
// does not read pins one.
var fetchBuffers = sync.Pool{New: func() any {
	b := make([]byte, 16<<10)
	return &b
}}

// copyBuffers hold 32 KiB, which fits the first-level cache of a core.
var copyBuffers = sync.Pool{New: func() any {
	b := make([]byte, 32<<10)
	return &b
}}
