package bench

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// dialer opens connections to the target.
type dialer struct {
	dial   func(ctx context.Context, from, to string) (net.Conn, error)
	target string
	// authority is asked for by CONNECT; "" for no tunnel.
	authority string
	auth      string
	timeout   time.Duration
	sources   []string
}

// dialTCP connects from a source address, or any where it is "".
func dialTCP(ctx context.Context, from, to string) (net.Conn, error) {
	d := net.Dialer{KeepAlive: -1}
	if from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	return d.DialContext(ctx, "tcp", to)
}

// wire is one connection with what has been read of it.
type wire struct {
	nc    net.Conn
	buf   []byte    // of fixed length
	r, w  int       // buf[r:w] is read and not used
	used  time.Time // when the last answer on it ended; zero for a new one
	pace  *pace
	reads int // since the last request
}

// tunnelRefusal is an answer to CONNECT that opens no tunnel.
type tunnelRefusal struct {
	status int
	detail string // Proxy-Status
}

func (e *tunnelRefusal) Error() string {
	return strings.TrimSpace(fmt.Sprintf("CONNECT was refused: status %d %s", e.status, e.detail))
}

// open connects as worker number i does.
func (d *dialer) open(ctx context.Context, i int) (net.Conn, error) {
	from := ""
	if len(d.sources) > 0 {
		from = d.sources[i%len(d.sources)]
	}
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	return d.dial(ctx, from, d.target)
}

// use makes nc the connection that c reads.
func (c *wire) use(nc net.Conn) { c.nc, c.r, c.w, c.used = nc, 0, 0, time.Time{} }

// tunnel asks for one to the authority.
func (d *dialer) tunnel(c *wire) error {
	if err := c.nc.SetDeadline(time.Now().Add(d.timeout)); err != nil {
		return err
	}
	req := "CONNECT " + d.authority + " HTTP/1.1\r\nHost: " + d.authority + "\r\n"
	if d.auth != "" {
		req += proxyAuth(d.auth)
	}
	if _, err := io.WriteString(c.nc, req+"\r\n"); err != nil {
		return err
	}
	var h head
	if err := c.readHead(&h); err != nil {
		return err
	}
	if h.status/100 != 2 {
		return &tunnelRefusal{status: h.status, detail: string(h.proxyStatus)}
	}
	return nil
}

func proxyAuth(userPassword string) string {
	return "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(userPassword)) + "\r\n"
}

func (c *wire) close() {
	if c.nc != nil {
		_ = c.nc.Close() // nothing to be done about it
		c.nc = nil
	}
}

// readHead reads one response head, interim ones skipped (RFC 9110 §15.2). h then
// holds until the next readHead; the body is read behind it.
func (c *wire) readHead(h *head) error {
	if c.r > 0 {
		copy(c.buf, c.buf[c.r:c.w])
		c.r, c.w = 0, c.w-c.r
	}
	for {
		n, err := parseHead(c.buf[:c.w], h)
		if err != nil {
			return err
		}
		if n == 0 {
			if c.w >= maxHead {
				return errHeadLong
			}
			if err := c.fill(); err != nil {
				return err
			}
			continue
		}
		if h.status/100 == 1 {
			if h.status == 101 {
				return fmt.Errorf("%w: 101 without being asked", errMalformed)
			}
			copy(c.buf, c.buf[n:c.w])
			c.w -= n
			continue
		}
		c.r = n
		return nil
	}
}

// maxHead bounds a response head.
const maxHead = 24 << 10

func (c *wire) fill() error {
	c.reads++
	n, err := c.pace.read(c.nc, c.buf[c.w:])
	c.w += n
	if n > 0 {
		return nil
	}
	if err == nil {
		return io.ErrNoProgress
	}
	return err
}

// some returns up to limit bytes of the body, which hold until the next call.
// keep is where the head ends: it is not written over.
func (c *wire) some(keep int, limit int64) ([]byte, error) {
	if c.r == c.w {
		c.r, c.w = keep, keep
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
	n := min(int64(c.w-c.r), limit)
	p := c.buf[c.r : c.r+int(n)]
	c.r += int(n)
	return p, nil
}

// line returns one line without CR LF, for the framing of chunks.
func (c *wire) line(keep int) ([]byte, error) {
	for {
		if line, n := cutLine(c.buf[c.r:c.w]); n > 0 {
			c.r += n
			if len(line) == 0 || line[len(line)-1] != '\r' {
				return nil, fmt.Errorf("%w: line end in chunks", errMalformed)
			}
			return line[:len(line)-1], nil
		}
		if c.w-c.r > maxChunkLine {
			return nil, fmt.Errorf("%w: a chunk's line is too long", errMalformed)
		}
		if c.r > keep { // move the beginning of the line to the front
			copy(c.buf[keep:], c.buf[c.r:c.w])
			c.r, c.w = keep, keep+c.w-c.r
		}
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
}

const maxChunkLine = 4 << 10

// pace slows a reader down; nil reads as fast as it can.
type pace struct {
	rate int64 // bytes per second
	next time.Time
}

// read reads a twentieth of a second's worth and waits until that is over.
func (p *pace) read(r io.Reader, b []byte) (int, error) {
	if p == nil {
		return r.Read(b)
	}
	if wait := time.Until(p.next); wait > 0 {
		time.Sleep(wait)
	}
	n, err := r.Read(b[:min(int64(len(b)), max(1, p.rate/20))])
	now := time.Now()
	if p.next.Before(now.Add(-time.Second / 20)) {
		p.next = now
	}
	p.next = p.next.Add(time.Duration(float64(n) / float64(p.rate) * float64(time.Second)))
	return n, err
}
