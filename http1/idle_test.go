package http1

import (
	"fmt"
	"net"
	"net/http"
	"runtime"
	"testing"
)

// A connection that waits for its next request takes little memory, the two
// ends of it and its goroutine together.
func TestIdleConnectionsAreSmall(t *testing.T) {
	r := serving(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1000)) })
	inUse := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc + m.StackInuse)
	}
	const count = 200
	conns := make([]net.Conn, count)
	buf := make([]byte, 4096)
	before := inUse()
	for i := range conns {
		c := r.dial()
		fmt.Fprint(c, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
		if _, err := c.Read(buf); err != nil {
			t.Fatal(err)
		}
		conns[i] = c
	}
	r.eventually("all are idle", func() bool {
		for _, c := range r.srv.Conns() {
			if c.State != StateIdle {
				return false
			}
		}
		return true
	})
	each := (inUse() - before) / count
	t.Logf("%d bytes for each connection", each)
	if each > 12<<10 {
		t.Errorf("an idle connection takes %d bytes", each)
	}
	runtime.KeepAlive(conns)
}
