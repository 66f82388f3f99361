package proxy

import (
	"io"
	"net/http"
)

// through is a body on its way from the origin straight to the client that asked
// for it, as nobody else reads it and it is not stored. It belongs to that client's
// goroutine, which ends the flight with it.
type through struct {
	fl    *flight
	resp  *http.Response
	idle  pusher // told before it waits with something read since it last did
	moved bool   // something was read since then
	over  bool   // the flight knows how it ended
}

// soleReader reports that whoever began the flight is the only one who reads its
// body, and has nobody join later.
func (fl *flight) soleReader() bool {
	if fl.stored || fl.borrowed || !fl.asItCame() {
		return false
	}
	fs := &fl.p.flights
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fl.forget()
	return fl.readers == 1 && !fl.left
}

// ReadAt reads what comes next, whatever off says; it blocks until there is some.
func (t *through) ReadAt(p []byte, _ int64) (int, error) {
	in := &t.fl.in
	in.wait = false
	n, err := in.read(p)
	if err == errNotThere { //nolint:errorlint // as read returns it
		if t.moved {
			t.moved = false
			t.idle.push()
		}
		in.wait = true
		n, err = in.read(p)
	}
	t.moved = t.moved || n > 0
	if err != nil {
		t.conclude(err)
	}
	return n, err
}

// conclude tells the flight how the body ended, once.
func (t *through) conclude(err error) {
	if t.over {
		return
	}
	t.over = true
	if err == io.EOF { //nolint:errorlint // a wrapped EOF is not the proper end
		err = nil
	}
	t.fl.conclude(t.resp, err)
}

// end ends the flight, whether or not the body was read.
func (t *through) end() {
	t.conclude(errAbandoned)
	t.fl.end(nil)
}
