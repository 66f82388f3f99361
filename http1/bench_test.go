package http1

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

const benchRequest = "GET http://origin.example/objects/1234 HTTP/1.1\r\nHost: origin.example\r\n" +
	"User-Agent: bench/1.0\r\nAccept: */*\r\nAccept-Encoding: gzip\r\n\r\n"

// ask sends requests one after the other and reads their answers, of which all
// are equally long.
func ask(b *testing.B, addr, request string) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	br := bufio.NewReader(c)
	one := []byte(request)
	if _, err := c.Write(one); err != nil {
		b.Fatal(err)
	}
	res, err := http.ReadResponse(br, nil)
	if err != nil {
		b.Fatal(err)
	}
	n := 0
	for _, v := range res.Header {
		n += len(v)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil || n == 0 {
		b.Fatal(err)
	}
	if _, err := c.Write(one); err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 1<<20)
	size, err := c.Read(buf)
	if err != nil || size < len(body) {
		b.Fatal(err, size)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Write(one); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(c, buf[:size]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkShort(b *testing.B) {
	head := "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 1024\r\nContent-Type: text/plain\r\n\r\n"
	body := []byte(strings.Repeat("x", 1024))
	r := newRig(b, func(r *rig, _ *Options) {
		r.short = func(c *Conn, q *Request) bool {
			c.Persist(q)
			return c.Send(append(c.Buffer(), head...), body) == nil
		}
	})
	ask(b, r.addr, benchRequest)
}

func BenchmarkLong(b *testing.B) {
	body := []byte(strings.Repeat("x", 1024))
	r := newRig(b, func(r *rig, _ *Options) {
		r.serve = func(w http.ResponseWriter, _ *http.Request) {
			h := w.Header()
			h["Cache-Control"] = []string{"max-age=60"}
			h["Content-Length"] = []string{"1024"}
			h["Content-Type"] = []string{"text/plain"}
			_, _ = w.Write(body)
		}
	})
	ask(b, r.addr, benchRequest)
}

func BenchmarkParse(b *testing.B) {
	r, lim := Request{Fields: make([]Field, 0, 64)}, limits{64 << 10, 16 << 10, 200}
	in := []byte(benchRequest)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		if ok, bad := r.parse(in, &lim); !ok {
			b.Fatal(bad)
		}
	}
}

func BenchmarkChunks(b *testing.B) {
	in := []byte(strings.Repeat(fmt.Sprintf("400\r\n%s\r\n", strings.Repeat("x", 1024)), 16) + "0\r\n\r\n")
	out := make([]byte, len(in))
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		d := chunks{limit: 1 << 10}
		if _, _, err := d.decode(out, in); err != io.EOF { //nolint:errorlint // decode's own
			b.Fatal(err)
		}
	}
}
