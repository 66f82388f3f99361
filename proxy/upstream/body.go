package upstream

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

var errBodyClosed = errors.New("read after close")

// body is a response body. It gives the connection back at its end.
type body struct {
	x       *exchange
	src     io.Reader // one of the next two, or the connection; io.EOF only at the proper end
	length  lengthReader
	chunked chunkedReader
	keep    bool
	end     sync.Once // the exchange is finished or failed

	mu  sync.Mutex // guards err
	err error      // what every further Read returns
}

func (b *body) start(x *exchange, f framing) {
	b.x, b.keep = x, f.keep
	in := &x.cn.in
	switch f.kind {
	case bodyChunked:
		b.chunked = chunkedReader{in: in, limit: int(x.c.opts.MaxResponseHead)}
		b.src = &b.chunked
	case bodyLength:
		b.length = lengthReader{in: in, left: f.length}
		b.src = &b.length
	default:
		b.src = in
	}
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if err := b.failed(); err != nil {
		return 0, err
	}
	return b.settle(b.src.Read(p))
}

// ReadNow is Read without waiting: it returns 0 and no error when nothing is
// there yet, or when that cannot be told, as over TLS.
func (b *body) ReadNow(p []byte) (int, error) {
	if err := b.failed(); err != nil {
		return 0, err
	}
	now, ok := b.src.(nowReader)
	if !ok {
		return 0, nil
	}
	return b.settle(now.readNow(p))
}

// settle ends the exchange when a read of the source says so.
func (b *body) settle(n int, err error) (int, error) {
	if err == nil {
		return n, nil
	}
	if err == io.EOF { //nolint:errorlint // a wrapped EOF is not the proper end
		b.end.Do(func() {
			b.takeTrailers()
			b.x.finish(b.keep)
		})
	} else {
		err = b.wrap(err)
		b.end.Do(b.x.fail)
	}
	return n, b.fail(err)
}

// wrap words an error of the source: who ended the transfer, if we did.
func (b *body) wrap(err error) error {
	if cause := context.Cause(b.x.req.Context()); cause != nil {
		return Classify(cause)
	}
	return Classify(bodyError{err})
}

func (b *body) failed() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

// fail keeps the first error.
func (b *body) fail(err error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.err = err
	}
	return b.err
}

// Close ends the transfer; a Read under way returns. It may be called at any
// time from any goroutine.
func (b *body) Close() error {
	if b.failed() != nil {
		return nil
	}
	_ = b.fail(Classify(bodyError{errBodyClosed}))
	b.end.Do(b.x.fail)
	return nil
}

func (b *body) takeTrailers() {
	resp := &b.x.resp
	for name, v := range b.chunked.trailer {
		if forbiddenTrailer(name) {
			continue
		}
		if resp.Trailer == nil {
			resp.Trailer = make(http.Header, len(b.chunked.trailer))
		}
		resp.Trailer[name] = v
	}
}

// lengthReader reads a body of known length.
type lengthReader struct {
	in   *inbox
	left int64
}

func (r *lengthReader) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n, err := r.in.Read(p[:min(int64(len(p)), r.left)])
	return r.count(n, err)
}

func (r *lengthReader) readNow(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n, err := r.in.readNow(p[:min(int64(len(p)), r.left)])
	return r.count(n, err)
}

func (r *lengthReader) count(n int, err error) (int, error) {
	r.left -= int64(n)
	switch {
	case r.left == 0:
		return n, io.EOF
	case errors.Is(err, io.EOF):
		return n, io.ErrUnexpectedEOF
	}
	return n, err
}

// past is a deadline that ends whatever is under way.
var past = time.Unix(1, 0)
