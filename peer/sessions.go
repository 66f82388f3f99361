package peer

import (
	"crypto/rand"
	"encoding/binary"
	"sync"
	"time"
)

const (
	maxSessions = 4096
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
	swept time.Time
}

type session struct {
	proven bool
	nonce  uint64    // of the challenge under way
	asked  time.Time // when that was sent
	heard  time.Time
	window window
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
	deliver  verdict = iota + 1 // the packet is fresh
	reply                       // send the returned frame back
	replayed                    // it has come before
	ignore                      // nothing to do
)

// receive judges a frame whose proof was right. An answer to it is in back.
func (s *sessions) receive(f *frame, now time.Time) (v verdict, back frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch f.kind {
	case kindData:
		return s.data(f, now)
	case kindChallenge:
		if f.session != s.own {
			return ignore, back // whoever that was is not here any more
		}
		used := binary.BigEndian.AppendUint64(nil, s.used)
		return reply, frame{kind: kindAnswer, session: s.own, number: f.number, payload: used}
	case kindAnswer:
		if m := s.met[f.session]; m != nil && !m.proven && m.nonce == f.number {
			m.proven = true
			m.window.begin(binary.BigEndian.Uint64(f.payload))
			m.heard = now
			return ignore, back
		}
		return replayed, back
	}
	return ignore, back // of a later version
}

func (s *sessions) data(f *frame, now time.Time) (v verdict, back frame) {
	m := s.met[f.session]
	if m != nil && m.proven {
		if !m.window.take(f.number) {
			return replayed, back
		}
		m.heard = now
		return deliver, back
	}
	if m == nil {
		s.sweep(now)
		if len(s.met) >= maxSessions {
			return ignore, back
		}
		m = &session{heard: now}
		s.met[f.session] = m
	}
	if now.Sub(m.asked) < askAgain {
		return ignore, back
	}
	if m.nonce == 0 {
		m.nonce = random64()
	}
	m.asked = now
	return reply, frame{kind: kindChallenge, session: f.session, number: m.nonce}
}

// sweep forgets sessions that have been silent for long.
func (s *sessions) sweep(now time.Time) {
	if now.Sub(s.swept) < sweepEvery && len(s.met) < maxSessions {
		return
	}
	s.swept = now
	for id, m := range s.met {
		if now.Sub(m.heard) > sessionIdle || !m.proven && now.Sub(m.asked) > time.Second {
			delete(s.met, id)
		}
	}
}
