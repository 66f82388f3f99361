package proxy

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"runtime/debug"
)

// run makes the fetch from beginning to end.
func (fl *flight) run() {
	defer func() { fl.end(recover()) }()
	if resp := fl.ask(); resp != nil {
		fl.bringBehind(resp)
	}
}

// runFor makes the fetch on the goroutine of x, who began it. It returns when the
// outcome is there. A body that is there too has been brought by then; one that
// nobody else reads is left in through, and what must be waited for otherwise comes
// behind.
func (fl *flight) runFor(x *exchange) {
	behind := false
	defer func() {
		if !behind {
			fl.end(recover())
		}
	}()
	fl.hints.to = x
	resp := fl.ask()
	fl.hints.to = nil // for a sibling's body that the origin goes on with
	if resp == nil || fl.bringNow(resp) {
		return
	}
	behind = true
	fl.announce()
	if fl.soleReader() {
		fl.through = &through{fl: fl, resp: resp}
		return
	}
	go func() {
		defer func() { fl.end(recover()) }()
		fl.bringBehind(resp)
	}()
}

// end is behind every fetch, also one that ran into a defect of our own: that must
// not end the process, nor keep those who wait for the fetch waiting for ever.
func (fl *flight) end(defect any) {
	if defect != nil {
		fl.p.d.Log.Error("fetch ended by a defect", "panic", defect, "stack", string(debug.Stack()))
	}
	if !fl.head.happened() {
		fl.err = errNoOutcome
		fl.head.happen()
	}
	fl.body.finish(errNoOutcome)
	fl.land()
}

var errNoOutcome = errors.New("fetch ended without an outcome")

// bringNow brings the body if all of it is there, and is to be stored or fits the
// ring. False: bringBehind is to bring what is missing.
func (fl *flight) bringNow(resp *http.Response) bool {
	borrowed, is := resp.Body.(*borrowedBody)
	whole := is && borrowed.whole()
	switch {
	case fl.fill.missing.Len > 0:
		return false
	case fl.stored, resp.Body == http.NoBody:
	case !whole, resp.ContentLength > int64(fl.body.size):
		return false
	}
	fl.in.wait = whole || resp.Body == http.NoBody // which takes no time
	err := fl.move()
	if errors.Is(err, errNotThere) {
		return false
	}
	fl.conclude(resp, err)
	return true
}

// bringBehind brings the body while it arrives.
func (fl *flight) bringBehind(resp *http.Response) {
	fl.announce()
	fl.in.wait = true
	fl.conclude(resp, fl.move())
}

// move brings the body over. The last bytes of a body of known length are held
// back until the object is committed, so that whoever saw the end of a response
// finds it in the store.
func (fl *flight) move() error {
	if err := fl.copyStored(fl.pieces.before); err != nil {
		return err
	}
	for {
		err := fl.in.step(len(fl.pieces.after) == 0)
		switch {
		case err == io.EOF: //nolint:errorlint // a wrapped EOF is not the proper end
			return fl.copyStored(fl.pieces.after)
		case err != nil:
			return err
		}
	}
}

// conclude ends a fetch whose body has been brought, or cannot be.
func (fl *flight) conclude(resp *http.Response, err error) {
	defer fl.in.end()
	if err == nil {
		if fl.trailer != nil {
			maps.Copy(fl.trailer, resp.Trailer)
		}
		fl.commit()
	} else {
		fl.close() // who asks after the abort was seen gets a fetch of his own
	}
	fl.body.finish(err)
	fl.announce()
}

// announce tells those who wait that the outcome is there, once.
func (fl *flight) announce() {
	if !fl.head.happened() {
		fl.head.happen()
		if !fl.stored {
			fl.review()
		}
	}
}
