package proxy

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

var errBodyStopped = errors.New("the rest of the request body is not wanted")

// clientBody is a request's body on its way to the origin. Its reader may
// outlast the exchange, the server's body must not be read then: stop divides
// the two.
type clientBody struct {
	src io.ReadCloser
	rc  *http.ResponseController

	reading sync.Mutex // held while src is being read

	mu      sync.Mutex // guards what follows, and the order of deadlines
	all     bool       // src has been read to its end
	stopped bool
}

// takeBody makes the request's body the upload of the exchange.
func (x *exchange) takeBody() *clientBody {
	if x.upload == nil {
		x.upload = &clientBody{src: x.r.Body, rc: &x.rc}
	}
	return x.upload
}

// Read implements io.Reader.
func (b *clientBody) Read(p []byte) (int, error) {
	b.reading.Lock()
	defer b.reading.Unlock()
	if b.isStopped() {
		return 0, errBodyStopped
	}
	n, err := b.src.Read(p)
	if err == io.EOF { //nolint:errorlint // a wrapped EOF is not the proper end
		b.mu.Lock()
		b.all = true
		b.mu.Unlock()
	}
	return n, err
}

func (b *clientBody) isStopped() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stopped
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
	if err := b.rc.SetReadDeadline(t); !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// stop returns when nobody reads src any more, and nobody will.
func (b *clientBody) stop() {
	_ = b.SetReadDeadline(time.Unix(1, 0)) // fails only with the connection
	b.reading.Lock()
	defer b.reading.Unlock()
}

// whole reports whether the body has been read to its end.
func (b *clientBody) whole() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all
}

// Close does nothing: src is the server's to close.
func (b *clientBody) Close() error { return nil }
