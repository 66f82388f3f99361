package failover

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

// front is a virtual address whose holder can die, hang and be replaced, made
// of pipes, so that it works in virtual time.
type front struct {
	mu     sync.Mutex // guards what follows
	holder string     // "": refuses connections
	hangs  bool       // takes connections and requests, and says nothing
	delay  time.Duration
	status int
	open   map[net.Conn]bool
	served sync.WaitGroup
}

func newFront(holder string) *front {
	return &front{holder: holder, status: http.StatusOK, open: map[net.Conn]bool{}}
}

func (f *front) dial(ctx context.Context, network, address string) (net.Conn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.holder == "" {
		return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
	}
	ours, theirs := net.Pipe()
	f.open[ours] = true
	f.served.Go(func() { f.serve(ours) })
	return theirs, ctx.Err()
}

func (f *front) serve(c net.Conn) {
	defer c.Close()
	for r := bufio.NewReader(c); ; {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		f.mu.Lock()
		holder, hangs, delay, status := f.holder, f.hangs, f.delay, f.status
		f.mu.Unlock()
		if hangs {
			_, _ = io.Copy(io.Discard, c) // until the other end has had enough
			return
		}
		time.Sleep(delay)
		connection := "keep-alive"
		if req.Close {
			connection = "close"
		}
		fmt.Fprintf(c, "HTTP/1.1 %d X\r\nContent-Length: 2\r\nConnection: %s\r\nCache-Status: far; hit, cachenode-%s; hit; ttl=3\r\n\r\nok", status, connection, holder)
		if req.Close {
			return
		}
	}
}

// die closes the address and cuts what is open.
func (f *front) die() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.holder = ""
	for c := range f.open {
		c.Close()
	}
	clear(f.open)
}

func (f *front) change(how func(f *front)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	how(f)
}
