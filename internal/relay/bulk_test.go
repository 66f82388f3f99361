package relay

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"testing"

	"github.com/cachenode/cachenode/internal/tcp"
)

// bulk is a relay whose far side was dialled, and the other ends of both.
func bulk(t *testing.T) (r *rig, far net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer closeQuietly(ln)
	dialled, err := tcp.Dialer{}.Dial(context.Background(), ln.Addr().(*net.TCPAddr).AddrPort())
	if err != nil {
		t.Fatal(err)
	}
	if far, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeQuietly(far) })
	client, near := pair(t)
	o := Options{IdleTimeout: patience, HalfCloseTimeout: patience}
	return &rig{Relay: New(near, dialled, o), client: client, ended: make(chan Verdict, 1)}, far
}

// noise is n bytes that no others are mistaken for.
func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n)}).Read(b)
	return b
}

func TestBulkThroughADialledConnection(t *testing.T) {
	r, far := bulk(t)
	r.start(t)
	up, down := noise(3<<20+1), noise(2<<20+3)
	got := make(chan []byte, 2) // one from each end
	for end, b := range map[net.Conn][]byte{r.client: up, far: down} {
		go func() {
			_, _ = end.Write(b)
			_ = end.(*net.TCPConn).CloseWrite()
		}()
		go func() {
			b, _ := io.ReadAll(end)
			got <- b
		}()
	}
	for range 2 {
		if b := <-got; !bytes.Equal(b, up) && !bytes.Equal(b, down) {
			t.Errorf("got %d bytes that were not sent", len(b))
		}
	}
	if v := r.wait(t); v != (Verdict{}) {
		t.Errorf("ended as %+v", v)
	}
	if in, out := r.Moved(); in != int64(len(up)) || out != int64(len(down)) {
		t.Errorf("moved %d and %d", in, out)
	}
}

// What a broken transfer leaves in a pipe does not come out of another.
func TestBulkThatBreaksOffLeavesNothing(t *testing.T) {
	for range 5 {
		r, far := bulk(t)
		r.start(t)
		go func() { _, _ = far.Write(noise(8 << 20)) }() // nobody reads it all
		if _, err := io.ReadFull(r.client, make([]byte, 2<<20)); err != nil {
			t.Fatal(err)
		}
		Reset(r.client)
		if v := r.wait(t); !v.Aborted {
			t.Errorf("ended as %+v", v)
		}
		TestBulkThroughADialledConnection(t)
	}
}
