package proxy

import (
	"crypto/rand"
	"errors"
	"io"
	"maps"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/cachenode/cachenode/cache"
)

// stored answers from a stored response of the given age; src holds the body
// that m describes.
func (x *exchange) stored(m *cache.Meta, src source, a cache.Answer, age time.Duration) {
	x.storedFields(m, age)
	x.deliver(m, src, a)
}

// storedFields sets the fields of a response that was fetched for another request.
func (x *exchange) storedFields(m *cache.Meta, age time.Duration) {
	x.setFields(m.Header)
	x.w.Header()["Age"] = []string{string(appendAge(nil, age))}
}

func appendAge(b []byte, age time.Duration) []byte {
	return strconv.AppendInt(b, min(int64(age/time.Second), 1<<31), 10)
}

func (x *exchange) setFields(from http.Header) {
	h := x.w.Header()
	maps.Copy(h, from)
}

// deliver sends what m, src and the fields that are set already make.
func (x *exchange) deliver(m *cache.Meta, src source, a cache.Answer) {
	if len(a.Spans) > 1 {
		x.multipart(m, src, a.Spans)
		return
	}
	body := answerFields(x.w.Header(), m, a)
	x.writeHead(a.Status)
	switch {
	case body.Len == 0 || x.r.Method == http.MethodHead:
	case body.Len < 0:
		x.copy(src, 0, body.Len)
	default:
		x.copySpan(m, src, body)
	}
}

// answerFields makes h, which has the fields of a stored response, those of an
// answer of one piece. It returns what of the representation follows, all there
// is when its length is negative.
func answerFields(h http.Header, m *cache.Meta, a cache.Answer) (body cache.Span) {
	switch a.Status {
	case http.StatusNotModified:
		notModified(h)
	case http.StatusPreconditionFailed:
		empty(h)
	case http.StatusRequestedRangeNotSatisfiable:
		h["Content-Range"] = []string{"bytes */" + strconv.FormatInt(m.Total, 10)}
		empty(h)
	case http.StatusPartialContent:
		h["Content-Range"] = []string{contentRange(a.Spans[0], m.Total)}
		setLength(h, a.Spans[0].Len)
		return a.Spans[0]
	case http.StatusNoContent:
		setLength(h, m.Total)
	default:
		setLength(h, m.Total)
		return cache.Span{Len: m.Length}
	}
	return cache.Span{}
}

// multipart answers with several ranges as multipart/byteranges (RFC 9110
// §14.6).
func (x *exchange) multipart(m *cache.Meta, src source, spans []cache.Span) {
	h := x.w.Header()
	delete(h, "Content-Range")
	boundary := rand.Text()
	parts := make([]string, len(spans)+1)
	var length int64
	for i, s := range spans {
		parts[i] = "--" + boundary + "\r\n"
		if ct := m.Header.Get("Content-Type"); ct != "" {
			parts[i] += "Content-Type: " + ct + "\r\n"
		}
		parts[i] += "Content-Range: " + contentRange(s, m.Total) + "\r\n\r\n"
		if i > 0 {
			parts[i] = "\r\n" + parts[i]
		}
		length += int64(len(parts[i])) + s.Len
	}
	parts[len(spans)] = "\r\n--" + boundary + "--\r\n"
	h["Content-Type"] = []string{"multipart/byteranges; boundary=" + boundary}
	setLength(h, length+int64(len(parts[len(spans)])))
	x.writeHead(http.StatusPartialContent)
	for i, s := range spans {
		x.write([]byte(parts[i]))
		x.copySpan(m, src, s)
	}
	x.write([]byte(parts[len(spans)]))
}

func (x *exchange) copySpan(m *cache.Meta, src source, s cache.Span) {
	if x.r.Method == http.MethodHead {
		return
	}
	off, ok := bodyRun(m, s)
	if !ok {
		x.abort()
	}
	x.copy(src, off, s.Len)
}

// copy sends length bytes of src from off, all there are when length is
// negative. What cannot be sent whole cuts the connection.
func (x *exchange) copy(src source, off, length int64) {
	if mem, ok := src.(interface{ Bytes() []byte }); ok {
		if b := mem.Bytes(); b != nil && length >= 0 {
			x.write(b[off : off+length])
			return
		}
	}
	from := passage{src: src}
	defer from.close()
	for length != 0 {
		p, err := from.next(off, length)
		if len(p) > 0 {
			x.write(p)
			off += int64(len(p))
			if length > 0 {
				length -= int64(len(p))
			}
			continue
		}
		if errors.Is(err, io.EOF) && length < 0 {
			return
		}
		x.log.Result.TimedOut = isTimeout(err)
		x.push() // a client may later go on from what it has
		x.abort()
	}
}

// passage yields the pieces of a body, where they lie or in a buffer that it
// takes only when it must.
type passage struct {
	src source
	buf *[]byte // nil: none is taken
}

// next returns what there is at off, at most length bytes unless that is
// negative; good until the next call.
func (a *passage) next(off, length int64) ([]byte, error) {
	coming, is := a.src.(*spoolReader)
	if is {
		if b, err := coming.View(off); len(b) > 0 || err != nil {
			return upTo(b, length), err
		}
	}
	if a.buf == nil {
		a.buf = buffersFor(is).Get().(*[]byte)
	}
	p := upTo(*a.buf, length)
	n, err := a.src.ReadAt(p, off)
	return p[:n], err
}

func (a *passage) close() {
	if a.buf != nil {
		_, is := a.src.(*spoolReader)
		buffersFor(is).Put(a.buf)
	}
}

func buffersFor(coming bool) *sync.Pool {
	if coming {
		return &fetchBuffers
	}
	return &copyBuffers
}

func upTo(b []byte, length int64) []byte {
	if length >= 0 && length < int64(len(b)) {
		return b[:length]
	}
	return b
}

// write sends b. A client that stops taking it is cut off.
func (x *exchange) write(b []byte) {
	if x.r.Method == http.MethodHead {
		return
	}
	if _, err := x.w.Write(b); err != nil {
		x.log.Result.TimedOut = isTimeout(err)
		x.abort()
	}
}

// finishTrailers sends the trailer fields of a body that has ended.
func (x *exchange) finishTrailers(fl *flight) {
	if fl.length >= 0 || !x.r.ProtoAtLeast(1, 1) || x.r.Method == http.MethodHead || !fl.body.whole() {
		return // the fetch writes fl.trailer until its body has ended
	}
	for k, v := range fl.trailer {
		if !endToEnd[k] {
			x.w.Header()[http.TrailerPrefix+k] = v
		}
	}
}

// empty leaves what goes with no body.
func empty(h http.Header) {
	for _, k := range []string{"Content-Type", "Content-Encoding", "Content-Language"} {
		delete(h, k)
	}
	setLength(h, 0)
}

// notModified leaves what a 304 must carry, and what tells this variant from
// others (RFC 9110 §15.4.5).
func notModified(h http.Header) {
	for _, k := range []string{"Content-Length", "Content-Type", "Content-Encoding", "Content-Language", "Content-Range", "Accept-Ranges"} {
		delete(h, k)
	}
}

func contentRange(s cache.Span, total int64) string {
	return "bytes " + strconv.FormatInt(s.Off, 10) + "-" + strconv.FormatInt(s.End()-1, 10) + "/" + strconv.FormatInt(total, 10)
}

func setLength(h http.Header, n int64) {
	if n < 0 {
		delete(h, "Content-Length")
		return
	}
	var room [20]byte
	digits := strconv.AppendInt(room[:0], n, 10)
	if v := h["Content-Length"]; len(v) != 1 || v[0] != string(digits) {
		h["Content-Length"] = []string{string(digits)}
	}
}
