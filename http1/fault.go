package http1

import "time"

// Fault says why bytes are no acceptable request.
type Fault struct {
	Status int    // 400, 408, 414, 417, 431, 501, 505; 503: too many connections
	Kind   string // a short constant for counters and logs: "two-lengths"
	Reason string // for the client, one sentence without the client's bytes
	// What was understood of the request line; empty what was not. Views as in Request.
	Method, Target []byte
	Minor          int
	Began          time.Time // when the first byte of the head came
}

// problem is what is wrong with a message, found where it is read. As an error
// of a request's body it says that the framing of the body is broken.
type problem struct {
	status int
	kind   string
	reason string
}

// Error implements error.
func (p *problem) Error() string { return "invalid request: " + p.kind }

// BadBody reports whether err says that the body of a request breaks the rules
// of its framing, and why; such a request is answered 400.
func BadBody(err error) (reason string, ok bool) {
	for err != nil {
		if p, ok := err.(*problem); ok { //nolint:errorlint // the walk is ours
			return p.reason, true
		}
		switch e := err.(type) { //nolint:errorlint // the walk is ours
		case interface{ Unwrap() error }:
			err = e.Unwrap()
		default:
			return "", false
		}
	}
	return "", false
}

// Problems of a head.
var (
	badStart       = &problem{400, "not-http", "This port speaks HTTP/1.1."}
	badMethod      = &problem{400, "method", "The method is not a token."}
	longMethod     = &problem{501, "method-too-long", "The method is too long."}
	badRequestLine = &problem{400, "request-line", "The request line is not a method, a target and a version with one space between."}
	badTarget      = &problem{400, "target", "The request target has a character that no URL may have, or no form that its method allows."}
	longTarget     = &problem{414, "target-too-long", "The request target is too long."}
	oldVersion     = &problem{400, "http-0.9", "A request must name its version: HTTP/0.9 is not spoken here."}
	badVersion     = &problem{400, "version", "The version of the request is malformed."}
	otherVersion   = &problem{505, "version-not-supported", "This port speaks HTTP/1.1 only."}
	http2Preface   = &problem{400, "http2-preface", "This port speaks HTTP/1.1, not HTTP/2."}
	bareLF         = &problem{400, "bare-lf", "A line of the head does not end in CRLF."}
	foldedLine     = &problem{400, "folded-line", "A line of the head begins with white space."}
	badFieldName   = &problem{400, "field-name", "A field of the head has no valid name followed by a colon."}
	spaceColon     = &problem{400, "space-before-colon", "White space stands between the name of a field and its colon."}
	badFieldValue  = &problem{400, "field-value", "A field of the head has a character that is not allowed."}
	longHead       = &problem{431, "head-too-large", "The head of the request is too large."}
	manyFields     = &problem{431, "too-many-fields", "The request has too many header fields."}

	noHost        = &problem{400, "no-host", "The request has no Host field."}
	twoHosts      = &problem{400, "two-hosts", "The request has more than one Host field."}
	badHost       = &problem{400, "host", "The Host field is not a host and a port."}
	badLength     = &problem{400, "length", "Content-Length is not a number of bytes."}
	twoLengths    = &problem{400, "two-lengths", "The request has more than one Content-Length."}
	lengthCoding  = &problem{400, "length-and-coding", "The request has both Content-Length and Transfer-Encoding."}
	oldCoding     = &problem{400, "coding-in-http-1.0", "Transfer-Encoding is not part of HTTP/1.0."}
	twoCodings    = &problem{400, "two-codings", "The request has more than one Transfer-Encoding."}
	badCoding     = &problem{400, "coding", "Transfer-Encoding is not chunked."}
	unknownCoding = &problem{501, "coding-unknown", "The transfer coding is not supported."}
	connectBody   = &problem{400, "connect-with-body", "CONNECT takes no body."}
	badExpect     = &problem{417, "expectation", "The only expectation that can be met is 100-continue."}
)

// cutHead is the end of the client's side within a head.
var cutHead = &problem{400, "head-incomplete", "The request ends within its head."}

// Problems of a body.
var (
	badChunkSize  = &problem{400, "chunk-size", "A chunk of the body has no valid size."}
	badChunkEnd   = &problem{400, "chunk-end", "A chunk of the body does not end where its size says."}
	badChunkLine  = &problem{400, "chunk-line", "A line of the chunked body does not end in CRLF."}
	badExtension  = &problem{400, "chunk-extension", "A chunk extension has a character that is not allowed."}
	longExtension = &problem{400, "chunk-extension-too-long", "The chunk extensions are too long."}
	badTrailer    = &problem{400, "trailer", "The trailer section is malformed, or has a field that no trailer may have."}
	longTrailer   = &problem{431, "trailer-too-large", "The trailer section is too large."}
	cutBody       = &problem{400, "body-incomplete", "The body of the request ends too early."}
)

// Problems with the time a client takes, and with the number of clients.
var (
	slowHead  = &problem{408, "slow-head", "The head of the request did not arrive in time."}
	slowBody  = &problem{408, "slow-body", "The body of the request did not arrive in time."}
	manyConns = &problem{503, "too-many-connections", "There are too many connections to this proxy: try again soon."}
	manyOfOne = &problem{503, "too-many-of-a-client", "This client has too many connections to this proxy."}
)
