package proxy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/cachenode/cachenode/internal/units"
)

// rawOrigin answers every request head with the same response in one write, so
// that what an origin costs does not hide what the proxy does.
func rawOrigin(b *testing.B, size int) (addr string) {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { ln.Close() })
	answer := append([]byte("HTTP/1.1 200 OK\r\nDate: "+time.Now().UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")+
		"\r\nServer: raw\r\nContent-Type: application/octet-stream\r\nCache-Control: max-age=3600\r\nETag: \"1\"\r\n"+
		"Last-Modified: Mon, 02 Jan 2006 15:04:05 GMT\r\nContent-Length: "+strconv.Itoa(size)+"\r\n\r\n"), pattern(size)...)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go answerAll(c, answer)
		}
	}()
	return ln.Addr().String()
}

func answerAll(c net.Conn, answer []byte) {
	defer c.Close()
	buf := make([]byte, 16<<10)
	n := 0
	for {
		k, err := c.Read(buf[n:])
		if err != nil {
			return
		}
		if n += k; bytes.HasSuffix(buf[:n], []byte("\r\n\r\n")) {
			if _, err := c.Write(answer); err != nil {
				return
			}
			n = 0
		}
	}
}

// A miss that is stored on disk; client and origin do next to nothing.
func benchmarkMiss(b *testing.B, size int) {
	r := newRig(b, func(c *rigConfig) { c.disk = 2 * units.GiB })
	r.unlogged = true
	origin := rawOrigin(b, size)
	c := r.connect()
	defer c.Close()
	br := bufio.NewReaderSize(c, 64<<10)
	var out []byte
	b.ReportAllocs()
	before := cpuTime(b)
	b.ResetTimer()
	for i := range b.N {
		out = fmt.Appendf(out[:0], "GET http://%s/o/%d HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n", origin, i, origin)
		if _, err := c.Write(out); err != nil {
			b.Fatal(err)
		}
		for {
			line, err := br.ReadSlice('\n')
			if err != nil {
				b.Fatal(err)
			}
			if len(line) == 2 {
				break
			}
		}
		if n, err := io.CopyN(io.Discard, br, int64(size)); err != nil {
			b.Fatal(n, err)
		}
	}
	b.StopTimer()
	b.ReportMetric(float64((cpuTime(b)-before).Nanoseconds())/1e3/float64(b.N), "cpu-µs/op")
}

// cpuTime is what this process has used: the client and the origin too, but not
// the waits for the disk.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkMiss10K(b *testing.B)  { benchmarkMiss(b, 10<<10) }
func BenchmarkMiss100K(b *testing.B) { benchmarkMiss(b, 100<<10) }
