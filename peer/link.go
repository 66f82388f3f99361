package peer

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// link is what one instance of memberlist sees of the wire. The wire outlives
// it: a node that joins another cluster gets a new instance on the same port.
type link struct {
	wire    *wire
	own     netip.AddrPort // what the others are told
	packets chan *memberlist.Packet
	streams chan net.Conn
	closed  chan struct{}

	mu   sync.Mutex // guards open, and closing closed
	open map[*linkConn]struct{}
}

func newLink(w *wire, own netip.AddrPort) *link {
	return &link{
		wire: w, own: own, packets: make(chan *memberlist.Packet), streams: make(chan net.Conn),
		closed: make(chan struct{}), open: map[*linkConn]struct{}{},
	}
}

// linkConn is a stream that ends with its link.
type linkConn struct {
	net.Conn
	link *link
}

func (c *linkConn) Close() error {
	c.link.mu.Lock()
	delete(c.link.open, c)
	c.link.mu.Unlock()
	return c.Conn.Close()
}

// track returns nil, and closes the stream, when the link has ended.
func (l *link) track(conn net.Conn) *linkConn {
	c := &linkConn{Conn: conn, link: l}
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.closed:
		_ = conn.Close() // nobody is there to use it
		return nil
	default:
	}
	l.open[c] = struct{}{}
	return c
}

func (l *link) packet(b []byte, from netip.AddrPort, now time.Time) {
	select {
	case l.packets <- &memberlist.Packet{Buf: b, From: net.UDPAddrFromAddrPort(from), Timestamp: now}:
	case <-l.closed:
	}
}

func (l *link) stream(conn net.Conn) {
	c := l.track(conn)
	if c == nil {
		return
	}
	select {
	case l.streams <- c:
	case <-l.closed:
		_ = c.Close() // Shutdown may have done so
	}
}

// FinalAdvertiseAddr implements memberlist.Transport.
func (l *link) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return l.own.Addr().AsSlice(), int(l.own.Port()), nil
}

// WriteTo implements memberlist.Transport.
func (l *link) WriteTo(b []byte, addr string) (time.Time, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return time.Time{}, fmt.Errorf("send gossip: %w", err)
	}
	err = l.wire.send(b, to)
	return time.Now(), err
}

// PacketCh implements memberlist.Transport.
func (l *link) PacketCh() <-chan *memberlist.Packet { return l.packets }

// StreamCh implements memberlist.Transport.
func (l *link) StreamCh() <-chan net.Conn { return l.streams }

// DialTimeout implements memberlist.Transport.
func (l *link) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, fmt.Errorf("connect to a member: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	conn, err := l.wire.dial(ctx, to, l.wire.ring.Load(), protoGossip)
	if err != nil {
		return nil, err
	}
	if c := l.track(conn); c != nil {
		return c, nil
	}
	return nil, net.ErrClosed
}

// Shutdown implements memberlist.Transport.
func (l *link) Shutdown() error {
	l.mu.Lock()
	select {
	case <-l.closed:
	default:
		close(l.closed)
	}
	open := l.open
	l.open = map[*linkConn]struct{}{}
	l.mu.Unlock()
	for c := range open {
		_ = c.Conn.Close() // what was under way is lost, as in a crash
	}
	return nil
}
