package http1

import (
	"net/http"
	"sync"
)

const (
	readRoom  = 4 << 10  // a read buffer as it comes from the pool
	fieldRoom = 64       // fields that a head may have without allocating
	inlineMax = 16 << 10 // a body up to here is copied behind its head: one write
	writeRoom = inlineMax + 4<<10
	copyRoom  = 32 << 10 // a step of a body that comes from elsewhere
)

// work is what a connection needs while a request arrives. An idle connection
// has none.
type work struct {
	req    Request
	buf    []byte
	r, w   int // buf[r:w] is unread
	room   [readRoom]byte
	fields [fieldRoom]Field
}

var works = sync.Pool{New: func() any {
	k := new(work)
	k.reset()
	return k
}}

func (k *work) reset() {
	clear(k.req.Fields)
	k.req = Request{Fields: k.fields[:0]}
	k.buf, k.r, k.w = k.room[:], 0, 0
}

// unread is what has arrived and is not used yet.
func (k *work) unread() []byte { return k.buf[k.r:k.w] }

// free makes room for more and returns it; nil when most bytes are unread
// already.
func (k *work) free(most int) []byte {
	if k.r == k.w {
		k.r, k.w = 0, 0
	}
	if k.w < len(k.buf) {
		return k.buf[k.w:]
	}
	if k.r > 0 {
		k.w = copy(k.buf, k.buf[k.r:k.w])
		k.r = 0
		return k.buf[k.w:]
	}
	if k.w >= most {
		return nil
	}
	bigger := make([]byte, min(2*len(k.buf), max(most, len(k.buf)+1)))
	k.w = copy(bigger, k.buf[:k.w])
	k.buf = bigger
	return k.buf[k.w:]
}

// outs are buffers that responses are written from.
var outs = sync.Pool{New: func() any { return new([writeRoom]byte) }}

// headers are maps for the fields of responses.
var headers = sync.Pool{New: func() any {
	return make(http.Header, mostFields/2)
}}

// mostFields is with how many fields a header is kept.
const mostFields = 32

// copies are buffers for bodies that pass through.
var copies = sync.Pool{New: func() any { return new([copyRoom]byte) }}
