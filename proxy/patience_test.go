package proxy

import (
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// A slow client gets as long as it takes; one that takes nothing does not.
func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		c := &countedConn{Conn: server}
		c.patience.Store(int64(time.Minute))
		body := pattern(100)
		go func() {
			buf := make([]byte, 10)
			for range 8 { // and then never again
				time.Sleep(40 * time.Second)
				io.ReadFull(client, buf)
			}
		}()
		start := time.Now()
		c.SetWriteDeadline(start.Add(time.Minute))
		n, err := c.Write(body)
		if n != 80 || !isTimeout(err) {
			t.Errorf("%d bytes, %v", n, err)
		}
		if took := time.Since(start); took < 320*time.Second || took > 440*time.Second {
			t.Errorf("gave up after %v", took)
		}
		if c.out.Load() != 80 {
			t.Errorf("%d bytes counted", c.out.Load())
		}
	})
}
