package admin

import (
	"errors"
	"net"
	"testing"
)

func TestLimitedListener(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := limit(tcp, 2)
	type accepted struct {
		c   net.Conn
		err error
	}
	conns := make(chan accepted)
	go func() {
		defer close(conns)
		for {
			c, err := l.Accept()
			conns <- accepted{c, err}
			if err != nil {
				return
			}
		}
	}()
	for range 4 {
		c, err := net.Dial("tcp", tcp.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	first, second := <-conns, <-conns
	select {
	case third := <-conns:
		t.Errorf("a third connection: %+v", third)
	default:
	}
	first.c.Close()
	first.c.Close() // gives back one slot only
	third := <-conns
	if third.err != nil {
		t.Error(third.err)
	}
	if n := len(l.(*limited).slots); n != 2 {
		t.Errorf("%d slots in use", n)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if last := <-conns; !errors.Is(last.err, net.ErrClosed) {
		t.Errorf("after Close: %+v", last)
	}
	second.c.Close()
	third.c.Close()
	_ = l.Close()
}
