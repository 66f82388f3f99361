package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/miekg/dns"
)

// udpSize is what we offer to take in one datagram; larger ones would be
// fragmented on the way (DNS flag day 2020).
const udpSize = 1232

// maxDatagrams bounds the datagrams looked at for one reply, for somebody may be
// guessing.
const maxDatagrams = 64

// minTries is how often a question is put at least, for datagrams get lost.
const minTries = 4

// ask puts one question to the servers until one has answered it: the next is
// asked when one fails or takes long, and whoever answers first is believed.
func (r *Resolver) ask(ctx context.Context, conf *config, name string, qtype uint16) (*dns.Msg, error) {
	servers := r.health.order(conf, r.now())
	tries := max(len(servers)*conf.attempts, minTries)
	delay := min(r.o.RetryAfter.D(), r.o.Timeout.D()/time.Duration(tries))
	if conf.timeout > 0 {
		delay = min(delay, conf.timeout)
	}
	attempt := func(ctx context.Context, i int) (*dns.Msg, error) {
		r.count.queries.Add(1)
		return exchange(ctx, servers[i%len(servers)], question(name, qtype), conf.tcp)
	}
	result := race(ctx, tries, delay, attempt, func(*dns.Msg) {})
	if result.winner >= 0 {
		r.health.note(servers, result.winner, r.now())
		return result.value, nil
	}
	return nil, telling(result.errs)
}

// telling picks the error to report: what a server said rather than that
// another one said nothing.
func telling(errs []error) error {
	best := errs[0]
	for _, err := range errs {
		if err == nil {
			continue
		}
		if best == nil || !answered(best) && answered(err) {
			best = err
		}
	}
	return best
}

// serverError says why a server was of no use.
type serverError struct {
	server   netip.AddrPort
	what     string
	answered bool // it sent a reply, if only that it cannot answer
	cause    error
}

func (e *serverError) Error() string { return "name server " + e.server.String() + ": " + e.what }
func (e *serverError) Unwrap() error { return e.cause }

// answered reports whether some server sent a reply.
func answered(err error) bool {
	e, ok := errors.AsType[*serverError](err)
	return ok && e.answered
}

// unreachable words what the network says about a server.
func unreachable(server netip.AddrPort, err error) error {
	e := &serverError{server: server, what: "no answer", cause: err}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		e.what = errno.Error()
	}
	return e
}

func question(name string, qtype uint16) *dns.Msg {
	q := new(dns.Msg)
	q.SetQuestion(name+".", qtype) // with a random id
	q.SetEdns0(udpSize, false)
	return q
}

// exchange asks one server: over UDP, then over TCP if the reply did not fit,
// and without EDNS if the server does not know that.
func exchange(ctx context.Context, server netip.AddrPort, q *dns.Msg, tcp bool) (*dns.Msg, error) {
	reply, err := send(ctx, server, q, tcp)
	if err == nil && reply.Rcode == dns.RcodeFormatError && q.IsEdns0() != nil {
		q = q.Copy()
		q.Id, q.Extra = dns.Id(), nil
		reply, err = send(ctx, server, q, tcp)
	}
	if err == nil && reply.Truncated && !tcp {
		reply, err = send(ctx, server, q, true)
	}
	switch {
	case err != nil:
		return nil, unreachable(server, err)
	case reply.Rcode != dns.RcodeSuccess && reply.Rcode != dns.RcodeNameError:
		return nil, &serverError{server: server, what: "answers " + rcode(reply.Rcode), answered: true}
	case isReferral(reply):
		return nil, &serverError{server: server, what: "refers to others and does not resolve itself", answered: true}
	}
	return reply, nil
}

func rcode(code int) string {
	if s, ok := dns.RcodeToString[code]; ok {
		return s
	}
	return "code " + strconv.Itoa(code)
}

// isReferral reports whether the server only says which others to ask, as one
// does that is not recursive and not in charge of the name.
func isReferral(reply *dns.Msg) bool {
	if reply.Rcode != dns.RcodeSuccess || reply.Authoritative || len(reply.Answer) > 0 || len(reply.Ns) == 0 {
		return false
	}
	return !slices.ContainsFunc(reply.Ns, func(rr dns.RR) bool { return rr.Header().Rrtype != dns.TypeNS })
}

// send transmits a query from a port of its own, which the kernel picks at
// random, connected so that only the server's datagrams are received.
func send(ctx context.Context, server netip.AddrPort, q *dns.Msg, tcp bool) (*dns.Msg, error) {
	network := "udp"
	if tcp {
		network = "tcp"
	}
	packed, err := q.Pack()
	if err != nil {
		return nil, err
	}
	conn, err := (&net.Dialer{KeepAlive: -1}).DialContext(ctx, network, server.String())
	if err != nil {
		return nil, err
	}
	defer conn.Close() //nolint:errcheck // nothing more is written
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if tcp {
		return overStream(conn, packed, q)
	}
	return overDatagrams(conn, packed, q)
}

// overDatagrams passes over datagrams that are no reply to q, so that a forged
// one neither is taken nor ends the wait for the true one.
func overDatagrams(conn net.Conn, packed []byte, q *dns.Msg) (*dns.Msg, error) {
	if _, err := conn.Write(packed); err != nil {
		return nil, err
	}
	buf := make([]byte, 4096)
	for range maxDatagrams {
		n, err := conn.Read(buf)
		if err != nil {
			return nil, err
		}
		if reply := parseReply(buf[:n], q); reply != nil {
			return reply, nil
		}
	}
	return nil, errors.New("too many datagrams that are no answer")
}

func overStream(conn net.Conn, packed []byte, q *dns.Msg) (*dns.Msg, error) {
	framed := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(packed)), uint16(len(packed)))
	if _, err := conn.Write(append(framed, packed...)); err != nil {
		return nil, err
	}
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, err
	}
	buf := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(conn, buf); err != nil {
		return nil, err
	}
	reply := parseReply(buf, q)
	if reply == nil {
		return nil, errors.New("server sent something other than an answer")
	}
	return reply, nil
}

// parseReply returns the message in b if it is a reply to q: the id, and the
// question to the letter. A server that could not read the question may leave
// it out of its complaint.
func parseReply(b []byte, q *dns.Msg) *dns.Msg {
	reply := new(dns.Msg)
	if len(b) < 12 || binary.BigEndian.Uint16(b) != q.Id {
		return nil
	}
	if err := reply.Unpack(b); err != nil && !reply.Truncated {
		return nil
	}
	if !reply.Response || reply.Opcode != dns.OpcodeQuery {
		return nil
	}
	if len(reply.Question) == 0 && reply.Rcode == dns.RcodeFormatError {
		return reply
	}
	if len(reply.Question) != 1 || reply.Question[0] != q.Question[0] {
		return nil
	}
	return reply
}
