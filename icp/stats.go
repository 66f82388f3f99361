package icp

import "sync/atomic"

// dropReason is why a datagram was not acted upon.
type dropReason uint8

const (
	dropMalformed dropReason = iota // no header, a wrong length, a URL that does not end
	dropVersion                     // another version than 2
	dropOpcode                      // one that is neither a query nor a reply to one of ours
	dropStranger                    // a query from nobody we know
	dropRate                        // a query over the limits
	dropOverload                    // a query that found the answering busy
	dropNumber                      // a reply to no query under way
	dropSource                      // a reply from somebody who was not asked
	dropURL                         // a reply about another URL
	dropDuplicate                   // a second reply to the same query
	dropAmplify                     // an answer that would be larger than its query
	dropReasons
)

var dropNames = [dropReasons]string{
	"malformed", "version", "opcode", "stranger", "rate", "overload", "number", "source", "url", "duplicate", "amplify",
}

// counters count since the start.
type counters struct {
	sent, received           [opcodes + 1]atomic.Uint64 // by opcode, the last for those unknown
	dropped                  [dropReasons]atomic.Uint64
	queryOut, queryIn        atomic.Uint64 // bytes
	replyOut, replyIn        atomic.Uint64
	timeouts, used, sendFail atomic.Uint64
}

func slot(o Opcode) int { return int(min(o, opcodes)) }

func (n *counters) countIn(o Opcode, size int) {
	n.received[slot(o)].Add(1)
	if o == OpQuery {
		n.queryIn.Add(uint64(size))
	} else {
		n.replyIn.Add(uint64(size))
	}
}

func (n *counters) countOut(o Opcode, size int) {
	n.sent[slot(o)].Add(1)
	if o == OpQuery {
		n.queryOut.Add(uint64(size))
	} else {
		n.replyOut.Add(uint64(size))
	}
}

// Stats is what an endpoint has done since it was opened. Datagrams that are no
// ICP at all count as received "other".
type Stats struct {
	Sent     map[string]uint64 // datagrams by the name of their opcode
	Received map[string]uint64
	Dropped  map[string]uint64 // received datagrams without an effect, by reason

	QueriesSent, QueriesReceived       uint64
	RepliesSent, RepliesReceived       uint64
	QueryBytesSent, QueryBytesReceived uint64
	ReplyBytesSent, ReplyBytesReceived uint64

	Timeouts   uint64 // queries that ended before everybody had answered, without a HIT
	Hits       uint64 // queries that were answered with a HIT in time
	SendErrors uint64 // datagrams that the system did not take
}

// Stats returns a snapshot.
func (e *Endpoint) Stats() Stats {
	n := &e.n
	s := Stats{
		Sent: map[string]uint64{}, Received: map[string]uint64{}, Dropped: map[string]uint64{},
		QueryBytesSent: n.queryOut.Load(), QueryBytesReceived: n.queryIn.Load(),
		ReplyBytesSent: n.replyOut.Load(), ReplyBytesReceived: n.replyIn.Load(),
		Timeouts: n.timeouts.Load(), Hits: n.used.Load(), SendErrors: n.sendFail.Load(),
	}
	for i := range opcodes + 1 {
		o := Opcode(i)
		out, in := n.sent[i].Load(), n.received[i].Load()
		if out > 0 {
			s.Sent[o.String()] += out
		}
		if in > 0 {
			s.Received[o.String()] += in
		}
		if o == OpQuery {
			s.QueriesSent, s.QueriesReceived = out, in
		} else {
			s.RepliesSent += out
			s.RepliesReceived += in
		}
	}
	for i, name := range dropNames {
		s.Dropped[name] = n.dropped[i].Load()
	}
	return s
}
