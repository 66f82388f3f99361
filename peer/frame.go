package peer

import (
	"encoding/binary"
	"errors"
)

// A datagram between members carries a packet of gossip, which is encrypted by
// memberlist, and proves that it is fresh:
//
//	byte  0      0xCA
//	byte  1      kind: 1 data, 2 challenge, 3 answer
//	bytes 2–9    session of the sender (answer: idem; challenge: the session that is asked)
//	bytes 10–17  data: number within the session; challenge and answer: nonce
//	then         data: the packet; answer: the number last used (8)
//	last 16      HMAC-SHA-256 of all before, cut
//
// A session begins when a node starts. Numbers grow within it, and the receiver
// takes each once. Of a session it has not met it takes nothing before the
// sender has answered a challenge, so that datagrams recorded earlier are of no
// use after a restart of either end; no clock is needed for that.
const (
	frameMagic    = 0xCA
	frameHead     = 18
	frameOverhead = frameHead + macSize
)

const (
	kindData = iota + 1
	kindChallenge
	kindAnswer
)

// frame is a parsed datagram.
type frame struct {
	kind    byte
	session uint64
	number  uint64 // or nonce
	payload []byte // points into what was parsed
}

var errFrame = errors.New("not a datagram of ours")

// appendFrame appends f with its proof.
func appendFrame(b []byte, f *frame, r *ring) []byte {
	start := len(b)
	b = append(b, frameMagic, f.kind)
	b = binary.BigEndian.AppendUint64(b, f.session)
	b = binary.BigEndian.AppendUint64(b, f.number)
	b = append(b, f.payload...)
	return append(b[:start], r.seal(b[start:])...)
}

// parseFrame reads what stands behind a proof that was checked already.
func parseFrame(b []byte) (f frame, err error) {
	if len(b) < frameHead || b[0] != frameMagic {
		return f, errFrame
	}
	f = frame{
		kind: b[1], session: binary.BigEndian.Uint64(b[2:]), number: binary.BigEndian.Uint64(b[10:]), payload: b[frameHead:],
	}
	if f.kind == kindAnswer && len(f.payload) < 8 {
		return f, errFrame
	}
	return f, nil
}

// window remembers which numbers of a session have come.
type window struct {
	top  uint64 // the highest
	seen [windowWords]uint64
}

const (
	windowWords = 16
	// How far behind the highest a number may come; the word of the highest is
	// not full yet.
	windowSize = (windowWords - 1) * 64
)

// take reports whether a number comes for the first time. What is too far
// behind counts as seen.
func (w *window) take(n uint64) bool {
	if n > w.top {
		w.slide(n)
	} else if w.top-n >= windowSize {
		return false
	}
	word, bit := &w.seen[n/64%windowWords], uint64(1)<<(n%64)
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	return true
}

// slide moves the top up to n and forgets what falls out.
func (w *window) slide(n uint64) {
	from, to := w.top/64, n/64
	for i := from + 1; i <= to && i <= from+windowWords; i++ {
		w.seen[i%windowWords] = 0
	}
	w.top = n
}

// begin makes every number up to n count as seen.
func (w *window) begin(n uint64) {
	w.top = n
	for i := range w.seen {
		w.seen[i] = ^uint64(0)
	}
	// The word of n holds numbers still to come.
	w.seen[n/64%windowWords] = ^uint64(0) >> (63 - n%64)
}
