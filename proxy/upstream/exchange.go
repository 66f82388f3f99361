package upstream

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"os"
	"strings"
	"time"

	"github.com/cachenode/cachenode/internal/leash"
)

const errManyInterim = protocolError("too many interim responses")

// exchange is one request and its response on one connection.
type exchange struct {
	c       *Client
	cn      *conn
	req     *http.Request
	interim func(code int, h http.Header)
	up      *upload    // nil without a request body
	end     leash.Hook // closes the connection when the request ends
	wrote   bool       // part of the request may have reached the origin
	broken  bool       // the head could not be written in full
	odd     bool       // an interim response announced a body, or the end of the connection
	head    head
	resp    http.Response
	body    body
}

// exchange sends req on cn. When it fails the connection is gone, and again
// says whether the request may be sent once more.
func (c *Client) exchange(cn *conn, via *parent, t target, req *http.Request, interim func(int, http.Header)) (resp *http.Response, again bool, err error) {
	if via != nil && t.tls {
		via = nil // inside the tunnel the origin is spoken to
	}
	head, err := appendHead(cn.out[:0], req, t, via)
	if err != nil {
		c.pool.discard(cn)
		return nil, false, err
	}
	cn.out = head
	x := &exchange{c: c, cn: cn, req: req, interim: interim}
	x.end.Set(req.Context(), cn.ender)
	if resp, err = x.run(head); err == nil {
		return resp, false, nil
	}
	again = x.mayRepeat(err)
	x.fail()
	if cause := context.Cause(req.Context()); cause != nil {
		return nil, false, cause
	}
	if x.up != nil {
		if cause := x.up.sourceErr(); cause != nil {
			return nil, false, requestError{cause}
		}
	}
	return nil, again, err
}

// mayRepeat applies RFC 9110 §9.2.2 and RFC 9112 §9.3.1: a kept connection that
// dies before any byte of a response was most likely closed by the origin
// before it saw the request. One that lets a time-out pass was not.
func (x *exchange) mayRepeat(err error) bool {
	if !x.cn.reused || x.cn.in.got || errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	if x.up != nil && x.up.started() {
		return false
	}
	return !x.wrote || idempotent(x.req.Method)
}

func (x *exchange) fail() {
	x.end.Unset()
	if x.up != nil {
		x.up.abort()
	}
	x.c.pool.discard(x.cn)
}

func (x *exchange) run(head []byte) (*http.Response, error) {
	x.cn.pace(0)
	n, err := x.cn.Write(head)
	x.wrote, x.broken = n > 0, err != nil
	if err != nil && n == 0 {
		return nil, headError{err}
	}
	// An origin that stops reading may still have said why, so a broken
	// request waits for a response too.
	if err == nil && hasBody(x.req) {
		if err := x.cn.awaitLong(); err != nil {
			return nil, headError{err}
		}
		x.up = x.c.startUpload(x.cn, x.req)
	} else if err := x.cn.awaitBy(x.c.opts.ResponseTimeout.D()); err != nil {
		return nil, headError{err}
	}
	h, err := x.finalHead()
	if err != nil {
		return nil, err
	}
	if x.up != nil {
		x.up.headSeen(h.code)
	}
	if h.code == http.StatusSwitchingProtocols {
		return x.switched(h)
	}
	f, err := frame(x.req.Method, h)
	if err != nil {
		return nil, err
	}
	f.keep = f.keep && !x.odd
	return x.response(h, f), nil
}

// finalHead reads heads up to the final one and passes interim ones on.
func (x *exchange) finalHead() (*head, error) {
	for range x.c.opts.MaxInterim + 1 {
		h := &x.head
		if err := readHead(x.cn, int(x.c.opts.MaxResponseHead), h); err != nil {
			return nil, err
		}
		if h.code >= 200 || h.code == http.StatusSwitchingProtocols {
			return h, nil
		}
		f, err := frame(x.req.Method, h)
		if err != nil {
			return nil, err
		}
		x.odd = x.odd || !f.keep
		switch {
		case h.code == http.StatusContinue:
			if x.up != nil {
				x.up.proceed()
			}
		case x.interim != nil:
			x.interim(h.code, h.fields)
		}
		if err := x.extend(); err != nil {
			return nil, headError{err}
		}
	}
	return nil, errManyInterim
}

// extend starts the wait for a response again.
func (x *exchange) extend() error {
	d := x.c.opts.ResponseTimeout.D()
	if x.up != nil {
		return x.up.extend(d)
	}
	return x.cn.awaitBy(d)
}

// readHead reads one response head into h.
func readHead(cn *conn, limit int, h *head) error {
	var block []byte
	err := cn.in.some()
	if err == nil {
		if !looksLikeHTTP(cn.in.buffered()) {
			return protocolError("no status line") // HTTP/0.9, or another protocol, which may never end a line
		}
		block, err = cn.in.block(limit)
	}
	switch {
	case err == nil:
	case errors.Is(err, errLineTooLong):
		return errHeadTooLarge
	case errors.Is(err, io.EOF) && !cn.in.got:
		return headError{errEmptyReply}
	case errors.Is(err, io.EOF):
		return headError{io.ErrUnexpectedEOF}
	default:
		return headError{err}
	}
	*h, err = parseHead(block)
	return err
}

// looksLikeHTTP reports whether b may be the beginning of a status line.
func looksLikeHTTP(b []byte) bool {
	const begin = "HTTP/1."
	n := min(len(b), len(begin))
	return string(b[:n]) == begin[:n]
}

// response hands the connection over to the response's body.
func (x *exchange) response(h *head, f framing) *http.Response {
	resp := &x.resp
	*resp = http.Response{
		Status: h.status, StatusCode: h.code,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: min(h.minor, 1),
		Header: h.fields, ContentLength: f.length, Close: !f.keep, Request: x.req,
	}
	if h.minor == 0 {
		resp.Proto = "HTTP/1.0"
	}
	if f.kind == bodyChunked {
		resp.TransferEncoding = []string{"chunked"}
	}
	delete(h.fields, "Transfer-Encoding")
	announceTrailers(resp)
	if f.kind == bodyNone || f.kind == bodyLength && f.length == 0 {
		resp.Body = http.NoBody
		x.finish(f.keep)
		return resp
	}
	x.cn.pace(x.c.opts.ReadTimeout.D())
	x.body.start(x, f)
	resp.Body = &x.body
	return resp
}

// announceTrailers moves the names in Trailer to resp.Trailer, as net/http does.
func announceTrailers(resp *http.Response) {
	lines, ok := resp.Header["Trailer"]
	if !ok {
		return
	}
	delete(resp.Header, "Trailer")
	for _, line := range lines {
		for name := range strings.SplitSeq(line, ",") {
			name = textproto.TrimString(name)
			if !validToken(name) || forbiddenTrailer(textproto.CanonicalMIMEHeaderKey(name)) {
				continue
			}
			if resp.Trailer == nil {
				resp.Trailer = make(http.Header)
			}
			resp.Trailer[textproto.CanonicalMIMEHeaderKey(name)] = nil
		}
	}
}

// forbiddenTrailer names fields that must not come behind the body they frame
// or concern this hop (RFC 9110 §6.5.1).
func forbiddenTrailer(name string) bool {
	switch name {
	case "Upgrade", "Te", "Http2-Settings", "Proxy-Authenticate", "Proxy-Authentication-Info":
		return true
	}
	return ours[name]
}

// finish ends the exchange; the connection is kept if the response was whole,
// the request too, and nobody has given up meanwhile.
func (x *exchange) finish(keep bool) {
	live := x.end.Unset() && !x.broken
	if x.up != nil {
		if x.up.done() {
			x.cn.unarm() // its sender has set deadlines of its own
		} else {
			x.up.abort()
			keep = false
		}
	}
	if keep && live && !x.req.Close && !oddBody(x.req) {
		x.c.pool.put(x.cn)
		return
	}
	x.c.pool.discard(x.cn)
}

// switched answers a 101 (RFC 9110 §7.8): it must have been asked for, and name
// a protocol that was offered.
func (x *exchange) switched(h *head) (*http.Response, error) {
	if h.minor == 0 || !hasToken(h.fields["Connection"], "upgrade") || !offered(x.req.Header["Upgrade"], h.fields["Upgrade"]) {
		return nil, protocolError("101 that nobody asked for")
	}
	if x.up != nil && !x.up.done() {
		return nil, protocolError("101 before the end of the request")
	}
	if !x.end.Unset() {
		return nil, headError{context.Cause(x.req.Context())}
	}
	if err := x.cn.nc.SetDeadline(time.Time{}); err != nil {
		return nil, headError{err}
	}
	x.c.pool.forget(x.cn.key)
	for _, name := range []string{"Content-Length", "Transfer-Encoding"} { // of a body that a 101 cannot have
		delete(h.fields, name)
	}
	nc := WithEarly(x.cn.nc, x.cn.in.buffered())
	return &http.Response{
		Status: h.status, StatusCode: h.code, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h.fields, ContentLength: -1, Body: switchedBody{nc}, Request: x.req,
	}, nil
}

func offered(asked, got []string) bool {
	n := 0
	for _, line := range got {
		for p := range strings.SplitSeq(line, ",") {
			if n++; !hasToken(asked, textproto.TrimString(p)) {
				return false
			}
		}
	}
	return n > 0
}

// switchedBody is the body of a 101: the connection, which speaks another
// protocol from here on.
type switchedBody struct{ net.Conn }

// Switched returns the connection that a 101 has handed over. It belongs to
// the caller, and replaces resp.Body.
func Switched(resp *http.Response) (net.Conn, bool) {
	b, ok := resp.Body.(switchedBody)
	return b.Conn, ok
}
