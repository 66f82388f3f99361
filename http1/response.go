package http1

import (
	"errors"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// response is the http.ResponseWriter of the long way. But for the 100
// (Continue) that a body's reader may cause, it belongs to one goroutine.
type response struct {
	x      *exchange
	c      *Conn
	header http.Header // nil until somebody asks for it
	isHead bool        // the request is a HEAD

	status   int    // 0: not said yet
	head     []byte // the head, without what depends on the body; nil: it was sent
	length   int64  // announced by the handler; -1: not
	trailers []string
	closes   bool // the handler said Connection: close
	chunked  bool
	written  int64            // body bytes from the handler
	buf      *[writeRoom]byte // body bytes that wait
	n        int
	size     [20]byte // of a chunk, in hexadecimal
	err      error
	finished bool
	hijacked bool

	mu      sync.Mutex // guards expects; held over a write, so that a 100 goes out in front of the head or not at all
	expects bool       // the client waits for 100 (Continue)
}

func (w *response) init(x *exchange, r *Request) {
	w.x, w.c, w.length = x, x.c, -1
	w.expects = r.marks&hasExpect != 0 && r.Length != 0
	w.isHead = string(r.Method) == http.MethodHead
}

// Conn is the connection that the request came on.
func (w *response) Conn() *Conn { return w.c }

// Header implements http.ResponseWriter.
func (w *response) Header() http.Header {
	if w.header == nil {
		w.header = headers.Get().(http.Header)
	}
	return w.header
}

// WriteHeader implements http.ResponseWriter. An informational status is sent
// at once, and the response is still to come.
func (w *response) WriteHeader(status int) {
	if status < 100 || status > 999 {
		panic("http1: invalid status " + strconv.Itoa(status))
	}
	switch {
	case w.hijacked || w.status != 0:
	case status == http.StatusContinue:
		w.proceed()
	case status < 200 && status != http.StatusSwitchingProtocols:
		w.interim(status)
	default:
		w.begin(status)
	}
}

// interim sends an informational response, which HTTP/1.0 has none of.
func (w *response) interim(status int) {
	if w.x.minor == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	head := appendStatus(nil, status)
	head = appendFields(head, w.header, func(name string) bool { return framingField[name] })
	_ = w.failed(w.c.wrote(w.c.write(append(head, crlf...)))) // the next write fails too
}

// proceed tells a client that waits for it to send its body.
func (w *response) proceed() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.expects || w.status != 0 {
		return
	}
	w.expects = false
	_ = w.failed(w.c.wrote(w.c.write([]byte("HTTP/1.1 100 Continue\r\n\r\n")))) // reading the body fails too
}

// framingField are the fields that say where a message ends; of the final
// response they are written here.
var framingField = map[string]bool{"Content-Length": true, "Transfer-Encoding": true, "Connection": true, "Trailer": true, "Date": true}

// begin fixes the status and the fields as they are now.
func (w *response) begin(status int) {
	w.mu.Lock()
	w.status = status
	w.mu.Unlock()
	h := w.header
	if v := h["Content-Length"]; len(v) == 1 {
		if n, ok := decimal([]byte(strings.TrimSpace(v[0]))); ok {
			w.length = n
		}
	}
	w.trailers = nil
	for _, line := range h["Trailer"] {
		for name := range strings.SplitSeq(line, ",") {
			w.trailers = append(w.trailers, http.CanonicalHeaderKey(strings.TrimSpace(name)))
		}
	}
	head := appendStatus(w.c.Buffer(), status)
	head = appendFields(head, h, func(name string) bool {
		return name == "Content-Length" || name == "Transfer-Encoding" || slices.Contains(w.trailers, name)
	})
	if _, ok := h["Date"]; !ok {
		head = append(head, "Date: "...)
		head = append(head, w.c.srv.date.text(w.c.srv.deps.Clock())...)
		head = append(head, crlf...)
	}
	w.closes = listed(h["Connection"], "close")
	w.head = head
}

// bodyless reports a status that has no body (RFC 9110 §6.4.1).
func (w *response) bodyless() bool {
	return w.status < 200 || w.status == http.StatusNoContent || w.status == http.StatusNotModified
}

// frame completes the head by how the body is framed. All is true when the
// handler has said everything.
func (w *response) frame(all bool) {
	h := w.head
	framed := true // the end of the response is told
	switch {
	case w.status < 200 || w.status == http.StatusNoContent:
	case w.length >= 0:
		h = appendLength(h, w.length)
	case w.bodyless():
	case w.isHead:
		if all && w.written > 0 {
			h = appendLength(h, w.written)
		}
	case all && !w.hasTrailers():
		h = appendLength(h, w.written)
	case w.x.minor > 0:
		w.chunked = true
		h = append(h, "Transfer-Encoding: chunked\r\n"...)
	default:
		framed = false
	}
	w.c.keep = w.keeps() && framed
	if !w.c.keep && !w.closes {
		h = append(h, "Connection: close\r\n"...)
	}
	w.head = append(h, crlf...)
}

// keeps reports whether the connection may carry another request.
func (w *response) keeps() bool {
	r := Request{Persist: w.x.persist}
	return !w.closes && w.c.Persist(&r) && !w.expects && w.x.body.small()
}

func (w *response) hasTrailers() bool {
	if len(w.trailers) > 0 {
		return true
	}
	for name := range w.header {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			return true
		}
	}
	return false
}

// Write implements http.ResponseWriter.
func (w *response) Write(p []byte) (int, error) {
	switch {
	case w.hijacked:
		return 0, http.ErrHijacked
	case w.status == 0:
		w.begin(http.StatusOK)
	}
	switch {
	case len(p) == 0:
		return 0, w.err
	case w.bodyless():
		return 0, http.ErrBodyNotAllowed
	case w.length >= 0 && w.written+int64(len(p)) > w.length:
		return 0, http.ErrContentLength
	case w.finished:
		return 0, errFinished
	}
	w.written += int64(len(p))
	switch {
	case w.isHead:
	case w.n+len(p) > inlineMax:
		if err := w.send(p, false); err != nil {
			return 0, err
		}
	default:
		if w.buf == nil {
			w.buf = outs.Get().(*[writeRoom]byte)
		}
		w.n += copy(w.buf[w.n:], p)
	}
	return len(p), w.err
}

var errFinished = errors.New("the response has been finished")

// WriteString implements io.StringWriter.
func (w *response) WriteString(s string) (int, error) { return w.Write([]byte(s)) }

const crlf = "\r\n"

// send writes what waits and p. With all, the response ends behind it.
func (w *response) send(p []byte, all bool) error {
	if w.err != nil {
		return w.err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.head != nil {
		w.frame(all)
		w.c.setState(StateResponse)
	}
	head, waiting := w.head, w.n
	w.head, w.n = nil, 0
	switch {
	case w.chunked:
		return w.failed(w.c.wrote(w.sendChunk(head, waiting, p, all)))
	case waiting == 0 && head != nil:
		return w.failed(w.c.Send(head, p))
	}
	err := w.failed(w.c.wrote(w.c.write(head, w.waiting(waiting), p)))
	w.c.giveOut()
	return err
}

func (w *response) waiting(n int) []byte {
	if n == 0 {
		return nil
	}
	return w.buf[:n]
}

func (w *response) sendChunk(head []byte, waiting int, p []byte, all bool) error {
	var end []byte
	line := w.size[:0]
	if n := waiting + len(p); n > 0 {
		line = append(strconv.AppendInt(line, int64(n), 16), crlf...)
		end = append(end, crlf...)
	}
	if all {
		end = w.appendTrailers(append(end, "0\r\n"...))
	}
	err := w.c.write(head, line, w.waiting(waiting), p, end)
	w.c.giveOut()
	return err
}

func (w *response) appendTrailers(b []byte) []byte {
	sum := http.Header{}
	for name, v := range w.header {
		if key, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
			sum[key] = v
		} else if slices.Contains(w.trailers, name) {
			sum[name] = v
		}
	}
	b = appendFields(b, sum, func(name string) bool { return trailerRule[name] == refused })
	return append(b, crlf...)
}

func (w *response) failed(err error) error {
	if err != nil && w.err == nil {
		w.err = err
		w.x.gone.Cancel()
	}
	return err
}

// Flush implements http.Flusher.
func (w *response) Flush() { _ = w.FlushError() }

// FlushError sends what waits, for http.ResponseController.
func (w *response) FlushError() error {
	switch {
	case w.hijacked:
		return http.ErrHijacked
	case w.status == 0:
		w.begin(http.StatusOK)
	}
	if w.finished || w.head == nil && w.n == 0 {
		return w.err
	}
	return w.send(nil, false)
}

// Finish sends all that is left of the response, its end included, so that
// Conn.Sent is complete; nothing may be written any more. The server does it
// when the handler has returned. A body shorter than announced is an error.
func (w *response) Finish() error {
	if w.finished || w.hijacked {
		return w.err
	}
	if w.status == 0 {
		w.begin(http.StatusOK)
	}
	w.finished = true
	short := w.length > w.written && !w.isHead && !w.bodyless()
	var err error
	if w.head != nil || w.n > 0 || w.chunked {
		err = w.send(nil, !short)
	}
	if short && err == nil {
		w.c.broken = true
		err = w.failed(io.ErrUnexpectedEOF)
	}
	return err
}

func (w *response) free() {
	if w.buf != nil {
		outs.Put(w.buf)
		w.buf = nil
	}
	w.c.giveOut()
	if w.header == nil || w.hijacked || len(w.header) > mostFields {
		return // somebody may hold on to it; it is too much to keep
	}
	clear(w.header)
	headers.Put(w.header) //nolint:staticcheck // a map is a pointer
	w.header = nil
}

// ReadFrom implements io.ReaderFrom. What stands in a file moves inside the
// kernel where the length was announced.
func (w *response) ReadFrom(src io.Reader) (int64, error) {
	if !w.hijacked && w.status == 0 {
		w.begin(http.StatusOK)
	}
	var n int64
	if w.length >= 0 && !w.isHead && !w.bodyless() && !w.hijacked && !w.finished {
		var err error
		if n, err = w.readFile(src); err != nil {
			return n, err
		}
	}
	buf := copies.Get().(*[copyRoom]byte)
	defer copies.Put(buf)
	m, err := io.CopyBuffer(struct{ io.Writer }{w}, src, buf[:])
	return n + m, err
}

// readFile sends the rest of a file, or what is limited of it, if src is one.
func (w *response) readFile(src io.Reader) (int64, error) {
	lr, limited := src.(*io.LimitedReader)
	if limited {
		src = lr.R
	}
	f, ok := src.(*os.File)
	if !ok {
		return 0, nil
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return 0, nil
	}
	at, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, nil
	}
	n := min(info.Size()-at, w.length-w.written)
	if limited {
		n = min(n, lr.N)
	}
	if n <= 0 {
		return 0, nil
	}
	if w.head != nil || w.n > 0 {
		if err := w.send(nil, false); err != nil {
			return 0, err
		}
	}
	before := w.c.out.Load()
	err = w.failed(w.c.wrote(w.c.sendRest(f, at, n)))
	moved := w.c.out.Load() - before
	w.written += moved
	if limited {
		lr.N -= moved
	}
	_, _ = f.Seek(at+moved, io.SeekStart) // a regular file
	return moved, err
}

// SetReadDeadline is for http.ResponseController.
func (w *response) SetReadDeadline(t time.Time) error { return w.c.setRead(t) }

// SetWriteDeadline is for http.ResponseController. A client that takes nothing
// is given up after Options.WriteTimeout whatever it says.
func (w *response) SetWriteDeadline(t time.Time) error { return w.c.setWrite(t) }

// EnableFullDuplex is for http.ResponseController: reading on after the
// response has begun is always possible.
func (w *response) EnableFullDuplex() error { return nil }
