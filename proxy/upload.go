package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// linger is how long the rest of a request body that nobody wants is read, so
// that its sender gets to see the response.
const linger = time.Second

var errBodyStopped = errors.New("the rest of the request body is not wanted")

// clientBody is a request's body, each part of it under a deadline. Its reader
// may outlast the exchange, the server's body must not be read then: stop
// divides the two.
type clientBody struct {
	src      io.ReadCloser
	rc       *http.ResponseController
	patience time.Duration // for the next part
	server   context.Context
	left     context.CancelFunc // ends the exchange's context

	reading sync.Mutex // held while src is being read

	mu      sync.Mutex // guards what follows, and the order of deadlines
	all     bool       // src has been read to its end
	stopped bool
}

// takeBody makes the request's body the upload of the exchange. For net/http
// any failed read means that the client has left, also one that we end; from
// here on we tell the two apart.
func (x *exchange) takeBody() *clientBody {
	if x.upload != nil {
		return x.upload
	}
	b := &clientBody{src: x.r.Body, rc: &x.rc, patience: x.p.o.Client.BodyTimeout.D(), server: x.ctx}
	x.ctx, b.left = context.WithCancel(context.WithoutCancel(x.ctx))
	context.AfterFunc(b.server, func() {
		if b.whole() {
			b.left()
		}
	})
	x.upload = b
	return b
}

// Read implements io.Reader.
func (b *clientBody) Read(p []byte) (int, error) {
	b.reading.Lock()
	defer b.reading.Unlock()
	if err := b.await(); err != nil {
		return 0, err
	}
	n, err := b.src.Read(p)
	if err != nil {
		b.ended(err)
	}
	return n, err
}

func (b *clientBody) await() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopped {
		return errBodyStopped
	}
	return b.deadline(time.Now().Add(b.patience))
}

func (b *clientBody) ended(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == io.EOF { //nolint:errorlint // a wrapped EOF is not the proper end
		b.all = true
	}
	if !b.stopped {
		_ = b.deadline(time.Time{}) // or the watch for a client that leaves would end with it
	}
	if b.all && b.server.Err() != nil || !b.all && !b.stopped && !isTimeout(err) {
		b.left()
	}
}

// SetReadDeadline is how package upstream ends a read under way; there will be
// no other.
func (b *clientBody) SetReadDeadline(t time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopped = true
	if b.all {
		return nil
	}
	return b.deadline(t)
}

// stop returns when nobody reads src any more, and nobody will.
func (b *clientBody) stop() {
	_ = b.SetReadDeadline(time.Unix(1, 0)) // fails only with the connection
	b.reading.Lock()
	defer b.reading.Unlock()
	if !b.whole() {
		_ = b.deadline(time.Now().Add(linger)) // for what the server still reads of it
	}
}

// whole reports whether the body has been read to its end.
func (b *clientBody) whole() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all
}

// Close does nothing: src is the server's to close.
func (b *clientBody) Close() error { return nil }

func (b *clientBody) deadline(t time.Time) error {
	if err := b.rc.SetReadDeadline(t); !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}
