package frontdoor

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"testing"
)

// bench is a door with one node behind it that answers each request, which ends
// with an empty line, with 1 KiB.
func bench(b *testing.B) *rig {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	answer := make([]byte, 1<<10)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				buf := make([]byte, 4<<10)
				for {
					n, err := c.Read(buf)
					if err != nil {
						return
					}
					if bytes.HasSuffix(buf[:n], []byte("\r\n\r\n")) {
						_, _ = c.Write(answer)
					}
				}
			}()
		}
	}()
	r := newRig(b, nil)
	b.Cleanup(func() { _ = ln.Close() })
	r.door.SetBackends([]Backend{{ID: "a", Name: "a", Addr: netip.MustParseAddrPort(ln.Addr().String())}})
	return r
}

var request = []byte("GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n")

func benchAsk(b *testing.B, c net.Conn, buf []byte) {
	if _, err := c.Write(request); err != nil {
		b.Fatal(err)
	}
	if _, err := io.ReadFull(c, buf); err != nil {
		b.Fatal(err)
	}
}

// A request on a connection that is kept.
func BenchmarkRequest(b *testing.B) {
	r := bench(b)
	c := r.dial()
	buf := make([]byte, 1<<10)
	b.ReportAllocs()
	for b.Loop() {
		benchAsk(b, c, buf)
	}
	_ = c.Close()
}

// A connection from its beginning to its end, with one request. It counts what
// the client and the node allocate, too.
func BenchmarkConnection(b *testing.B) {
	r := bench(b)
	buf := make([]byte, 1<<10)
	b.ReportAllocs()
	for b.Loop() {
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			b.Fatal(err)
		}
		benchAsk(b, c, buf)
		_ = c.Close()
	}
}
