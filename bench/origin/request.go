package origin

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"

	"github.com/cachenode/cachenode/bench/body"
)

var errBadRequest = errors.New("bad request")

// conn is one connection and what is used again for each of its requests.
type conn struct {
	server  *Server
	nc      net.Conn
	in      *bufio.Reader
	out     []byte
	content body.Content
	fields  []field // of the request at hand
}

type field struct{ name, value string }

// request is what the origin looks at in a request. Its body has been read.
type request struct {
	method      string
	path, query string
	keep        bool
	noneMatch   string
	since       string
	byteRange   string
	ifRange     string
}

// maxFields bounds a request's head, together with the length of a line.
const maxFields = 200

func (c *conn) read() (request, error) {
	line, err := c.line()
	if err != nil {
		return request{}, err
	}
	method, rest, ok := strings.Cut(string(line), " ")
	target, proto, ok2 := strings.Cut(rest, " ")
	if !ok || !ok2 || !strings.HasPrefix(proto, "HTTP/1.") {
		return request{}, fmt.Errorf("%w: %.100q", errBadRequest, line)
	}
	r := request{method: method, keep: proto != "HTTP/1.0"}
	r.path, r.query = split(target)
	if err := c.readFields(&r); err != nil {
		return request{}, err
	}
	return r, c.skipBody()
}

// split takes the absolute form too: a proxy may take us for another proxy.
func split(target string) (path, query string) {
	if rest, ok := strings.CutPrefix(target, "http://"); ok {
		if i := strings.IndexAny(rest, "/?"); i >= 0 {
			target = rest[i:]
		} else {
			target = "/"
		}
	}
	path, query, _ = strings.Cut(target, "?")
	return path, query
}

func (c *conn) line() ([]byte, error) {
	line, err := c.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return nil, fmt.Errorf("%w: a line is too long", errBadRequest)
	}
	if err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(line[:len(line)-1], []byte("\r")), nil
}

func (c *conn) readFields(r *request) error {
	c.fields = c.fields[:0]
	for {
		line, err := c.line()
		if err != nil || len(line) == 0 {
			return err
		}
		name, value, ok := strings.Cut(string(line), ":")
		if !ok || len(c.fields) == maxFields {
			return fmt.Errorf("%w: field %.100q", errBadRequest, line)
		}
		value = strings.TrimSpace(value)
		c.fields = append(c.fields, field{name, value})
		switch {
		case strings.EqualFold(name, "If-None-Match"):
			r.noneMatch = value
		case strings.EqualFold(name, "If-Modified-Since"):
			r.since = value
		case strings.EqualFold(name, "Range"):
			r.byteRange = value
		case strings.EqualFold(name, "If-Range"):
			r.ifRange = value
		case strings.EqualFold(name, "Connection"):
			if strings.EqualFold(value, "close") {
				r.keep = false
			} else if strings.EqualFold(value, "keep-alive") {
				r.keep = true
			}
		}
	}
}

func (c *conn) field(name string) string {
	for _, f := range c.fields {
		if strings.EqualFold(f.name, name) {
			return f.value
		}
	}
	return ""
}

// skipBody reads away what the request carries.
func (c *conn) skipBody() error {
	if strings.EqualFold(c.field("Transfer-Encoding"), "chunked") {
		return c.skipChunks()
	}
	text := c.field("Content-Length")
	if text == "" {
		return nil
	}
	n, err := strconv.ParseUint(text, 10, 62)
	if err != nil {
		return fmt.Errorf("%w: Content-Length %q", errBadRequest, text)
	}
	if err := c.goAhead(); err != nil {
		return err
	}
	_, err = io.CopyN(io.Discard, c.in, int64(n))
	return err
}

func (c *conn) skipChunks() error {
	if err := c.goAhead(); err != nil {
		return err
	}
	for {
		line, err := c.line()
		if err != nil {
			return err
		}
		text, _, _ := strings.Cut(string(line), ";")
		n, err := strconv.ParseUint(strings.TrimSpace(text), 16, 62)
		if err != nil {
			return fmt.Errorf("%w: chunk %.100q", errBadRequest, text)
		}
		if n == 0 {
			break
		}
		if _, err := io.CopyN(io.Discard, c.in, int64(n)+2); err != nil {
			return err
		}
	}
	for {
		if line, err := c.line(); err != nil || len(line) == 0 {
			return err
		}
	}
}

func (c *conn) goAhead() error {
	if !strings.EqualFold(c.field("Expect"), "100-continue") {
		return nil
	}
	_, err := io.WriteString(c.nc, "HTTP/1.1 100 Continue\r\n\r\n")
	return err
}
