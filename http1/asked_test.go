package http1

import (
	"io"
	"testing"
	"time"
)

// The age of an answer counts from the end of a head, however early it began.
func TestAsked(t *testing.T) {
	type times struct{ began, asked time.Time }
	seen := make(chan times, 1)
	r := newRig(t, func(r *rig, _ *Options) {
		r.short = func(c *Conn, _ *Request) bool {
			seen <- times{c.Began(), c.Asked()}
			return c.Send(append(c.Buffer(), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"...), nil) == nil
		}
	})
	c := r.dial()
	send := func(s string) {
		t.Helper()
		_, err := io.WriteString(c, s)
		r.must(err)
	}
	send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if got := <-seen; !got.asked.Equal(got.began) {
		t.Errorf("a head in one piece began %v and was whole %v", got.began, got.asked)
	}
	_, err := io.ReadFull(c, make([]byte, len("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")))
	r.must(err)
	const part = "GET / HTTP/1.1\r\n"
	before := r.srv.Conns()[0].BytesIn
	send(part)
	r.eventually("the part has been read", func() bool { return r.srv.Conns()[0].BytesIn == before+int64(len(part)) })
	rest := time.Now()
	send("Host: x\r\n\r\n")
	if got := <-seen; !got.began.Before(rest) || got.asked.Before(rest) {
		t.Errorf("the rest of a head came at %v; it began %v and was whole %v", rest, got.began, got.asked)
	}
}
