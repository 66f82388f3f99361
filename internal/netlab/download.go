package netlab

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long a download may take for what it is asked to do.
const patience = 30 * time.Second

// block is what a server of ServeBlocks answers with.
var block = bytes.Repeat([]byte("0123456789abcdef"), 4<<10)

// ListenFree listens at an address that need not be on this machine yet.
func ListenFree(addr string) (net.Listener, error) {
	free := func(network, _ string, c syscall.RawConn) (err error) {
		level, option := unix.SOL_IP, unix.IP_FREEBIND
		if network == "tcp6" {
			level, option = unix.SOL_IPV6, unix.IPV6_FREEBIND
		}
		ctl := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), level, option, 1) })
		return errors.Join(err, ctl)
	}
	return (&net.ListenConfig{Control: free}).Listen(context.Background(), "tcp", addr)
}

// ServeBlocks answers the connections of Download until the listener is closed.
// A server says its name, and then answers each byte with a block of bytes.
func ServeBlocks(ln net.Listener, name string) error {
	for {
		conn, err := ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		go serveBlocks(conn, name) // until the client has gone
	}
}

func serveBlocks(conn net.Conn, name string) {
	defer conn.Close()
	_, err := fmt.Fprintln(conn, name)
	for one := make([]byte, 1); err == nil; {
		if _, err = io.ReadFull(conn, one); err == nil {
			_, err = conn.Write(block)
		}
	}
}

// Download is a connection over which a client reads on and on.
type Download struct {
	// From is the name of the server.
	From string

	t    testing.TB
	conn net.Conn
	in   *bufio.Reader
	read atomic.Int64
	stop atomic.Bool
	err  chan error // of capacity 1: how it ended
}

// Download connects to a server of ServeBlocks and begins to read.
func (h *Host) Download(addr string) *Download {
	t := h.lab.t
	t.Helper()
	conn, err := h.Dial("tcp", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(4 * patience))
	d := &Download{t: t, conn: conn, in: bufio.NewReaderSize(conn, len(block)), err: make(chan error, 1)}
	if d.From, err = d.in.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	d.From = strings.TrimSpace(d.From)
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.err <- d.readOn()
	}()
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	return d
}

func (d *Download) readOn() error {
	got := make([]byte, len(block))
	for !d.stop.Load() {
		if _, err := d.conn.Write([]byte("x")); err != nil {
			return err
		}
		if _, err := io.ReadFull(d.in, got); err != nil {
			return err
		}
		if !bytes.Equal(got, block) {
			return errors.New("other bytes than those sent")
		}
		d.read.Add(int64(len(got)))
	}
	return nil
}

// GoesOn waits until so many more bytes have come, all of them right.
func (d *Download) GoesOn(bytes int64) {
	d.t.Helper()
	want := d.read.Load() + bytes
	for deadline := time.Now().Add(patience); d.read.Load() < want; time.Sleep(5 * time.Millisecond) {
		select {
		case err := <-d.err:
			d.t.Fatalf("the download from %s broke off after %d bytes: %v", d.From, d.read.Load(), err)
		default:
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("the download from %s does not go on after %d bytes", d.From, d.read.Load())
		}
	}
}

// Finish ends it; an error says how it had ended before.
func (d *Download) Finish() error {
	d.stop.Store(true)
	err := <-d.err
	d.conn.Close()
	return err
}

// Breaks waits until it has broken off, and says how.
func (d *Download) Breaks() error { return <-d.err }
