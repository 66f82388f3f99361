package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/cachenode/cachenode/bench/body"
	"github.com/cachenode/cachenode/bench/workload"
)

// fault is a failure with what was seen.
type fault struct {
	class  FailureClass
	detail string
}

// exchange is a request and its answer. One worker uses one again and again.
type exchange struct {
	ask     ask
	h       head
	stamp   stamp
	claim   claim
	content body.Content
	dates   dateReader

	sent, first, end time.Time
	serialBefore     uint64
	headLen          int   // bytes of the head
	got              int64 // bytes of the body
	off              int64 // where in the object the body begins
	want             int64 // bytes the body should have; -1 not known
	check            bool
	judged           bool // its claim has been held against the origin's number
	fault            fault
}

// fail keeps the first fault of an exchange: those that follow come from it.
func (x *exchange) fail(class FailureClass, detail string) {
	if x.fault.class == "" {
		x.fault = fault{class, detail}
	}
}

// receive reads the answer. An error means that the connection is of no use any
// more; the fault, if any, has been noted.
func (x *exchange) receive(c *wire, rules *rules) error {
	if err := c.readHead(&x.h); err != nil {
		x.broken(err, false)
		return err
	}
	x.first = time.Now()
	keep := c.r
	x.headLen = keep
	x.judgeHead(rules)
	x.got = 0
	if x.h.hasBody(x.ask.kind == workload.Head) {
		if err := x.receiveBody(c, keep); err != nil {
			x.broken(err, true)
			return err
		}
	}
	x.end = x.first
	if c.reads > 1 {
		x.end = time.Now()
	}
	x.judgeEnd()
	if c.w > c.r {
		x.fail(Surplus, fmt.Sprintf("%d bytes behind the end of the answer: %.60q", c.w-c.r, c.buf[c.r:c.w]))
	}
	return nil
}

func (x *exchange) receiveBody(c *wire, keep int) error {
	switch {
	case x.h.chunked:
		return x.receiveChunks(c, keep)
	case x.h.length >= 0:
		for x.got < x.h.length {
			p, err := c.some(keep, x.h.length-x.got)
			if err != nil {
				return unexpected(err)
			}
			x.bodyBytes(p)
		}
		return nil
	}
	x.h.closes = true
	for { // until the connection ends
		p, err := c.some(keep, 1<<62)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		x.bodyBytes(p)
	}
}

func (x *exchange) receiveChunks(c *wire, keep int) error {
	for {
		line, err := c.line(keep)
		if err != nil {
			return unexpected(err)
		}
		text, _, _ := bytes.Cut(line, []byte(";"))
		n, err := strconv.ParseUint(string(trim(text)), 16, 62)
		if err != nil {
			return fmt.Errorf("%w: chunk size %.40q", errMalformed, text)
		}
		if n == 0 {
			break
		}
		for left := int64(n); left > 0; {
			p, err := c.some(keep, left)
			if err != nil {
				return unexpected(err)
			}
			x.bodyBytes(p)
			left -= int64(len(p))
		}
		if line, err = c.line(keep); err != nil || len(line) > 0 {
			return errors.Join(unexpected(err), fmt.Errorf("%w: chunk without an end", errMalformed))
		}
	}
	for { // trailers
		if line, err := c.line(keep); err != nil || len(line) == 0 {
			return unexpected(err)
		}
	}
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// bodyBytes checks a piece of the body where it is.
func (x *exchange) bodyBytes(p []byte) {
	at := x.off + x.got
	x.got += int64(len(p))
	if !x.check || x.fault.class != "" {
		return
	}
	if n := x.content.Check(at, p); n < len(p) {
		x.wrongBytes(at, p, n)
	}
}

// wrongBytes names what is wrong with a body that differs from the object at p[n].
func (x *exchange) wrongBytes(at int64, p []byte, n int) {
	where := at + int64(n)
	if where >= x.content.Len() {
		x.fail(WrongLength, fmt.Sprintf("more than the %d bytes of the object", x.content.Len()))
		return
	}
	if at == 0 {
		if o, ok := body.ParseHead(p); ok {
			switch {
			case o.ID != string(x.ask.id):
				x.fail(Foreign, "the body is of "+o.ID)
				return
			case o.Version != x.stamp.version:
				x.fail(MixedVersions, fmt.Sprintf("the fields are of version %d, the body is of version %d", x.stamp.version, o.Version))
				return
			}
		}
	}
	want := x.content.At(where)
	x.fail(Corrupt, fmt.Sprintf("byte %d of %d: got %.24q, want %.24q", where, x.content.Len(), p[n:min(len(p), n+24)], want[:min(len(want), 24)]))
}

// broken notes why an exchange ended before its answer did.
func (x *exchange) broken(err error, begun bool) {
	x.end = time.Now()
	if x.first.IsZero() {
		x.first = x.end
	}
	switch {
	case isTimeout(err) && begun:
		x.fail(TimedOut, fmt.Sprintf("within the body, after %d bytes of it", x.got))
	case isTimeout(err):
		x.fail(TimedOut, "no answer")
	case errors.Is(err, errMalformed) || errors.Is(err, errHeadLong):
		x.fail(Malformed, err.Error())
	case begun:
		x.fail(Truncated, fmt.Sprintf("the connection ended after %d bytes of the body (%s)", x.got, reason(err)))
	default:
		x.fail(ConnectionLost, "no answer: "+reason(err))
	}
}

func isTimeout(err error) bool {
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	ne, ok := errors.AsType[net.Error](err)
	return ok && ne.Timeout()
}

// reason is an error without the addresses that would make every one different.
func reason(err error) string {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "closed"
	}
	if no, ok := errors.AsType[syscall.Errno](err); ok {
		return no.Error()
	}
	return err.Error()
}
