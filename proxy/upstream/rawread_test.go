package upstream

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
)

// ReadNow yields what is there and never waits, whatever comes when.
func TestReadNow(t *testing.T) {
	more := make(chan struct{})
	addr := rawOrigin(t, func(nc net.Conn, br *bufio.Reader) {
		if _, err := http.ReadRequest(br); err != nil {
			return
		}
		_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
		<-more
		_, _ = io.WriteString(nc, "67890")
	})
	resp, _, err := newClient(t, nil).Do(newRequest("GET", "http://"+addr, nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	now := resp.Body.(interface{ ReadNow([]byte) (int, error) })
	buf := make([]byte, 100)
	got := 0
	for got < 5 { // the origin's write may come in parts
		n, err := resp.Body.Read(buf[got:])
		if got += n; err != nil {
			t.Fatal(err)
		}
	}
	if n, err := now.ReadNow(buf[got:]); n != 0 || err != nil {
		t.Fatalf("%d bytes, %v, of nothing", n, err)
	}
	close(more)
	for err == nil {
		var n int
		n, err = now.ReadNow(buf[got:])
		got += n
	}
	if !errors.Is(err, io.EOF) || string(buf[:got]) != "1234567890" {
		t.Fatalf("%q, %v", buf[:got], err)
	}
	if _, err := now.ReadNow(buf); !errors.Is(err, io.EOF) {
		t.Fatalf("behind the end: %v", err)
	}
}

func TestReadNowOfABrokenBody(t *testing.T) {
	addr := answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
	resp, _, err := newClient(t, nil).Do(newRequest("GET", "http://"+addr, nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	now := resp.Body.(interface{ ReadNow([]byte) (int, error) })
	buf := make([]byte, 100)
	for err == nil {
		_, err = now.ReadNow(buf)
	}
	if errors.Is(err, io.EOF) {
		t.Fatalf("a body that breaks off ends in %v", err)
	}
}
