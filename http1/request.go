package http1

import "net/netip"

// Request is the head of a request as it came (RFC 9112 §3, §5), already
// beyond doubt: whatever two readers could understand differently has been
// refused before. All slices are views of the connection's buffer and end with
// the call they were handed to; what must live longer is copied.
type Request struct {
	Method []byte  // a token, case kept
	Target []byte  // request-target, byte for byte
	Minor  int     // of HTTP/1.x: 0 or 1
	Fields []Field // in the order they came
	Host   []byte  // the value of the one Host field; empty with HTTP/1.0 and none
	// Length of the body in bytes; 0: none, -1: chunked.
	Length int64
	// Persist says whether the client wants the connection kept (RFC 9112
	// §9.3), which a proxy must not do for HTTP/1.0. Whether it is kept,
	// Conn.Persist says.
	Persist bool
	// HeadLen is the number of bytes of the head, its last empty line included.
	HeadLen int

	Client netip.AddrPort // who asks
	Local  netip.AddrPort // where it was accepted

	marks mark
}

// Field is one field line: the name as it was written, the value without the
// white space around it.
type Field struct{ Name, Value []byte }

// Get returns the value of the first field of that name, which is compared
// without case; nil when there is none.
func (r *Request) Get(name string) []byte {
	for i := range r.Fields {
		if equalFold(r.Fields[i].Name, name) {
			return r.Fields[i].Value
		}
	}
	return nil
}

// mark notes what a head has that not every head has.
type mark uint8

const (
	hasHost mark = 1 << iota
	hasLength
	hasCoding
	hasExpect   // 100-continue
	hasUpgrade  // and Connection may or may not say so
	isConnect   // the method
	wantsClose  // Connection: close
	emptyBefore // an empty line stood before the request line
)

// short reports whether the short lane may be asked.
func (r *Request) short() bool {
	return r.Length == 0 && r.marks&(hasExpect|hasUpgrade|isConnect) == 0
}
