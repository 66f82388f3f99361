package relay

import (
	"bytes"
	"errors"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/cachenode/cachenode/internal/netlab"
)

// across returns a connection from host a to host b.
func across(t *testing.T, a, b *netlab.Host, addr string) (from, to *net.TCPConn) {
	t.Helper()
	ln, err := b.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer closeQuietly(ln)
	c, err := a.Dial("tcp", ln.Addr().String(), patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeQuietly(c) })
	d, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn), d.(*net.TCPConn)
}

// A client whose machine is gone keeps nobody waiting until the idle limit.
func TestAPeerThatVanishes(t *testing.T) {
	lab := netlab.New(t)
	there, here := lab.Host("client", "10.99.0.1/24"), lab.Host("door", "10.99.0.2/24")
	_, near := across(t, there, here, "10.99.0.2:0")
	far, dialled := pair(t)
	r := &rig{far: far, ended: make(chan Verdict, 1), Relay: New(near, dialled, Options{
		IdleTimeout: time.Hour, HalfCloseTimeout: time.Hour, PeerTimeout: time.Second,
	})}
	r.start(t)
	there.BlackHole()
	if _, err := far.Write([]byte("hello?")); err != nil {
		t.Fatal(err)
	}
	if v := r.wait(t); v != (Verdict{Aborted: true}) {
		t.Errorf("ended as %+v", v)
	}
	if _, err := far.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("far side sees %v, want a reset", err)
	}
}

// A client that does not read for long is there all the same.
func TestAPeerThatDoesNotRead(t *testing.T) {
	lab := netlab.New(t)
	there, here := lab.Host("client", "10.99.0.1/24"), lab.Host("door", "10.99.0.2/24")
	client, near := across(t, there, here, "10.99.0.2:0")
	far, dialled := pair(t)
	r := &rig{far: far, ended: make(chan Verdict, 1), Relay: New(near, dialled, Options{
		IdleTimeout: time.Hour, HalfCloseTimeout: time.Hour, PeerTimeout: 500 * time.Millisecond,
	})}
	r.start(t)
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	go func() {
		_, _ = far.Write(data)
		_ = far.CloseWrite()
	}()
	time.Sleep(3 * time.Second) // several times as long as a peer may be silent
	_ = client.SetReadDeadline(time.Now().Add(patience))
	var got bytes.Buffer
	if _, err := got.ReadFrom(client); err != nil || !bytes.Equal(got.Bytes(), data) {
		t.Errorf("the client got %d bytes of %d, %v", got.Len(), len(data), err)
	}
}
