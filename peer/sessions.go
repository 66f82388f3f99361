package peer

import (
	"crypto/rand"
	"encoding/binary"
	"sync"
	"time"
)

const (
	maxSessions = 4096
	maxHeld     = 32                    // packets of a session that wait for its proof
	maxHeldAll  = 2048                  // of all sessions together
	askAgain    = 50 * time.Millisecond // between two challenges of one session
	sessionIdle = 10 * time.Minute      // a session silent for so long is asked anew
	sweepEvery  = time.Minute
)

// sessions knows which senders have proven to be there now.
type sessions struct {
	own  uint64
	used uint64 // numbers given out; under mu

	mu    sync.Mutex // guards all below, and used
	met   map[uint64]*session
	held  int // packets, of all sessions
	swept time.Time
}

type session struct {
	proven bool
	nonce  uint64    // of the challenge under way
	asked  time.Time // when that was sent
	heard  time.Time
	window window
	// held are packets that came before the proof: gossip repeats itself only a
	// few times, and the first words of a member would be lost.
	held []heldPacket
}

type heldPacket struct {
	number uint64
	packet []byte
}

func newSessions() *sessions { return &sessions{own: random64(), met: map[uint64]*session{}} }

func random64() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint64(b[:])
}

// next is the frame of the next packet of ours.
func (s *sessions) next(packet []byte) frame {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used++
	return frame{kind: kindData, session: s.own, number: s.used, payload: packet}
}

// verdict is what to do with a frame.
type verdict uint8

const (
	deliver  verdict = iota + 1 // the packets returned are fresh
	reply                       // send the returned frame back
	replayed                    // it has come before
	ignore                      // nothing to do
)

// receive judges a frame whose proof was right. For reply, back is the answer;
// for deliver, packets are what to take, copied.
func (s *sessions) receive(f *frame, now time.Time) (v verdict, back frame, packets [][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch f.kind {
	case kindData:
		return s.data(f, now)
	case kindChallenge:
		if f.session != s.own {
			return ignore, back, nil // whoever that was is not here any more
		}
		used := binary.BigEndian.AppendUint64(nil, s.used)
		return reply, frame{kind: kindAnswer, session: s.own, number: f.number, payload: used}, nil
	case kindAnswer:
		m := s.met[f.session]
		if m == nil || m.proven || m.nonce != f.number {
			return replayed, back, nil
		}
		m.proven, m.heard = true, now
		m.window.begin(binary.BigEndian.Uint64(f.payload))
		return deliver, back, s.release(m)
	}
	return ignore, back, nil // of a later version
}

// release gives up the packets that waited for the proof.
func (s *sessions) release(m *session) (packets [][]byte) {
	begun := m.window.top
	once := map[uint64]bool{}
	for _, h := range m.held {
		if once[h.number] || h.number > begun && !m.window.take(h.number) {
			continue
		}
		once[h.number] = true
		packets = append(packets, h.packet)
	}
	s.held -= len(m.held)
	m.held = nil
	return packets
}

func (s *sessions) data(f *frame, now time.Time) (v verdict, back frame, packets [][]byte) {
	m := s.met[f.session]
	if m != nil && m.proven {
		if !m.window.take(f.number) {
			return replayed, back, nil
		}
		m.heard = now
		return deliver, back, [][]byte{append([]byte(nil), f.payload...)}
	}
	if m == nil {
		s.sweep(now)
		if len(s.met) >= maxSessions {
			return ignore, back, nil
		}
		m = &session{heard: now, nonce: random64()}
		s.met[f.session] = m
	}
	if len(m.held) < maxHeld && s.held < maxHeldAll {
		m.held = append(m.held, heldPacket{f.number, append([]byte(nil), f.payload...)})
		s.held++
	}
	if now.Sub(m.asked) < askAgain {
		return ignore, back, nil
	}
	m.asked = now
	return reply, frame{kind: kindChallenge, session: f.session, number: m.nonce}, nil
}

// sweep forgets sessions that have been silent for long.
func (s *sessions) sweep(now time.Time) {
	if now.Sub(s.swept) < sweepEvery && len(s.met) < maxSessions && s.held < maxHeldAll {
		return
	}
	s.swept = now
	for id, m := range s.met {
		if now.Sub(m.heard) > sessionIdle || !m.proven && now.Sub(m.asked) > time.Second {
			s.held -= len(m.held)
			delete(s.met, id)
		}
	}
}
