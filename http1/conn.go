package http1

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// Conn is a client's connection during one request. It belongs to the
// connection's goroutine.
type Conn struct {
	// Kept is the handler's, who may keep something with the connection.
	Kept any

	wire
	srv           *Server
	id            uint64
	client, local netip.AddrPort
	since         time.Time
	remote        string     // of the client, once somebody has asked
	excess        *problem   // why it is one too many; nil: it is not
	met           bool       // its first bytes have been looked at: who is behind it is known
	counted       bool       // among the connections of its client; guarded by srv.mu
	via           netip.Addr // of the balancer that it came through; guarded by srv.mu for others than its goroutine

	state    atomic.Uint32
	hurried  atomic.Bool  // the read deadline in force is a drain's
	requests atomic.Int64 // handed on
	short    atomic.Int64 // of these, answered on the short lane

	work   *work            // nil: idle, nothing has arrived
	outbuf *[writeRoom]byte // what Buffer handed out
	long   *exchange        // the long way's, while it is on it
	sentry sentry

	// Of the request under way.
	began    time.Time
	asked    time.Time
	out0     int64 // value of wire.out when it began
	received int64
	keep     bool // another request may follow
	broken   bool // a write has failed
	unread   bool // bytes may come that nobody wants: close with care
	slow     bool // it went the long way, began is long ago
}

func newConn(s *Server, nc net.Conn) *Conn {
	c := &Conn{srv: s, client: addrPort(nc.RemoteAddr()), local: addrPort(nc.LocalAddr()), since: time.Now()}
	c.wire.init(nc, s.opts.WriteTimeout.D())
	c.reading.park, c.reading.unpark = c.park, c.unpark
	return c
}

func addrPort(a net.Addr) netip.AddrPort {
	var ap netip.AddrPort
	switch a := a.(type) {
	case *net.TCPAddr:
		ap = a.AddrPort()
	case nil:
	default:
		ap, _ = netip.ParseAddrPort(a.String()) // of a pipe or a unix socket: none
	}
	return unmapped(ap)
}

// unmapped is the address as rules and logs know it.
func unmapped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// State is what the connection is doing.
func (c *Conn) State() State { return State(c.state.Load()) }

func (c *Conn) setState(s State) { c.state.Store(uint32(s)) }

// Client is who is at the other end; without an address where that has none.
func (c *Conn) Client() netip.AddrPort { return c.client }

// Local is the address that the connection was accepted on.
func (c *Conn) Local() netip.AddrPort { return c.local }

// Persist reports whether the connection will be kept behind this request: the
// client wants it and nothing here speaks against it (a stop or drain, the most
// requests of a connection). The response must say so when it is not.
func (c *Conn) Persist(r *Request) bool {
	most := c.srv.opts.MaxRequests
	c.keep = r.Persist && !c.leaving() && (most == 0 || c.requests.Load() < most)
	return c.keep
}

// Sent is the number of bytes written for the current request so far.
func (c *Conn) Sent() int64 { return c.out.Load() - c.out0 }

// Received is the number of bytes that came for the current request so far,
// its head included.
func (c *Conn) Received() int64 {
	n := c.received
	if c.long != nil {
		n += c.long.body.taken()
	}
	return n
}

// Began is when the first byte of the current request's head was read.
func (c *Conn) Began() time.Time { return c.began }

// Asked is when the last byte of the current request's head was read.
func (c *Conn) Asked() time.Time { return c.asked }

// Reset makes the close that follows break the connection off, so that no
// client takes it for the end of a body.
func (c *Conn) Reset() {
	c.keep, c.unread = false, false
	c.wire.reset()
}

// serve is the life of the connection.
func (c *Conn) serve() {
	defer c.end()
	for c.next() {
		c.answer()
		if c.tunnel() || !c.keep || c.broken {
			return
		}
	}
}

func (c *Conn) tunnel() bool { return c.State() == StateTunnel }

// end closes the connection, unless it is somebody else's by now.
func (c *Conn) end() {
	if v := recover(); v != nil {
		c.panicked(v)
		c.broken = true
	}
	tunnel := c.tunnel()
	if !tunnel {
		if !c.broken {
			c.setState(StateClosing)
			c.linger()
		}
		_ = c.nc.Close() // there is nobody to tell
	}
	c.release()
	c.giveOut()
	c.srv.leave(c, tunnel)
}

func (c *Conn) panicked(v any) {
	if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		return
	}
	c.srv.stats.panics.Add(1)
	c.srv.deps.Log.Error("a request has run into a bug; please report it", "panic", v, "client", c.client, "stack", string(debug.Stack()))
}

// next reads the next head; false when there is none.
func (c *Conn) next() bool {
	if c.work != nil && len(c.work.unread()) > 0 {
		c.setState(StateHead)
		c.began = time.Now()
		c.asked = c.began
	} else if !c.awaitFirst() {
		return false
	}
	if !c.met {
		if !c.preface() {
			return false
		}
		c.met = true
		if len(c.work.unread()) == 0 {
			c.began = time.Time{} // the request itself is still to come
			return c.next()
		}
	}
	c.out0, c.received, c.keep, c.unread = c.out.Load(), 0, false, false
	bad := c.head()
	switch {
	case bad == errGone:
		c.broken = true
		return false
	case bad != nil:
		c.refuse(bad)
		return false
	}
	k := c.work
	k.req.Client, k.req.Local = c.client, c.local
	k.r += k.req.HeadLen
	c.received = int64(k.req.HeadLen)
	return true
}

// errGone stands for a client that has left: nobody is there to be answered.
var errGone = &problem{kind: "gone"}

// head parses until there is a whole head. After the first attempt, others are
// made only where more than more of the same has arrived, so that a head that
// comes in many small pieces does not cost more than it weighs.
func (c *Conn) head() *problem {
	k := c.work
	var scan scanner
	for first := true; ; first = false {
		if first || scan.worthwhile(k.unread()) {
			if whole, bad := k.req.parse(k.unread(), &c.srv.lim); whole || bad != nil {
				return bad
			}
			scan.saw(k.unread())
		}
		room := k.free(c.srv.lim.head)
		switch {
		case room == nil && scan.lined:
			return longHead
		case room == nil:
			return longTarget
		}
		if bad := c.fill(room); bad != nil {
			return bad
		}
	}
}

// fill reads more of a head into room, which is the work's.
func (c *Conn) fill(room []byte) *problem {
	c.armRead(c.began.Add(c.srv.opts.HeaderTimeout.D()), time.Millisecond)
	n, err := c.read(room)
	c.work.w += n
	switch {
	case n > 0:
		c.asked = time.Now()
		return nil
	case isTimeout(err):
		return slowHead
	case errors.Is(err, io.EOF) && len(bytes.Trim(c.work.unread(), crlf)) > 0:
		return cutHead
	}
	return errGone
}

// answer has the request answered, on the short lane if that takes it.
func (c *Conn) answer() {
	r := &c.work.req
	if c.excess != nil {
		if c.srv.stillTooMany(c) {
			c.refuse(c.excess)
			return
		}
		c.excess = nil
	}
	c.requests.Add(1)
	c.setState(StateResponse)
	c.Persist(r)
	if !r.short() || !c.asks(r) {
		c.serveLong(r)
	}
}

// asks asks the short lane.
func (c *Conn) asks(r *Request) bool {
	if !c.srv.deps.Handler.Short(c, r) {
		return false
	}
	c.giveOut()
	c.short.Add(1)
	return true
}

// refuse has the client told what is wrong; the connection ends.
func (c *Conn) refuse(bad *problem) {
	c.setState(StateResponse)
	c.srv.stats.refuse(bad.kind)
	r := &c.work.req
	c.keep = false
	c.unread = true
	if c.received == 0 { // not even a whole head
		c.received = int64(len(c.work.unread()))
	}
	c.srv.deps.Handler.Refuse(c, &Fault{
		Status: bad.status, Kind: bad.kind, Reason: bad.reason,
		Method: r.Method, Target: r.Target, Minor: r.Minor, Began: c.began,
	})
	c.giveOut()
}

// awaitFirst waits for the first byte of a request. The buffer is given back
// meanwhile.
func (c *Conn) awaitFirst() bool {
	c.setState(StateIdle)
	if c.srv.stopping.Load() {
		return c.lastLook()
	}
	wait, from := c.srv.opts.IdleTimeout.D(), c.began // nearly now, and free
	if c.began.IsZero() {
		wait = c.srv.opts.HeaderTimeout.D()
	}
	if c.began.IsZero() || c.slow || c.writing.slow {
		from, c.slow, c.writing.slow = time.Now(), false, false
	}
	until := from.Add(wait)
	n, err := c.idle(until, wait/16)
	for n == 0 && isTimeout(err) && !c.leaving() && time.Until(until) > wait/16 { // a drain hurried it, and was taken back
		c.disarmRead()
		n, err = c.idle(until, wait/16)
	}
	if n > 0 {
		return c.arrived(n)
	}
	c.release()
	switch {
	case isTimeout(err) && c.srv.stopping.Load():
		return c.lastLook()
	case isTimeout(err) && c.leaving() && c.requests.Load() > 0:
		c.unread = true // a request that is on its way must not make the close a reset
		return c.lastLook()
	case isTimeout(err):
		c.srv.stats.idleClosed.Add(1)
	default:
		c.broken = true
	}
	return false
}

// idle waits for the first byte until t, or for less while the server drains.
func (c *Conn) idle(t time.Time, tolerance time.Duration) (int, error) {
	c.armRead(t, tolerance)
	// Looked at when the connection is seen to be idle and its deadline is set:
	// a drain that begins later finds both.
	if c.leaving() && c.requests.Load() > 0 {
		c.armRead(time.Now().Add(c.srv.drainIdle), 0)
	}
	return c.readParked(c.unpark())
}

// arrived notes that a request has begun.
func (c *Conn) arrived(n int) bool {
	c.work.w += n
	c.began = time.Now()
	c.asked = c.began
	if c.hurried.Load() {
		c.hurried.Store(false)
		c.disarmRead()
	}
	if !c.state.CompareAndSwap(uint32(StateIdle), uint32(StateHead)) {
		// Shutdown was about to close what it took for idle.
		c.mu.Lock()
		c.setState(StateHead)
		c.mu.Unlock()
		c.disarmRead()
	}
	return true
}

// grace is how long a connection that has carried nothing yet may still bring a
// request that was on its way when the stop began.
const grace = 500 * time.Millisecond

// lastLook is for a request that came in the moment of a stop.
func (c *Conn) lastLook() bool {
	c.mu.Lock()
	c.setState(StateClosing)
	c.mu.Unlock()
	c.disarmRead()
	c.unpark()
	var n int
	var err error
	if c.requests.Load() == 0 {
		c.armRead(time.Now().Add(grace), 0)
		n, err = c.read(c.work.free(readRoom))
	} else {
		c.armRead(time.Now().Add(grace), 0)
		n, err = c.poll(c.work.free(readRoom))
	}
	if n > 0 {
		return c.arrived(n)
	}
	c.broken = err != nil && !errors.Is(err, errWouldBlock) && !isTimeout(err)
	c.release()
	return false
}

// wake tells an idle connection that a stop has begun.
func (c *Conn) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state.CompareAndSwap(uint32(StateIdle), uint32(StateClosing)) {
		_ = c.nc.SetReadDeadline(past) // fails only with the connection
	}
}

// park gives the read buffer back while nothing arrives.
func (c *Conn) park() { c.release() }

// unpark returns room to read into.
func (c *Conn) unpark() []byte {
	if c.work == nil {
		c.work = works.Get().(*work)
	}
	return c.work.free(readRoom)
}

// release gives the read buffer back.
func (c *Conn) release() {
	if c.work != nil {
		c.work.reset()
		works.Put(c.work)
		c.work = nil
	}
}

const (
	lingerTime  = time.Second
	lingerBytes = 4 << 20
)

// linger lets a client that may still be sending see the response: a close with
// unread bytes is a reset, which can overtake what was written before.
func (c *Conn) linger() {
	if !c.unread && (c.work == nil || len(c.work.unread()) == 0) {
		c.disarmRead()
		c.armRead(time.Now().Add(lingerTime), 0)
		if n, err := c.poll(c.scratch()); n == 0 && errors.Is(err, errWouldBlock) || errors.Is(err, io.EOF) {
			return
		}
	}
	if !c.closeWrite() {
		return
	}
	c.disarmRead()
	c.armRead(time.Now().Add(lingerTime), 0)
	for left := lingerBytes; left > 0; {
		n, err := c.read(c.scratch())
		if err != nil {
			return
		}
		left -= n
	}
}

// scratch is room for bytes that nobody wants.
func (c *Conn) scratch() []byte {
	if c.work == nil {
		c.work = works.Get().(*work)
	}
	return c.work.room[:]
}
