package origin

import (
	"net/http"
	"strconv"
	"time"
)

// send writes the head and the bytes of p, in as few writes as there are full
// buffers.
func (c *conn) send(r request, p part, counts *counters) error {
	if c.out == nil {
		c.out = make([]byte, 0, 4<<10) // grows to what the objects need
	}
	c.out = p.appendHead(c.out[:0], r)
	if r.method == http.MethodHead || p.status == 204 || p.status == 304 {
		return c.flush()
	}
	c.content.Reset(p.object)
	pace := pacer{server: c.server, rate: p.spec.Bandwidth, start: time.Now()}
	for off := p.from; off < p.to; {
		n := min(p.to-off, int64(writeBuffer), pace.most())
		c.fill(off, n, p.spec.Chunked)
		if err := c.flush(); err != nil {
			return err
		}
		counts.bytes.Add(n)
		off += n
		if !pace.sent(n) {
			return http.ErrServerClosed
		}
	}
	if p.spec.Chunked {
		c.out = append(c.out, "0\r\n\r\n"...)
	}
	return c.flush()
}

// fill appends n bytes of the content to what will be written.
func (c *conn) fill(off, n int64, chunked bool) {
	if chunked {
		c.out = strconv.AppendInt(c.out, n, 16)
		c.out = append(c.out, "\r\n"...)
	}
	for end := off + n; off < end; {
		piece := c.content.At(off)
		piece = piece[:min(int64(len(piece)), end-off)]
		c.out = append(c.out, piece...)
		off += int64(len(piece))
	}
	if chunked {
		c.out = append(c.out, "\r\n"...)
	}
}

func (c *conn) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	_, err := c.nc.Write(c.out)
	c.out = c.out[:0]
	return err
}

// pacer keeps an answer to its bandwidth.
type pacer struct {
	server *Server
	rate   int64 // bytes per second; 0 unlimited
	start  time.Time
	done   int64
}

// most is how much may be written at once: what lasts 20 ms.
func (p *pacer) most() int64 {
	if p.rate == 0 {
		return writeBuffer
	}
	return max(1, p.rate/50)
}

// sent waits until the next piece is due; false means that the server ends.
func (p *pacer) sent(n int64) bool {
	if p.rate == 0 {
		return true
	}
	p.done += n
	due := p.start.Add(time.Duration(float64(p.done) / float64(p.rate) * float64(time.Second)))
	wait := time.Until(due)
	return wait <= 0 || p.server.pause(wait)
}
