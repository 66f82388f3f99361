// Package icp speaks ICP version 2 (RFC 2186, RFC 2187): its datagrams, and one
// UDP endpoint that answers the queries of siblings and asks them. It knows
// neither HTTP nor who is a member; it is told whom to answer and what.
//
// All integers of a datagram are big-endian:
//
//	 0        1        2                 4
//	+--------+--------+-----------------+-----------------------------------+
//	| opcode | version|      length     |          request number           |
//	+--------+--------+-----------------+-----------------------------------+
//	 8                                  12
//	+-----------------------------------+-----------------------------------+
//	|               flags               |            option data            |
//	+-----------------------------------+-----------------------------------+
//	 16                                 20 (20 only in a query)
//	+-----------------------------------+-----------------------------------+
//	|        sender host address        |      requester host address       |
//	+-----------------------------------+-----------------------------------+
//	 20, in a query 24
//	+-----------------------------------------------------------------+-----+
//	|                              URL                                | NUL |
//	+-----------------------------------------------------------------+-----+
//
// The length counts the whole datagram and must be right. The NUL is the last
// byte and there is no other. Both addresses are sent as zero and not read, as
// squid does; who sent a datagram is told by its source.
//
// What is answered, and what is not:
//
//   - a query of version 2 from a known address and port: HIT or MISS; DENIED or
//     MISS_NOFETCH when the answering func says so;
//   - a query whose URL is broken: ERR, with an empty URL when the end of it
//     cannot be told. A reply is never larger than its query, so one of 20 bytes
//     is not answered;
//   - everything else, any other version above all, gets no reply and is counted
//     by the reason.
//
// HIT_OBJ, SECHO and DECHO are not used: a query that offers HIT_OBJ gets a plain
// HIT, as from squid. Replies are believed only if their number, source and URL
// are those of a query under way.
package icp
