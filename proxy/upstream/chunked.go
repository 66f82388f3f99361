package upstream

import (
	"bytes"
	"errors"
	"io"
	"net/http"
)

const (
	maxChunkLine     = 4 << 10  // a size with its extensions
	maxChunkOverhead = 16 << 10 // extensions that the data does not outweigh
)

// chunkedReader decodes the chunked coding (RFC 9112 §7.1) and accepts nothing
// that another recipient could read differently. Its errors are
// protocolError, those of the connection, or io.EOF after the last trailer.
type chunkedReader struct {
	in       *inbox
	limit    int         // size of the trailer section
	trailer  http.Header // set at io.EOF
	left     int64       // of the chunk under way
	overhead int64
	within   bool // a chunk is under way, its CRLF is still to come
	err      error
}

func (r *chunkedReader) Read(p []byte) (n int, err error) {
	for r.err == nil && n < len(p) {
		if r.left == 0 {
			if n > 0 && !r.chunkWaits() {
				break // hand on what there is before waiting for more
			}
			r.err = r.next()
			continue
		}
		var m int
		m, err = r.in.Read(p[n:][:min(int64(len(p)-n), r.left)])
		n += m
		r.left -= int64(m)
		r.err = unexpected(err)
		if m > 0 && len(r.in.buffered()) == 0 {
			break
		}
	}
	if n > 0 || len(p) == 0 {
		return n, nil
	}
	return 0, r.err
}

// readNow is Read of what has arrived already, or arrives without waiting; 0 and
// no error when nothing has.
func (r *chunkedReader) readNow(p []byte) (n int, err error) {
	for r.err == nil && n < len(p) {
		if r.left == 0 {
			if r.nextIsHere() {
				r.err = r.next()
				continue
			}
			var more bool
			more, err = r.in.fillNow(max(r.limit, maxChunkLine))
			if r.err = tooLong(err, "trailer section is too long"); !more {
				break
			}
			continue
		}
		var m int
		m, err = r.in.readNow(p[n:][:min(int64(len(p)-n), r.left)])
		n += m
		r.left -= int64(m)
		if r.err = unexpected(err); m == 0 {
			break
		}
	}
	if n > 0 {
		return n, nil
	}
	return 0, r.err
}

// nextIsHere reports whether all that next reads has arrived.
func (r *chunkedReader) nextIsHere() bool {
	b := r.ahead()
	i := bytes.IndexByte(b, '\n')
	return i > 0 && (b[0] != '0' || bytes.Contains(b[i:], []byte("\n\r\n")) || bytes.Contains(b[i:], []byte("\n\n")))
}

// ahead is what has arrived behind the end of the chunk under way.
func (r *chunkedReader) ahead() []byte {
	b := r.in.buffered()
	if r.within {
		b = b[bytes.IndexByte(b, '\n')+1:]
	}
	return b
}

// unexpected is err for a body that has not ended.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// chunkWaits reports whether the head of another chunk with data has arrived
// whole, so that next will not wait for the origin.
func (r *chunkedReader) chunkWaits() bool {
	b := r.ahead()
	return len(b) > 0 && b[0] != '0' && bytes.IndexByte(b, '\n') > 0
}

// next goes to the next chunk's data, or to the end.
func (r *chunkedReader) next() error {
	if r.within {
		if b, err := r.in.line(2); err != nil {
			return tooLong(err, "chunk is longer than its size")
		} else if len(b) > 0 {
			return protocolError("chunk is longer than its size")
		}
		r.within = false
	}
	line, err := r.in.line(maxChunkLine)
	if err != nil {
		return tooLong(err, "chunk extensions are too long")
	}
	size, err := parseChunkSize(line)
	if err != nil {
		return err
	}
	if size == 0 {
		return r.end()
	}
	r.overhead = max(0, r.overhead+int64(len(line))-16-2*min(size, maxChunkOverhead))
	if r.overhead > maxChunkOverhead {
		return protocolError("chunk extensions are too long")
	}
	r.left, r.within = size, true
	return nil
}

func (r *chunkedReader) end() error {
	block, err := r.in.block(r.limit)
	if err != nil {
		return tooLong(err, "trailer section is too long")
	}
	if len(block) > len("\r\n") {
		if r.trailer, err = parseFields(string(block)); err != nil {
			return err
		}
	}
	return io.EOF
}

// tooLong words a missing line end; an end of file in the middle is
// unexpected.
func tooLong(err error, what string) error {
	switch {
	case errors.Is(err, errLineTooLong):
		return protocolError(what)
	case errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	}
	return err
}

// parseChunkSize reads a chunk's first line without its CRLF.
func parseChunkSize(line []byte) (int64, error) {
	size, i := int64(0), 0
	for ; i < len(line); i++ {
		d := hexDigit(line[i])
		if d < 0 {
			break
		}
		if i == 16 || size >= 1<<59 {
			return 0, protocolError("chunk size is out of range")
		}
		size = size<<4 | int64(d)
	}
	if i == 0 {
		return 0, protocolError("chunk without a size")
	}
	for i < len(line) && (line[i] == ' ' || line[i] == '\t') {
		i++ // BWS before an extension; some senders pad the bare size too
	}
	if i < len(line) && line[i] != ';' || !validValue(string(line[i:])) {
		return 0, protocolError("invalid byte behind a chunk size")
	}
	return size, nil
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
