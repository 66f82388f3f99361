package http1

import (
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
)

// exchange is one request on the long way.
type exchange struct {
	c    *Conn
	req  *http.Request // &room once it is built
	room http.Request
	body body
	w    response
	gone leaving

	persist bool // the client wants the connection kept
	minor   int
}

// serveLong has the request answered by the handler's ServeHTTP.
func (c *Conn) serveLong(r *Request) {
	x := &exchange{c: c, persist: r.Persist, minor: r.Minor}
	x.gone.init(c)
	x.body.init(x, r)
	x.w.init(x, r)
	c.slow = true
	if bad := x.build(r); bad != nil {
		c.refuse(bad)
		return
	}
	if bad := x.body.preview(); bad != nil {
		r.Method, r.Target = []byte(x.req.Method), []byte(x.req.RequestURI) // the buffer may have moved
		c.refuse(bad)
		return
	}
	if r.Length == 0 {
		x.gone.bodyRead()
		if len(c.work.unread()) == 0 {
			c.release()
		}
	} else {
		c.setState(StateBody)
	}
	c.long = x
	defer x.end()
	c.srv.deps.Handler.ServeHTTP(&x.w, x.req)
	x.finish()
}

// finish completes the response, and takes what is left of the body.
func (x *exchange) finish() {
	if x.w.hijacked {
		return
	}
	_ = x.w.Finish() // its error is in broken
	x.body.end()
	if !x.c.broken && !x.body.drain(x.c.keep) {
		x.c.keep, x.c.unread = false, true
	}
}

// end is behind everything, also a handler that panics.
func (x *exchange) end() {
	x.body.end()
	x.gone.end()
	x.w.free()
	x.c.received += x.body.taken()
	x.c.long = nil
	if !x.w.hijacked {
		x.c.clearUser()
	}
	x.c.disarmRead()
}

// build makes the request that net/http would have made.
func (x *exchange) build(r *Request) *problem {
	head := x.c.work.buf[x.c.work.r-r.HeadLen : x.c.work.r]
	text := textOf{string(head), head}
	req := http.Request{
		Method: text.of(r.Method), RequestURI: text.of(r.Target),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: r.Minor,
		Header: text.header(r.Fields), ContentLength: r.Length,
		Close: !r.Persist, RemoteAddr: x.c.remoteAddr(), Body: http.NoBody,
	}
	if r.Minor == 0 {
		req.Proto = "HTTP/1.0"
	}
	var err error
	if req.URL, err = targetURL(req.Method, req.RequestURI); err != nil {
		return badTarget
	}
	if req.Host = req.URL.Host; req.Host == "" {
		req.Host = text.of(r.Host)
	}
	delete(req.Header, "Host")
	if r.Length < 0 {
		delete(req.Header, "Transfer-Encoding")
		req.TransferEncoding = []string{"chunked"}
		req.Trailer = announced(req.Header)
	}
	if r.Length != 0 {
		req.Body = &x.body
	}
	x.room = *req.WithContext(&x.gone)
	x.req = &x.room
	return nil
}

// targetURL reads a request target in any of its forms. The authority of a
// CONNECT is the Host of the URL.
func targetURL(method, target string) (*url.URL, error) {
	authority := method == http.MethodConnect && !strings.HasPrefix(target, "/")
	if authority {
		target = "http://" + target
	}
	u, err := url.ParseRequestURI(target)
	if err == nil && authority {
		u.Scheme = ""
	}
	return u, err
}

// announced takes the names in Trailer, as net/http does.
func announced(h http.Header) http.Header {
	var t http.Header
	for _, line := range h["Trailer"] {
		for name := range strings.SplitSeq(line, ",") {
			name = textproto.CanonicalMIMEHeaderKey(textproto.TrimString(name))
			if name == "" || trailerRule[name] != 0 {
				continue
			}
			if t == nil {
				t = http.Header{}
			}
			t[name] = nil
		}
	}
	delete(h, "Trailer")
	return t
}

// textOf turns views of a head into parts of one string.
type textOf struct {
	text string
	head []byte
}

func (t *textOf) of(view []byte) string {
	if len(view) == 0 {
		return ""
	}
	at := cap(t.head) - cap(view)
	return t.text[at : at+len(view)]
}

// header makes a header of the fields; the values share one array.
func (t *textOf) header(fields []Field) http.Header {
	h := make(http.Header, len(fields))
	values := make([]string, len(fields))
	for i := range fields {
		name := textproto.CanonicalMIMEHeaderKey(t.of(fields[i].Name))
		values[i] = t.of(fields[i].Value)
		if old, ok := h[name]; ok {
			h[name] = append(old, values[i])
		} else {
			h[name] = values[i : i+1 : i+1]
		}
	}
	return h
}

func (c *Conn) remoteAddr() string {
	if c.remote == "" {
		c.remote = c.client.String()
		if !c.client.IsValid() {
			c.remote = c.nc.RemoteAddr().String()
		}
	}
	return c.remote
}
