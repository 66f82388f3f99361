package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/cachenode/cachenode/internal/shortage"
)

const (
	maxDatagram   = 2048 // larger ones are no member's
	maxHandshakes = 64   // streams that have not proven themselves yet
	handshakeTime = 5 * time.Second
)

// wire is the port of gossip: it lets only members through. Datagrams are proven
// by the key and fresh; streams are for gossip, or calls.
type wire struct {
	net      network
	sec      security
	log      *slog.Logger
	rejects  *rejects
	sessions *sessions

	ring  atomic.Pointer[ring]
	link  atomic.Pointer[link] // who gets gossip; nil: nobody
	calls *queue               // who gets calls

	shaking chan struct{} // a place for each stream in its handshake
}

func newWire(n network, sec security, log *slog.Logger) *wire {
	return &wire{
		net: n, sec: sec, log: log, rejects: &rejects{log: log}, sessions: newSessions(),
		calls: newQueue(n.Addr()), shaking: make(chan struct{}, maxHandshakes),
	}
}

// run reads and accepts until ctx ends, and closes the network.
func (w *wire) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return w.readAll(ctx) })
	g.Go(func() error { return w.acceptAll(ctx) })
	g.Go(func() error {
		<-ctx.Done()
		return errors.Join(w.net.Close(), w.calls.Close())
	})
	return g.Wait()
}

func (w *wire) readAll(ctx context.Context) error {
	buf := make([]byte, maxDatagram+1)
	for {
		n, from, err := w.net.ReadFrom(buf)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("receive gossip: %w", err)
		case err != nil:
			// The kernel reports what became of datagrams sent earlier.
			w.log.Debug("receive gossip", "error", err)
			continue
		}
		w.receive(buf[:n], from, time.Now())
	}
}

// receive judges one datagram and passes it on.
func (w *wire) receive(b []byte, from netip.AddrPort, now time.Time) {
	if len(b) > maxDatagram {
		w.rejects.add(RejectOversized, from, "datagram", now)
		return
	}
	r := w.ring.Load()
	body, ok := r.open(b)
	if !ok {
		w.rejects.add(unproven(r, b), from, "datagram", now)
		return
	}
	f, err := parseFrame(body)
	if err != nil {
		w.rejects.add(RejectFormat, from, "datagram", now)
		return
	}
	if has, ours := r.labelled(f.payload); f.kind == kindData && (!has || !ours) {
		w.rejects.add(RejectLabel, from, "datagram", now)
		return
	}
	switch v, back, packets := w.sessions.receive(&f, now); v {
	case reply:
		_ = w.net.WriteTo(appendFrame(nil, &back, r), from) // like any datagram, it may be lost
	case replayed:
		w.rejects.add(RejectReplayed, from, "datagram", now)
	case deliver:
		if l := w.link.Load(); l != nil {
			for _, packet := range packets {
				l.packet(packet, from, now)
			}
		}
	case ignore:
	}
}

// unproven says what is wrong with a datagram whose proof is not right.
func unproven(r *ring, b []byte) Reason {
	if has, ours := r.labelled(b); has { // gossip, but not ours
		if ours {
			return RejectKey
		}
		return RejectLabel
	}
	if len(b) < frameOverhead || b[0] != frameMagic {
		return RejectFormat
	}
	if has, ours := r.labelled(b[frameHead:]); has && !ours {
		return RejectLabel
	}
	return RejectKey
}

// send sends one packet of gossip.
func (w *wire) send(packet []byte, to netip.AddrPort) error {
	f := w.sessions.next(packet)
	return w.net.WriteTo(appendFrame(make([]byte, 0, len(packet)+frameOverhead), &f, w.ring.Load()), to)
}

func (w *wire) acceptAll(ctx context.Context) error {
	var streams sync.WaitGroup
	defer streams.Wait()
	var short shortage.Pace
	for {
		conn, err := w.net.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				err = conn.Close()
			}
			return ignoreClosed(err)
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accept members: %w", err)
		case err != nil: // out of descriptors, most likely
			if short.News() {
				w.log.Warn("members cannot be accepted for now", "error", err)
			}
			sleep(ctx, short.Next())
			continue
		}
		short.Over()
		select {
		case w.shaking <- struct{}{}:
			streams.Go(func() {
				w.admit(ctx, conn)
				<-w.shaking
			})
		default:
			w.rejects.add(RejectBusy, remote(conn), "stream", time.Now())
			_ = conn.Close() // nothing was said yet
		}
	}
}

// admit lets a stream prove itself and passes it on.
func (w *wire) admit(ctx context.Context, conn net.Conn) {
	from := remote(conn)
	ctx, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	secured, proto, err := w.sec.server(ctx, conn, w.ring.Load())
	if err != nil {
		// Who hangs up has said nothing wrong: a member out of time, a check
		// whether the port is open.
		if ctx.Err() == nil && !errors.Is(err, io.EOF) && !errors.Is(err, unix.ECONNRESET) {
			w.rejects.add(streamReason(err), from, err.Error(), time.Now())
		}
		return
	}
	switch l := w.link.Load(); {
	case proto == protoCall:
		w.calls.put(secured)
	case proto == protoGossip && l != nil:
		l.stream(secured)
	default:
		_ = secured.Close() // of a version that wants what we do not have
	}
}

// streamReason tells what speaks something else from what has not our key.
func streamReason(err error) Reason {
	if _, ok := errors.AsType[*StrangerError](err); ok || errors.Is(err, errNoCertificate) {
		return RejectKey
	}
	if alert, ok := errors.AsType[*net.OpError](err); ok && alert.Op == "remote error" {
		return RejectKey // it does not like our certificate
	}
	if _, ok := errors.AsType[tls.AlertError](err); ok {
		return RejectKey
	}
	return RejectFormat
}

// dial opens a stream to a member, as the member of a cluster that r says.
func (w *wire) dial(ctx context.Context, to netip.AddrPort, r *ring, proto string) (net.Conn, error) {
	conn, err := w.net.Dial(ctx, to)
	if err != nil {
		return nil, err
	}
	return w.sec.client(ctx, conn, r, proto)
}

func remote(conn net.Conn) netip.AddrPort {
	ap, _ := netip.ParseAddrPort(conn.RemoteAddr().String()) // zero when it is none
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// queue is a listener of streams that were accepted elsewhere.
type queue struct {
	addr   netip.AddrPort
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newQueue(addr netip.AddrPort) *queue {
	return &queue{addr: addr, conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (q *queue) put(conn net.Conn) {
	select {
	case q.conns <- conn:
	case <-q.closed:
		_ = conn.Close() // we are stopping
	}
}

// Accept implements net.Listener.
func (q *queue) Accept() (net.Conn, error) {
	select {
	case conn := <-q.conns:
		return conn, nil
	case <-q.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (q *queue) Close() error {
	q.once.Do(func() { close(q.closed) })
	return nil
}

// Addr implements net.Listener.
func (q *queue) Addr() net.Addr { return net.TCPAddrFromAddrPort(q.addr) }
