// Package http1 speaks HTTP/1.1 on the wire (RFC 9112): a strict parser, the
// server's connection loop, and what both sides share. It knows nothing of
// caching, of access rules, and of where a request goes.
package http1

import (
	"io"
	"net"
	"net/http"
	"time"
)

// Handler is what a Server hands requests to.
type Handler interface {
	// Short may answer a request on the short lane, before anything is
	// allocated for it. It returns false, with nothing sent, to have the request
	// go the long way. It is asked only for requests without a body, without
	// Upgrade and without Expect, and not for CONNECT.
	Short(c *Conn, r *Request) bool
	// ServeHTTP answers the long way. w has the optional methods of net/http's
	// (Flush, Hijack, ReadFrom, deadlines, full duplex) and a method
	// Conn() *Conn; http.ErrAbortHandler cuts the connection.
	http.Handler
	// Refuse answers what is no acceptable request: it writes one whole
	// response with c.Send, and logs it. The connection is closed behind it.
	Refuse(c *Conn, f *Fault)
}

// Fault says why bytes are no acceptable request.
type Fault struct {
	Status int    // 400, 408, 414, 431, 501, 505, ...; 503: too many connections
	Kind   string // a short constant for counters and logs: "smuggling-two-lengths"
	Reason string // for the client, one sentence without the client's bytes
	// What was understood of the request line; empty what was not. Views as in Request.
	Method, Target []byte
	Minor          int
	Began          time.Time // when the first byte of the head came
}

// Conn is a client's connection during one request. It belongs to the
// connection's goroutine.
type Conn struct {
	nc net.Conn
	// built by the server
}

// Persist reports whether the connection will be kept behind this request: the
// client wants it and nothing here speaks against it (a stop or drain, the most
// requests of a connection). The response must say so when it is not.
func (c *Conn) Persist(r *Request) bool { panic("not built yet") }

// Buffer is room to append a response head to, empty, at least 4 KiB; it is
// the connection's own and handed back by Send or SendFile.
func (c *Conn) Buffer() []byte { panic("not built yet") }

// Send writes a response: a head, its last empty line included, and a body
// that may be empty. A client that takes nothing for Options.WriteTimeout is an
// error; after an error the connection is closed.
func (c *Conn) Send(head, body []byte) error { panic("not built yet") }

// SendFrom writes head and then n bytes of src from off: a body on disk. The
// first part goes with the head in one write.
func (c *Conn) SendFrom(head []byte, src io.ReaderAt, off, n int64) error { panic("not built yet") }

// Sent is the number of bytes written for the current request so far.
func (c *Conn) Sent() int64 { panic("not built yet") }

// Received is the number of bytes that came for the current request so far,
// its head included.
func (c *Conn) Received() int64 { panic("not built yet") }

// Began is when the first byte of the current request's head was read.
func (c *Conn) Began() time.Time { panic("not built yet") }

// Reset makes the close that follows break the connection off, so that no
// client takes it for the end of a body.
func (c *Conn) Reset() { panic("not built yet") }
