package upstream

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"testing"
)

// benchOrigin answers every request head with the same response.
func benchOrigin(b *testing.B, size int) string {
	answer := append([]byte("HTTP/1.1 200 OK\r\nDate: Fri, 20 Nov 2026 12:00:00 GMT\r\nContent-Type: text/html\r\nEtag: \"x\"\r\n"+
		"Content-Length: "+strconv.Itoa(size)+"\r\nCache-Control: max-age=60\r\n\r\n"), bytes.Repeat([]byte{'x'}, size)...)
	return rawOrigin(b, func(nc net.Conn, br *bufio.Reader) {
		for {
			line, err := br.ReadSlice('\n')
			if err != nil {
				return
			}
			if len(line) > 2 {
				continue
			}
			if _, err := nc.Write(answer); err != nil {
				return
			}
		}
	})
}

func benchFetch(b *testing.B, do func(*http.Request) (*http.Response, error), url string) {
	b.ReportAllocs()
	req := newRequest("GET", url, nil)
	req.Header = http.Header{"Accept": {"*/*"}, "User-Agent": {"bench"}, "Via": {"1.1 n (cachenode)"}}
	buf := make([]byte, 32<<10)
	for b.Loop() {
		resp, err := do(req)
		if err != nil {
			b.Fatal(err)
		}
		for err == nil {
			_, err = resp.Body.Read(buf)
		}
		if !errors.Is(err, io.EOF) {
			b.Fatal(err)
		}
		_ = resp.Body.Close()
	}
}

func BenchmarkFetch(b *testing.B) {
	for _, size := range []int{1 << 10, 10 << 10, 100 << 10} {
		url := "http://" + benchOrigin(b, size) + "/x"
		c := newClient(b, nil)
		b.Run("ours/"+strconv.Itoa(size>>10)+"KiB", func(b *testing.B) {
			benchFetch(b, func(r *http.Request) (*http.Response, error) {
				resp, _, err := c.Do(r, nil)
				return resp, err
			}, url)
		})
		tr := &http.Transport{DisableCompression: true}
		b.Run("net-http/"+strconv.Itoa(size>>10)+"KiB", func(b *testing.B) { benchFetch(b, tr.RoundTrip, url) })
		tr.CloseIdleConnections()
	}
}
