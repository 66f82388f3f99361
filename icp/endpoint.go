package icp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Deps are what an Endpoint is told by others. The funcs may be called from many
// goroutines at a time.
type Deps struct {
	// Known reports whether queries from this address and port are answered.
	Known func(from netip.AddrPort) bool
	// Answer says what to reply to a query: OpHit, OpMiss, OpMissNoFetch or
	// OpDenied; OpErr for a URL that is none. It should not block for long.
	Answer func(url string) Opcode
	// Observe is told of each reply that answers a query of ours, late ones
	// included; nil: nobody cares. It must not block.
	Observe func(Reply)
	// Served is told of each query that was answered; nil: nobody cares.
	Served func(Served)
	Log    *slog.Logger // nil discards
}

// Served is a query that was answered.
type Served struct {
	From     netip.AddrPort
	URL      string
	Opcode   Opcode // of the reply
	Size     int    // of the reply, in bytes
	Duration time.Duration
}

// Endpoint answers queries and asks them, on the same sockets.
type Endpoint struct {
	d       Deps
	sockets []*net.UDPConn
	limits  *limits
	asked   inFlight
	queries chan query
	n       counters
	closing sync.Once
}

// query waits to be answered.
type query struct {
	on      *net.UDPConn
	from    netip.AddrPort
	m       Message
	size    int
	arrived time.Time
}

const (
	waiting   = 512     // queries that wait for an answer; more are dropped: their askers give up soon
	answerers = 4       // goroutines, since a look-up may read the disk
	buffer    = 1 << 20 // of a socket, as far as the system allows: a burst of queries
)

// New binds the addresses of o. Run answers; Close frees the addresses.
func New(ctx context.Context, o Options, d Deps) (*Endpoint, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if len(o.Listen) == 0 {
		return nil, errors.New("icp.listen: want at least one address")
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	e := &Endpoint{d: d, limits: newLimits(&o), queries: make(chan query, waiting)}
	e.asked.init()
	for _, addr := range o.Listen {
		var lc net.ListenConfig
		pc, err := lc.ListenPacket(ctx, "udp", addr)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("icp: %w", err), e.Close())
		}
		c := pc.(*net.UDPConn)
		_ = c.SetReadBuffer(buffer) // it works with less
		e.sockets = append(e.sockets, c)
	}
	return e, nil
}

// Addrs are the bound addresses.
func (e *Endpoint) Addrs() []netip.AddrPort {
	var addrs []netip.AddrPort
	for _, c := range e.sockets {
		addrs = append(addrs, c.LocalAddr().(*net.UDPAddr).AddrPort())
	}
	return addrs
}

// Close frees the addresses; Run returns then. It may be called more than once.
func (e *Endpoint) Close() error {
	var errs []error
	e.closing.Do(func() {
		for _, c := range e.sockets {
			errs = append(errs, c.Close())
		}
	})
	return errors.Join(errs...)
}

// Run answers and listens for replies until ctx ends or Close is called. It
// closes the endpoint.
func (e *Endpoint) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = e.Close() })
	defer stop()
	var readers, workers sync.WaitGroup
	for range answerers {
		workers.Go(func() {
			for q := range e.queries {
				e.answer(q)
			}
		})
	}
	swept := make(chan struct{})
	workers.Go(func() { e.asked.sweep(swept) })
	for _, c := range e.sockets {
		readers.Go(func() { e.read(c) })
	}
	readers.Wait()
	close(e.queries)
	close(swept)
	workers.Wait()
	return errors.Join(ctx.Err(), e.Close())
}

// read takes datagrams from c until it is closed.
func (e *Endpoint) read(c *net.UDPConn) {
	buf := make([]byte, MaxDatagram)
	for {
		n, from, err := c.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // what an earlier datagram met on its way, or no memory
			e.d.Log.Debug("icp: receive", "error", err)
			continue
		}
		e.take(c, netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), buf[:n], time.Now())
	}
}

// take acts upon one datagram.
func (e *Endpoint) take(c *net.UDPConn, from netip.AddrPort, b []byte, now time.Time) {
	m, err := Parse(b)
	op := m.Opcode
	if err != nil && !errors.Is(err, ErrURL) {
		op = opcodes
	}
	e.n.countIn(op, len(b))
	switch {
	case errors.Is(err, ErrVersion):
		e.drop(dropVersion)
	case op == opcodes && err != nil:
		e.drop(dropMalformed)
	case op == OpQuery:
		e.takeQuery(query{c, from, m, len(b), now}, err)
	case op.reply():
		e.takeReply(from, m, err, now)
	default:
		e.drop(dropOpcode)
	}
}

func (e *Endpoint) drop(why dropReason) { e.n.dropped[why].Add(1) }

func (e *Endpoint) takeQuery(q query, malformed error) {
	switch {
	case !e.d.Known(q.from):
		e.drop(dropStranger)
	case !e.limits.allow(q.from.Addr(), q.arrived):
		e.drop(dropRate)
	case malformed != nil:
		e.drop(dropMalformed)
		e.reply(q, OpErr)
	default:
		select {
		case e.queries <- q:
		default:
			e.drop(dropOverload)
		}
	}
}

func (e *Endpoint) answer(q query) {
	op := OpErr
	if Askable(q.m.URL) {
		op = e.d.Answer(q.m.URL)
	}
	e.reply(q, op)
}

// reply answers q, with its number and URL and no flags: none of them is
// supported.
func (e *Endpoint) reply(q query, op Opcode) {
	m := Message{Opcode: op, Number: q.m.Number, URL: q.m.URL}
	b := Append(make([]byte, 0, headerSize+len(m.URL)+1), &m)
	if len(b) > q.size {
		e.drop(dropAmplify)
		return
	}
	e.send(q.on, q.from, op, b)
	if e.d.Served != nil {
		e.d.Served(Served{From: q.from, URL: q.m.URL, Opcode: op, Size: len(b), Duration: time.Since(q.arrived)})
	}
}

func (e *Endpoint) send(c *net.UDPConn, to netip.AddrPort, op Opcode, b []byte) {
	if _, err := c.WriteToUDPAddrPort(b, to); err != nil {
		e.n.sendFail.Add(1) // as good as lost on the way
		return
	}
	e.n.countOut(op, len(b))
}

// socketFor is the socket that reaches to: one of its family, else one of both.
func (e *Endpoint) socketFor(to netip.AddrPort) *net.UDPConn {
	var both *net.UDPConn
	for _, c := range e.sockets {
		own := c.LocalAddr().(*net.UDPAddr).AddrPort().Addr()
		if own.Unmap().Is4() == to.Addr().Is4() {
			return c
		}
		if own.IsUnspecified() {
			both = c
		}
	}
	return both
}
